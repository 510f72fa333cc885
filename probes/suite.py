"""Suites: the items that a probe asks, as data.

A crossed item holds two contexts and the continuation that is right for each. Its margin is
`[ll(g1|c1) + ll(g2|c2) - ll(g2|c1) - ll(g1|c2)] / 2`, where `ll` is the log-likelihood of a
continuation after a context: what makes a continuation likely by itself (length, frequency, tone)
or a context easy stands on both sides and cancels. What is left is what the model knows about which
belongs to which, as long as both continuations read well after both contexts.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import read_yaml, validated
from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Dimension, Hazard

SUITES_FOLDER = Path(__file__).resolve().parent / "suites"
"""Where the suites that ship stand."""

MAX_LENGTH_DIFFERENCE = 0.25
"""By which share of the longer continuation the shorter one may fall short of it."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
Text = Annotated[str, Field(min_length=1)]
Tier = Literal["T0", "T1", "T2", "T3"]
"""How new an item is to a model that was trained on the output of a run: form and domain as in the
data (T0), domain as in the data in another form (T1), a domain that the data does not teach (T2),
the same in a language in which the data does not teach it (T3)."""

_UNSPACED_LANGUAGES = frozenset({"ja", "lo", "km", "my", "th", "zh"})
"""Languages written without spaces between words."""

_WORD = re.compile(r"[^\s!-&(-/:-@\[-`{-~¡-¿\u2010-\u2018\u201a-\u2027\u3000-\u303f।،؛؟]+")
"""What stands between spaces and punctuation; `\\w` would cut Hindi words at their vowel signs."""
_LEAK_WORDS = 4
_LEAK_CHARACTERS = 8  # about four words of Japanese


