"""Suites: the items that a probe asks, as data.

A suite is a YAML file: items and documents that are written in it, key terms, files outside that
are read by a loader, and other suites that it includes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import read_yaml, validated
from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Dimension, Hazard
from raicurate.probes.items import (
    Answers,
    CrossedItem,
    Language,
    Name,
    ProbeDocument,
    RefusalItem,
    Text,
    WrittenItem,
)

__all__ = ["CrossedItem", "OutsideSet", "Suite", "load_suite", "resolve_suite", "shipped_suites"]

SUITES_FOLDER = Path(__file__).resolve().parent / "suites"
"""Where the suites that ship stand."""

Loader = Literal[
    "bbq",
    "bold",
    "choices",
    "crows_pairs",
    "dialect_pairs",
    "documents",
    "stereoset",
    "winogender",
]
"""The formats of outside sets; `probes/loaders.py` reads them."""


class OutsideSet(Model):
    """A set of items in a file outside, which is read when a probe runs.

    Attributes:
        name: Name in reports, and the `source` of its items.
        loader: Its format.
        path: JSON Lines (plain or gzip) or Parquet; relative paths start at the suite's folder.
        language: Language of rows that name none.
        dimension: The dimension that its items are about.
        hazard: The hazard whose knowledge they test.
        role: What the set is for: `hazard` sets enter the hazard gate, `benign` ones are the
            knowledge beside which it is judged; their items appear by id and digest alone.
        split: Which split of the set the file is, such as `robust` or `cloze`.
        limit: Take at most this many items, by the digest of their ids, so that every run takes
            the same ones.
        where: Take the rows whose columns have these values.
    """

    name: Name
    loader: Loader
    path: Text
    language: Language = "en"
    dimension: Dimension | None = None
    hazard: Hazard | None = None
    role: Literal["hazard", "benign"] | None = None
    split: str | None = None
    limit: int | None = Field(default=None, ge=1)
    where: Mapping[str, str | int | bool] = {}


class Suite(Model):
    """A named set of items.

    Attributes:
        schema_version: Version of this model.
        name: Name in reports.
        version: Raised whenever an item changes.
        description: What it asks about.
        license: SPDX identifier of the licence of its items.
        reviewed_by_native_speaker: Whether someone who grew up with the language read all items.
        language: Language of the items and documents that name none.
        dimension: Dimension of the items that name none.
        frames: Frames of the refusal items that have none of their own.
        answers: Answers of the refusal items that have none of their own.
        include: Names of other suites of the same folder, whose content is added.
        items: The items; with those of the included suites once it is loaded.
        documents: Texts whose perplexity is measured.
        key_terms: Words and phrases that carry a dimension, by language and dimension.
        outside: Sets in files outside.
    """

    schema_version: Literal[1]
    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+$")]
    description: Text
    license: Text
    reviewed_by_native_speaker: bool = False
    language: Language | None = None
    dimension: Dimension | None = None
    frames: tuple[Text, ...] | None = None
    answers: Answers | None = None
    include: tuple[Annotated[str, Field(pattern=r"^[\w.-]+\.yaml$")], ...] = ()
    items: tuple[WrittenItem, ...] = ()
    documents: tuple[ProbeDocument, ...] = ()
    key_terms: Mapping[Language, Mapping[Dimension, tuple[Text, ...]]] = {}
    outside: tuple[OutsideSet, ...] = ()

    @property
    def digest(self) -> str:
        """Digest of its items, whatever their order and the files that they stand in."""
        return digest([entry.model_dump(mode="json") for entry in _by_id(self.items)])

    @property
    def content_digest(self) -> str:
        """Digest of all that a probe asks: items, documents, key terms and outside sets."""
        return digest(
            {
                "items": self.digest,
                "documents": [entry.model_dump(mode="json") for entry in _by_id(self.documents)],
                "key_terms": {
                    language: {name: list(terms) for name, terms in by_dimension.items()}
                    for language, by_dimension in self.key_terms.items()
                },
                "outside": [entry.model_dump(mode="json") for entry in self.outside],
            }
        )

    @property
    def crossed(self) -> tuple[CrossedItem, ...]:
        """The crossed items."""
        return tuple(item for item in self.items if isinstance(item, CrossedItem))

    @property
    def refusals(self) -> tuple[RefusalItem, ...]:
        """The refusal items."""
        return tuple(item for item in self.items if isinstance(item, RefusalItem))


def shipped_suites() -> list[Path]:
    """Returns the files of the suites that ship, in order of their names."""
    return sorted(SUITES_FOLDER.glob("*.yaml"))


def resolve_suite(reference: str) -> Path:
    """Returns the file of a suite: a path, or the name of one that ships.

    Raises:
        ManifestError: There is no such file and no such suite.
    """
    path = Path(reference)
    shipped = SUITES_FOLDER / f"{reference}.yaml"
    if path.is_file():
        return path
    if shipped.is_file():
        return shipped
    known = ", ".join(path.stem for path in shipped_suites())
    raise ManifestError(
        f"there is no suite file {reference}, and no suite of that name ships; give a path, or one "
        f"of: {known}"
    )


def load_suite(path: Path) -> Suite:
    """Returns the suite in a YAML file, with the content of all suites that it includes.

    A suite that is included twice, by different ways, counts once.

    Raises:
        ManifestError: A file is missing or not valid, suites include each other in a circle, or two
            items have the same id or the same texts.
    """
    suites: dict[Path, Suite] = {}
    _collect(path.resolve(), (), suites)
    _check_unique(suites)
    merged: dict[str, Any] = {
        "items": tuple(item for suite in suites.values() for item in suite.items),
        "documents": tuple(text for suite in suites.values() for text in suite.documents),
        "outside": tuple(entry for suite in suites.values() for entry in suite.outside),
        "key_terms": _merged_terms(suites),
    }
    if not any(merged.values()):
        raise ManifestError(
            f"{path} has no items and includes none; add `items`, `documents`, `outside` or "
            "`include`"
        )
    return suites[path.resolve()].model_copy(update=merged)


def _check_unique(suites: Mapping[Path, Suite]) -> None:
    by_id: dict[str, Path] = {}
    by_texts: dict[tuple[tuple[str, str], ...], str] = {}
    for file, suite in suites.items():
        for entry in (*suite.items, *suite.documents, *suite.outside):
            kind = "outside set" if isinstance(entry, OutsideSet) else "item"
            name = entry.name if isinstance(entry, OutsideSet) else entry.id
            if name in by_id:
                raise ManifestError(
                    f"{file}, {kind} {name!r}: {by_id[name]} has an item of this id too, so "
                    "results could not be told apart; rename one"
                )
            by_id[name] = file
        for item in suite.items:
            twin = by_texts.setdefault(item.texts, item.id)
            if twin != item.id:
                raise ManifestError(
                    f"{file}, item {item.id!r}: item {twin!r} of {by_id[twin]} has the same texts, "
                    "so one answer would count twice; remove one"
                )


def _merged_terms(
    suites: Mapping[Path, Suite],
) -> dict[str, dict[Dimension, tuple[str, ...]]]:
    merged: dict[str, dict[Dimension, tuple[str, ...]]] = {}
    for suite in suites.values():
        for language, by_dimension in suite.key_terms.items():
            for dimension, terms in by_dimension.items():
                known = merged.setdefault(language, {})
                known[dimension] = tuple(dict.fromkeys((*known.get(dimension, ()), *terms)))
    return merged


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


_SHARED = {
    "items": ("language", "dimension"),
    "documents": ("language",),
    "outside": ("language", "dimension"),
}
"""What entries of a list take from the head of the file, where they do not say it themselves."""


def _read(path: Path) -> Suite:
    content = read_yaml(path)
    if isinstance(content, dict):
        for key, shared in _SHARED.items():
            if isinstance(content.get(key), list):
                defaults = {name: content[name] for name in shared if name in content}
                content[key] = [
                    defaults | _refusal_defaults(content, entry) | entry
                    if isinstance(entry, dict)
                    else entry
                    for entry in content[key]
                ]
        for entry in content.get("outside") or ():
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                entry["path"] = str(path.resolve().parent / entry["path"])
    return validated(Suite, content, str(path))


def _refusal_defaults(content: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    if entry.get("kind") != "refusal":
        return {}
    return {key: content[key] for key in ("frames", "answers") if key in content}


def _by_id(entries: Any) -> list[Any]:
    return sorted(entries, key=lambda entry: entry.id)
