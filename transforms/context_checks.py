"""The models behind the acceptance of context: the annotators, and what they said already.

Context from templates is made of wordings that ship, and the models that judge it ship as well, so
their verdicts are stored beside them: a run that only moves a threshold loads no model. Stored
verdicts hold for exactly those models; with others, the models are asked.

    python -m raicurate.transforms.context_checks

asks the models that ship about the wordings that ship, and stores the answers.
"""

import base64
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.policy import PLAIN_THRESHOLD
from raicurate.exercise_templates.context import ContextLibrary
from raicurate.transforms import registry
from raicurate.transforms.piece_verdicts import Objects, piece_digest
from raicurate.transforms.registry import Annotator
from raicurate.transforms.verify_context import VERSION, Checks

STORED = Path(__file__).with_name("models") / "context_verdicts.json"
"""Digests of the wordings to which the models that ship do not object."""

_DIGEST_BYTES = 8


@functools.cache
def set_up(annotator: Annotator) -> None:
    """Loads the models of an annotator, once for each process."""
    annotator.setup()


def checks_of(annotators: Sequence[Annotator], stored: Path | None = STORED) -> Checks:
    """Returns the checks by the annotators for language and harm, as far as they are there.

    Args:
        annotators: The annotators; none is set up before it is asked.
        stored: Verdicts that need not be asked for; None to ask for all.
    """
    by_name = {annotator.name: annotator for annotator in annotators}
    language, harm = by_name.get("language"), by_name.get("harm")
    return Checks(
        language_of=None if language is None else functools.partial(_languages, language),
        labelled_intent=None if harm is None else functools.partial(_intents, harm),
        told=_cleared(stored, language),
        harmless=_cleared(stored, harm),
    )


@functools.lru_cache(maxsize=4)
def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(path.read_bytes())
    return content


def _cleared(path: Path | None, annotator: Annotator | None) -> frozenset[bytes]:
    """Returns what an annotator cleared, where the verdicts are those of this very annotator."""
    if path is None or annotator is None or not path.is_file():
        return frozenset()
    content = _read(path)[annotator.name]
    if content["judge"] != _judge(annotator):
        return frozenset()
    joined = base64.b64decode(content["cleared"])
    return frozenset(
        joined[start : start + _DIGEST_BYTES] for start in range(0, len(joined), _DIGEST_BYTES)
    )


def _judge(annotator: Annotator) -> str:
    return digest(VERSION, list(annotator.identity()))


def verdicts(library: ContextLibrary, language: Annotator, harm: Annotator) -> dict[str, Any]:
    """Returns what annotators say of all wordings of a library, in the form of `STORED`."""
    checks = checks_of((language, harm), stored=None)
    return {
        annotator.name: {"judge": _judge(annotator), "cleared": _encoded(library, objects)}
        for annotator, objects in (
            (language, checks.in_other_language),
            (harm, checks.labelled_alone),
        )
    }


def _encoded(library: ContextLibrary, objects: Objects) -> str:
    cleared = []
    for lang in library.languages:
        pieces = pieces_of(library, lang)
        for piece, objected in zip(pieces, objects(pieces, lang), strict=True):
            if not objected:
                cleared.append(piece_digest(lang, piece))
    return base64.b64encode(b"".join(sorted(cleared))).decode()


def pieces_of(library: ContextLibrary, lang: str) -> list[str]:
    """Returns every wording of a language, once and sorted."""
    return sorted(set(library.pieces_of(lang)) - {""})


def main() -> None:
    """Stores the verdicts of the models that ship on the wordings that ship."""
    language, harm = (registry.create(name, {}) for name in ("language@1", "harm@1"))
    content = verdicts(ContextLibrary.load(), language, harm)
    STORED.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")


def _languages(annotator: Annotator, texts: Sequence[str]) -> list[str | None]:
    langs: list[str | None] = _column(annotator, "lang", _texts(texts)).to_pylist()
    return langs


def _intents(annotator: Annotator, texts: Sequence[str], langs: Sequence[str]) -> list[bool]:
    """Returns which texts a model labels, at its own thresholds.

    Those of a policy do not count here, so that moving one changes no text.
    """
    batch = _texts(texts).append_column("lang", pa.array(langs, pa.string()))
    hazards = _column(annotator, "hazards", batch).to_pylist()
    return [
        any(
            entry["stance"] == "intent"
            and entry["score"] >= (entry["threshold"] or PLAIN_THRESHOLD)
            for entry in found or ()
        )
        for found in hazards
    ]


def _texts(texts: Sequence[str]) -> pa.RecordBatch:
    ids = [digest(text) for text in texts]
    return pa.RecordBatch.from_pydict({"id": ids, "text": pa.array(texts, pa.string())})


def _column(annotator: Annotator, name: str, batch: pa.RecordBatch) -> pa.Array:
    set_up(annotator)
    return annotator.annotate(batch)[annotator.columns.index(name)]


if __name__ == "__main__":
    main()
