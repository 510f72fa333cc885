"""Model references as people give them: one model, or a family of checkpoints by a glob."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from raicurate.corpora_manifests.errors import UsageError

_GLOB = re.compile(r"[*?\[]")
_STEP = re.compile(r"(?:step|iter|checkpoint|global_step)[-_=]?(\d+)", re.IGNORECASE)
_TOKENS = re.compile(
    r"tokens?[-_=]?(\d+(?:\.\d+)?)([KMBT]?)(?![a-z0-9])|(\d+(?:\.\d+)?)([KMBT])[-_]?tokens?",
    re.IGNORECASE,
)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


@dataclass(frozen=True, slots=True)
class ModelReference:
    """One model to probe.

    Attributes:
        reference: What `backend.open_backend` opens.
        label: Its name in reports; unique among the models of a probe.
        family: The glob that it comes from; null where it was named by itself.
        step: Training step, where its name says it.
        tokens: Training tokens, where its name says them.
    """

    reference: str
    label: str
    family: str | None = None
    step: int | None = None
    tokens: int | None = None


def model_references(given: Sequence[str]) -> list[ModelReference]:
    """Returns the models that references name, in order; checkpoints of a family by their progress.

    A reference is `KIND:PLACE` as `backend.open_backend` takes it, or `LABEL=KIND:PLACE`. A place
    with `*`, `?` or `[...]` is a family: all files or folders that fit, ordered by the tokens, else
    the steps in their names (`step1000`, `tokens2B`, `500M-tokens`).

    Raises:
        UsageError: A family is empty, or a model is given twice.
    """
    found: list[ModelReference] = []
    for text in given:
        label, reference = _labelled(text)
        kind, colon, place = reference.rpartition(":") if "://" not in reference else ("", "", "")
        if place and _GLOB.search(place):
            found.extend(_family(label, kind + colon, place))
        else:
            found.append(_one(reference, label or _name(reference)))
    return _unique(found)


def progress_of(place: str) -> tuple[int | None, int | None]:
    """Returns the training step and the training tokens that a path names, where it does."""
    step, tokens = _STEP.search(place), _TOKENS.search(place)
    count = None
    if tokens:
        number, unit = (tokens[1], tokens[2]) if tokens[1] else (tokens[3], tokens[4])
        count = round(float(number) * _UNITS[unit.lower()])
    return (int(step[1]) if step else None), count


def _labelled(text: str) -> tuple[str | None, str]:
    label, equals, rest = text.partition("=")
    if equals and rest and re.fullmatch(r"[\w.+ -]{1,60}", label):
        return label, rest
    return None, text


def _family(label: str | None, prefix: str, place: str) -> list[ModelReference]:
    pattern, comma, settings = place.partition(",")
    places = sorted(glob.glob(pattern))  # noqa: PTH207 -- a pattern may be absolute
    if not places:
        raise UsageError(
            f"no checkpoint fits {pattern}, so there is nothing to probe; correct the glob (quote "
            "it, so that the shell leaves it alone)"
        )
    family = label or pattern
    checkpoints = [
        replace(_one(f"{prefix}{path}{comma}{settings}", _name(path)), family=family)
        for path in places
    ]
    if label:
        checkpoints = [replace(one, label=f"{label} {one.label}") for one in checkpoints]
    return sorted(
        checkpoints,
        key=lambda one: (one.tokens is None, one.tokens or 0, one.step or 0, one.reference),
    )


def _one(reference: str, label: str) -> ModelReference:
    step, tokens = progress_of(reference)
    return ModelReference(reference, label, None, step, tokens)


def _name(reference: str) -> str:
    place = reference.split(",", maxsplit=1)[0]
    if "://" in reference:
        settings = dict(part.partition("=")[::2] for part in reference.split(",")[1:])
        return settings.get("model") or place
    kind, colon, rest = place.partition(":")
    path = PurePath(rest if colon and len(kind) > 1 else place)
    return path.name.removesuffix(".npz") or place


def _unique(found: Sequence[ModelReference]) -> list[ModelReference]:
    references = [one.reference for one in found]
    for one in found:
        if references.count(one.reference) > 1:
            raise UsageError(
                f"the model {one.reference} is given twice; to see that a probe finds no "
                "difference where there is none, copy the model and give both"
            )
    labels = [one.label for one in found]
    return [
        one if labels.count(one.label) == 1 else replace(one, label=_longer(one)) for one in found
    ]


def _longer(one: ModelReference) -> str:
    """A label with the folder before the name, for models of the same name."""
    place = one.reference.split(",")[0].rpartition(":")[2]
    return "/".join(PurePath(place).parts[-2:]) or one.reference
