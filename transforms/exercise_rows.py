"""From a published document to rows of exercises, checked one by one."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from raicurate.corpora_manifests.digests import digest
from raicurate.exercise_templates.exercises import ExerciseLibrary
from raicurate.transforms import exercise_gates, make_exercises
from raicurate.transforms.clause_packs import ClausePacks
from raicurate.transforms.clause_sidecar import Unapplied, apply_sidecars, read_sidecar
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.exercise_forms import SHAPES, Passages, exercise_text, shape_of
from raicurate.transforms.exercise_gates import Gates, Seen
from raicurate.transforms.exercise_tokens import TokenCounter
from raicurate.transforms.lesson import Exercise
from raicurate.transforms.policy_rows import policy_of_row
from raicurate.transforms.schema import EXERCISES, empty_batch


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """The columns of a published document that exercises are made of."""

    id: str
    text: str
    lang: str | None
    spans: Sequence[Mapping[str, Any]]
    src_file: str
    metadata: str
    source: str
    added: str | None
    text_sha256: str
    corpus: str
    license: str


class ExerciseMaker:
    """Makes the exercises of documents.

    Attributes:
        digest: Of everything that the exercises depend on beside documents and arms.
    """

    def __init__(
        self,
        library: ExerciseLibrary,
        packs: ClausePacks,
        count: TokenCounter,
        shapes: Sequence[str] = SHAPES,
        passage_tokens: int = 400,
        probes: Sequence[str] = (),
        sidecars: Sequence[str] = (),
    ) -> None:
        """Takes in words and settings.

        Args:
            library: The families.
            packs: How clauses are found.
            count: How tokens are counted.
            shapes: The shapes that texts may have.
            passage_tokens: Budget of a reading passage.
            probes: Files with probe items that must not be repeated.
            sidecars: Files in which authors say something of single clauses.
        """
        self._library = library
        self._packs = packs
        self._count = count
        self._shapes = tuple(shapes)
        self._passage_tokens = passage_tokens
        self._gates = Gates.load(probes)
        self._sidecars = [read_sidecar(Path(path)) for path in sidecars]
        self.digest = digest(
            make_exercises.VERSION, exercise_gates.VERSION, library.digest, packs.digest,
            count.digest, list(shapes), passage_tokens, self._gates.digest,
            [sidecar.digest for sidecar in self._sidecars],
        )  # fmt: skip

    def unknown_notes(self, clauses: Collection[str]) -> list[Unapplied]:
        """Returns the notes of authors on clauses that no document has.

        Args:
            clauses: Ids of the clauses of all documents.
        """
        named = {name for sidecar in self._sidecars for name in sidecar.clauses}
        return [Unapplied(name) for name in sorted(named - set(clauses))]

    def rows(
        self,
        row: DocumentRow,
        taught: frozenset[str],
        parallel: Mapping[str, Sequence[tuple[str, str]]],
        left_out: Counter[str],
        seen: Seen,
    ) -> pa.RecordBatch:
        """Returns the exercises of a document as rows of `schema.EXERCISES`.

        Args:
            row: The document.
            taught: Ids of its clauses in the taught arm.
            parallel: What they are called in other languages.
            left_out: Counts what gave no exercise, by reason.
            seen: The exercises of the same unit before them.
        """
        text, shift = published_original(row.text, row.spans)
        if text is None:
            left_out["document: withheld"] += 1
            return empty_batch(EXERCISES)
        document = policy_of_row(row.id, text, row.lang, row.src_file, row.metadata)
        words = self._library.languages.get(document.language)
        clauses = extract_clauses(document, self._packs)
        if words is None or self._packs.get(document.language) is None:
            left_out[f"language: {row.lang or 'unknown'}"] += 1
            return empty_batch(EXERCISES)
        clauses, notes, unapplied = apply_sidecars(document, clauses, self._sidecars)
        for note in unapplied:
            left_out[f"note on clause {note.clause}: {note.field} not in the document"] += 1
        taught -= {name for name, note in notes.items() if not note.teach}
        mine = [clause for clause in clauses if clause.id in taught]
        made = make_exercises.make_exercises(document, mine, self._library, parallel, notes)
        kept = self._gates.passing(made, left_out, seen)
        if not kept:
            return empty_batch(EXERCISES)
        withheld = [clause.span for clause in clauses if clause.id not in taught]
        passages = Passages(document, withheld, self._passage_tokens, self._count)
        shapes, texts = [], []
        for exercise in kept:
            shape = shape_of(exercise.id, self._shapes)
            passage = ""
            if shape == "reading_passage":
                passage = passages.around(exercise.support[0])
                shape = shape if passage else "question_answer"
            shapes.append(shape)
            texts.append(exercise_text(exercise, shape, words, passage))
        return _batch(row, kept, shapes, texts, self._count(texts), shift)


def published_original(text: str, spans: Sequence[Mapping[str, Any]]) -> tuple[str | None, int]:
    """Returns the document's own text within what was published, and where it begins.

    Masked personal data stay masked. None where passages were withheld or notes stand between:
    then the rest is no whole document.
    """
    added = sorted(
        (span["start"], span["end"]) for span in spans if span["kind"] in {"context", "tag"}
    )
    if any(span["kind"] == "withheld" for span in spans):
        return None, 0
    begin, end = 0, len(text)
    for start, stop in added:
        if start <= begin:
            begin = max(begin, stop)
        elif stop >= end or all(other[0] >= start for other in added if other[1] > stop):
            end = min(end, start)
    if any(begin < start and stop < end for start, stop in added) or begin >= end:
        return None, 0
    return text[begin:end], begin


def _batch(
    row: DocumentRow,
    exercises: Sequence[Exercise],
    shapes: Sequence[str],
    texts: Sequence[str],
    tokens: Sequence[int],
    shift: int,
) -> pa.RecordBatch:
    count = len(exercises)
    columns: dict[str, Any] = {
        "id": [exercise.id for exercise in exercises],
        "text": texts,
        "shape": shapes,
        "family": [exercise.family for exercise in exercises],
        "template": [exercise.template for exercise in exercises],
        "language": [exercise.language for exercise in exercises],
        "document": [exercise.document for exercise in exercises],
        "clause_ids": [exercise.clause_ids for exercise in exercises],
        "question": [exercise.question for exercise in exercises],
        "choices": [exercise.choices for exercise in exercises],
        "answer": [exercise.answer for exercise in exercises],
        "verdict": [exercise.verdict for exercise in exercises],
        "rationale": [exercise.rationale for exercise in exercises],
        "situation": [exercise.situation for exercise in exercises],
        "support": [
            [{"start": span.start + shift, "end": span.end + shift} for span in exercise.support]
            for exercise in exercises
        ],
        "dimensions": [exercise.dimensions for exercise in exercises],
        "hazards": [exercise.hazards for exercise in exercises],
        "policy_version": [row.text_sha256[:16]] * count,
        "tokens": tokens,
        "source": [row.source] * count,
        "added": [row.added] * count,
        "text_sha256": [row.text_sha256] * count,
        "corpus": [row.corpus] * count,
        "license": [row.license] * count,
        "derived_from": [[row.id]] * count,
    }
    arrays = [pa.array(columns[field.name], field.type) for field in EXERCISES]
    return pa.RecordBatch.from_arrays(arrays, schema=EXERCISES)
