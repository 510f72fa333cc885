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
from raicurate.transforms.clause import Span
from raicurate.transforms.clause_packs import ClausePacks
from raicurate.transforms.clause_sidecar import Unapplied, apply_sidecars, read_sidecar
from raicurate.transforms.clauses import VERSION as CLAUSES_VERSION
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.exercise_forms import SHAPES, Passages, exercise_text, shape_of
from raicurate.transforms.exercise_gates import Gates, Seen
from raicurate.transforms.exercise_language import text_language
from raicurate.transforms.exercise_tokens import TokenCounter
from raicurate.transforms.lesson import Exercise
from raicurate.transforms.policy_document import PolicyDocument
from raicurate.transforms.policy_rows import policy_of_row
from raicurate.transforms.schema import EXERCISES


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


@dataclass(frozen=True, slots=True)
class DocumentExercises:
    """The exercises of one document, before they are put into shape.

    Attributes:
        row: The document as it was published.
        document: Its sections and blocks.
        withheld: Stretches of it that must stand in no passage.
        shift: Where its own text begins within what was published.
        exercises: Its exercises.
    """

    row: DocumentRow
    document: PolicyDocument
    withheld: Sequence[Span]
    shift: int
    exercises: Sequence[Exercise]


class ExerciseMaker:
    """Makes the exercises of documents.

    Attributes:
        library: The families.
        packs: How clauses are found.
        gates: What each exercise is held against.
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
        self.library = library
        self.packs = packs
        self._count = count
        self._shapes = tuple(shapes)
        self._passage_tokens = passage_tokens
        self.gates = Gates.load(probes, text_language())
        self._sidecars = [read_sidecar(Path(path)) for path in sidecars]
        self.digest = digest(
            CLAUSES_VERSION, make_exercises.VERSION, exercise_gates.VERSION, library.digest,
            packs.digest,
            count.digest, list(shapes), passage_tokens, self.gates.digest,
            [sidecar.digest for sidecar in self._sidecars],
        )  # fmt: skip

    def unknown_notes(self, clauses: Collection[str]) -> list[Unapplied]:
        """Returns the notes of authors on clauses that no document has.

        Args:
            clauses: Ids of the clauses of all documents.
        """
        named = {name for sidecar in self._sidecars for name in sidecar.clauses}
        return [Unapplied(name) for name in sorted(named - set(clauses))]

    def made(
        self,
        row: DocumentRow,
        taught: frozenset[str],
        parallel: Mapping[str, Sequence[tuple[str, str]]],
        left_out: Counter[str],
        seen: Seen,
    ) -> "DocumentExercises | None":
        """Returns the exercises of a document, or None where there are none.

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
            return None
        document = policy_of_row(row.id, text, row.lang, row.src_file, row.metadata)
        clauses = extract_clauses(document, self.packs)
        if (
            document.language not in self.library.languages
            or self.packs.get(document.language) is None
        ):
            left_out[f"language: {row.lang or 'unknown'}"] += 1
            return None
        clauses, notes, unapplied = apply_sidecars(document, clauses, self._sidecars)
        for note in unapplied:
            left_out[f"note on clause {note.clause}: {note.field} not in the document"] += 1
        taught -= {name for name, note in notes.items() if not note.teach}
        mine = [clause for clause in clauses if clause.id in taught]
        made = make_exercises.make_exercises(document, mine, self.library, parallel, notes)
        kept = self.gates.passing(made, left_out, seen)
        withheld = [clause.span for clause in clauses if clause.id not in taught]
        return DocumentExercises(row, document, withheld, shift, kept) if kept else None

    def batch(self, made: "DocumentExercises") -> pa.RecordBatch:
        """Returns the exercises of a document as rows of `schema.EXERCISES`."""
        passages = Passages(made.document, made.withheld, self._passage_tokens, self._count)
        words = self.library.languages[made.document.language]
        shapes, texts = [], []
        for exercise in made.exercises:
            shape = shape_of(exercise.id, self._shapes)
            passage = ""
            if shape == "reading_passage":
                passage = passages.around(exercise.support[0])
                shape = shape if passage else "question_answer"
            shapes.append(shape)
            texts.append(exercise_text(exercise, shape, words, passage))
        return _batch(made.row, made.exercises, shapes, texts, self._count(texts), made.shift)


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