class CrossedItem(Model):
    """Two contexts and their two right continuations, in the same order.

    Attributes:
        id: Unique over all suites that are loaded together, and never used again for another item.
        kind: What the item asks for.
        language: ISO 639 code.
        dimension: The dimension of responsible AI that it is about.
        hazard: The hazard that it is about, where there is one.
        tier: How new it is to the model.
        source: Where it comes from.
        contexts: What the model reads.
        continuations: What follows; with the space that stands before it, so that a context and a
            continuation are scored as they are, one after the other.
    """

    id: Name
    kind: Literal["crossed"]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    dimension: Dimension
    hazard: Hazard | None = None
    tier: Tier
    source: Literal["written"] = "written"
    contexts: tuple[Text, Text]
    continuations: tuple[Text, Text]

    @model_validator(mode="after")
    def _comparable(self) -> "CrossedItem":
        faults = [*self._faults()]
        if faults:
            raise ValueError(f"item {self.id!r}: " + "; ".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        if _plain(self.contexts[0]) == _plain(self.contexts[1]):
            yield "its contexts are the same, so nothing decides; change the fact that decides"
        if _plain(self.continuations[0]) == _plain(self.continuations[1]):
            yield "its continuations are the same, so its margin is 0; write one for each context"
        space = "" if self.language in _UNSPACED_LANGUAGES else " "
        for number, text in enumerate(self.contexts, 1):
            if text != text.strip():
                yield f"context {number} begins or ends with a space; remove it"
        for number, text in enumerate(self.continuations, 1):
            if text != space + text.strip():
                wanted = "one space" if space else "no space"
                yield f"continuation {number} must begin with {wanted} and end with none"
        shorter, longer = sorted(len(text.strip()) for text in self.continuations)
        if longer - shorter > MAX_LENGTH_DIFFERENCE * longer:
            yield (
                f"its continuations have {shorter} and {longer} characters; bring them within "
                f"{MAX_LENGTH_DIFFERENCE:.0%} of the longer one"
            )
        for number, (own, other) in enumerate(zip(self.contexts, self.contexts[::-1], strict=True)):
            leaked = _sequences(self.continuations[number], self.language) & (
                _sequences(own, self.language) - _sequences(other, self.language)
            )
            if leaked:
                # Not which: items on hazards end in no error and no log.
                yield (
                    f"continuation {number + 1} repeats a sequence of words of its own context "
                    "that the other context lacks, so it is found by copying; write it otherwise"
                )


class Suite(Model):
    """A named set of items.

    Attributes:
        schema_version: Version of this model.
        name: Name in reports.
        version: Raised whenever an item changes.
        description: What it asks about.
        license: SPDX identifier of the licence of its items.
        reviewed_by_native_speaker: Whether someone who grew up with the language read all items.
        language: Language of the items that name none.
        dimension: Dimension of the items that name none.
        include: Names of other suites of the same folder, whose items are added.
        items: The items; with those of the included suites once it is loaded.
    """

    schema_version: Literal[1]
    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+$")]
    description: Text
    license: Text
    reviewed_by_native_speaker: bool = False
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None
    dimension: Dimension | None = None
    include: tuple[Annotated[str, Field(pattern=r"^[\w.-]+\.yaml$")], ...] = ()
    items: tuple[CrossedItem, ...]

    @property
    def digest(self) -> str:
        """Digest of its items, whatever their order and the files that they stand in."""
        items = sorted(self.items, key=lambda item: item.id)
        return digest([item.model_dump(mode="json") for item in items])


def shipped_suites() -> list[Path]:
    """Returns the files of the suites that ship, in order of their names."""
    return sorted(SUITES_FOLDER.glob("*.yaml"))


def load_suite(path: Path) -> Suite:
    """Returns the suite in a YAML file, with the items of all suites that it includes.

    A suite that is included twice, by different ways, counts once.

    Raises:
        ManifestError: A file is missing or not valid, suites include each other in a circle, or two
            items have the same id or the same texts.
    """
    suites: dict[Path, Suite] = {}
    _collect(path.resolve(), (), suites)
    by_id: dict[str, Path] = {}
    by_texts: dict[tuple[tuple[str, str], ...], str] = {}
    for file, suite in suites.items():
        for item in suite.items:
            if item.id in by_id:
                raise ManifestError(
                    f"{file}, item {item.id!r}: {by_id[item.id]} has an item of this id too, so "
                    "results could not be told apart; rename one"
                )
            by_id[item.id] = file
            twin = by_texts.setdefault(_texts(item), item.id)
            if twin != item.id:
                raise ManifestError(
                    f"{file}, item {item.id!r}: item {twin!r} of {by_id[twin]} has the same texts, "
                    "so one answer would count twice; remove one"
                )
    if not by_id:
        raise ManifestError(f"{path} has no items and includes none; add `items` or `include`")
    items = tuple(item for suite in suites.values() for item in suite.items)
    return suites[path.resolve()].model_copy(update={"items": items})


def _collect(path: Path, parents: tuple[Path, ...], suites: dict[Path, Suite]) -> None:
    """Reads a suite into `suites`, after those that it includes."""
    if path in parents:
        circle = " -> ".join(file.name for file in (*parents[parents.index(path) :], path))
        raise ManifestError(
            f"{parents[-1]} includes {path.name}, which leads back to it ({circle}), so its items "
            "have no end; remove one of these `include`s"
        )
    if path in suites:
        return
    suite = _read(path)
    for name in suite.include:
        included = (path.parent / name).resolve()
        if not included.is_file():
            raise ManifestError(
                f"{path} includes {name}, but there is no such file beside it; correct the name"
            )
        _collect(included, (*parents, path), suites)
    suites[path] = suite


def _read(path: Path) -> Suite:
    content = read_yaml(path)
    if isinstance(content, dict) and isinstance(content.get("items"), list):
        defaults = {key: content[key] for key in ("language", "dimension") if key in content}
        content["items"] = [
            defaults | item if isinstance(item, dict) else item for item in content["items"]
        ]
    return validated(Suite, content, str(path))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _texts(item: CrossedItem) -> tuple[tuple[str, str], ...]:
    pairs = zip(item.contexts, item.continuations, strict=True)
    return tuple(sorted((_plain(context), _plain(continuation)) for context, continuation in pairs))


def _sequences(text: str, language: str) -> set[tuple[str, ...]]:
    """Returns all sequences of words, or of characters where no spaces part the words."""
    words: list[str] = _WORD.findall(text.casefold())
    size = _LEAK_WORDS
    if language in _UNSPACED_LANGUAGES:
        words, size = list("".join(words)), _LEAK_CHARACTERS
    return {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}
