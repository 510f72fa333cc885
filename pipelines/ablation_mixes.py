"""The texts of a run's output in named mixes of equal bytes, for small models to read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from raicurate.corpora_manifests.ablation import AblationManifest, Mix
from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import utf8_bytes
from raicurate.probes.perplexity import shuffled

ADDED_KINDS = ("context", "tag")
"""Kinds of spans that the run put in."""

WARNING = "Warning: the following text may contain harmful content.\n\n"

_SENTENCES_OF_A_RULEBOOK = 30


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a document: added by the run, or of the document."""

    added: bool
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document of the output in pieces, in order."""

    id: str
    kept: bool
    pieces: tuple[Piece, ...]

    @property
    def original(self) -> str:
        """The document without what was added."""
        return "".join(piece.text for piece in self.pieces if not piece.added)

    @property
    def text(self) -> str:
        """The document as it is published."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def added(self) -> list[str]:
        """What was added, in order."""
        return [piece.text for piece in self.pieces if piece.added]


def pieces(text: str, spans: Sequence[Mapping[str, Any]]) -> tuple[Piece, ...]:
    """Returns a published text in pieces, neighbours of one kind together."""
    found: list[Piece] = []
    place = 0
    ends = [(len(text), len(text))]
    added = sorted((s["start"], s["end"]) for s in spans if s["kind"] in ADDED_KINDS)
    for start, end in [*added, *ends]:
        for is_added, part in ((False, text[place:start]), (True, text[start:end])):
            if part and found and found[-1].added == is_added:
                found[-1] = Piece(is_added, found[-1].text + part)
            elif part:
                found.append(Piece(is_added, part))
        place = max(place, end)
    return tuple(found)


def read_documents(run: Path, language: str) -> list[Document]:
    """Returns the documents of a run in a language, ordered by a digest of their ids.

    Raises:
        UsageError: There are none.
    """
    columns = ["id", "text", "spans", "action"]
    table = _table(run / "data", columns, ds.field("lang") == language)
    documents = [
        Document(row["id"], row["action"] == "keep", pieces(row["text"], row["spans"]))
        for row in table
        if row["text"]
    ]
    if not documents:
        raise UsageError(
            f"{run} holds no documents in {language!r} under data/, so there is nothing to mix; "
            "give the output of a finished run that has some"
        )
    return sorted(documents, key=lambda document: digest(document.id))


def read_exercises(run: Path, language: str) -> list[str]:
    """Returns the exercises of a run in a language, ordered by a digest of their ids."""
    rows = list(_table(run / "exercises", ["id", "text"], ds.field("language") == language))
    return [row["text"] for row in sorted(rows, key=lambda row: digest(row["id"]))]


def build_mixes(
    manifest: AblationManifest,
    documents: Sequence[Document],
    exercises: Sequence[str],
    rulebooks: Sequence[str],
) -> dict[Mix, list[str]]:
    """Returns the texts of each mix, all of the same number of bytes.

    Args:
        manifest: Which mixes, and how many bytes.
        documents: Of the run, in a fixed order.
        exercises: Of the run, in a fixed order.
        rulebooks: Neutral rulebooks that are not among what is asked.

    Raises:
        UsageError: A mix needs exercises or rulebooks and there are none, or a mix is empty.
    """
    wanted: list[Mix] = ["raw", *(mix for mix in manifest.mixes if mix != "raw")]
    for mix in wanted:
        needs_exercises = mix in ("with_exercises", "words_shuffled", "neutral_rulebooks")
        if (needs_exercises and not exercises) or (mix == "neutral_rulebooks" and not rulebooks):
            missing = "exercises" if not exercises else "neutral rulebooks in its language"
            raise UsageError(
                f"the mix {mix!r} needs {missing}, and there are none; leave it out of `mixes`, or "
                "give a run and a suite that have them"
            )
    donors = _donors(documents)
    sources: dict[Mix, Callable[[], Iterator[str]]] = {
        "raw": lambda: (document.original for document in documents),
        "filtered": lambda: (document.text for document in documents if document.kept),
        "contextualized": lambda: (document.text for document in documents),
        "with_exercises": lambda: (document.text for document in documents),
        "neutral_rulebooks": lambda: (document.original for document in documents),
        "words_shuffled": lambda: (
            _with(document, [_shuffle(text) for text in document.added]) for document in documents
        ),
        "context_swapped": lambda: (
            _with(document, donors.get(document.id, ())) for document in documents
        ),
        "generic_warning": lambda: (_with(document, [WARNING]) for document in documents),
    }
    size = min(manifest.bytes, *(_available(sources[mix]()) for mix in wanted))
    if size == 0:
        raise UsageError(
            "one of the mixes is empty, so none of equal bytes can be made; leave `filtered` out "
            "if the run kept no document as it is"
        )
    share = int(size * manifest.exercise_share)
    added: dict[Mix, Callable[[], Iterator[str]]] = {
        "with_exercises": lambda: iter(exercises),
        "words_shuffled": lambda: (_shuffle(text) for text in exercises),
        "neutral_rulebooks": lambda: _recombined(rulebooks),
    }
    mixes = {}
    for mix in wanted:
        extra = list(_cut(added[mix](), share)) if mix in added else []
        rest = size - sum(map(utf8_bytes, extra))
        texts = [*extra, *_cut(sources[mix](), rest)]
        mixes[mix] = sorted(texts, key=lambda text: digest("order", text))
    return mixes


def _table(folder: Path, columns: list[str], condition: ds.Expression) -> Iterator[dict[str, Any]]:
    if not folder.is_dir():
        return
    dataset = ds.dataset(folder, format="parquet")
    for batch in dataset.to_batches(columns=columns, filter=condition):
        yield from batch.to_pylist()


def _with(document: Document, replacements: Sequence[str]) -> str:
    """Returns a document with other texts in place of those that the run added, as many as fit."""
    if not document.added:
        return document.text
    others = iter(replacements)
    texts = [next(others, "") if piece.added else piece.text for piece in document.pieces]
    return "".join([*texts, *others])


def _donors(documents: Sequence[Document]) -> dict[str, Sequence[str]]:
    """Returns for each document with context the added texts of another one, far away."""
    with_context = [document for document in documents if document.added]
    shift = len(with_context) // 2
    moved = [*with_context[shift:], *with_context[:shift]]
    return {document.id: donor.added for document, donor in zip(with_context, moved, strict=True)}


def _available(texts: Iterator[str]) -> int:
    return sum(map(utf8_bytes, texts))


def _cut(texts: Iterator[str], size: int) -> Iterator[str]:
    """Yields texts of `size` bytes together, or of fewer by less than one character."""
    for text in texts:
        content = text.encode()
        if len(content) >= size:
            yield content[:size].decode(errors="ignore")
            return
        size -= len(content)
        yield text


def _recombined(rulebooks: Sequence[str]) -> Iterator[str]:
    """Yields rulebooks without end, made of lines of those that there are."""
    lines = sorted({line for text in rulebooks for line in text.splitlines() if line.strip()})
    turn = 0
    while True:
        order = sorted(lines, key=lambda line: digest(line, turn))
        for start in range(0, len(order), _SENTENCES_OF_A_RULEBOOK):
            yield "\n".join(order[start : start + _SENTENCES_OF_A_RULEBOOK]) + "\n"
        turn += 1


def _shuffle(text: str) -> str:
    return shuffled(text, digest(text), "words_shuffled")
