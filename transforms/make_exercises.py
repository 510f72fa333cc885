"""From the clauses of a document to its exercises."""

from collections.abc import Iterator, Mapping, Sequence

from raicurate.exercise_templates.exercises import ExerciseLibrary
from raicurate.transforms.clause import Clause
from raicurate.transforms.clause_sidecar import AuthoredClause
from raicurate.transforms.judgement_kinds import ALL_MAKERS
from raicurate.transforms.lesson import Exercise, Lesson
from raicurate.transforms.policy_document import PolicyDocument

VERSION = "3"
"""Raised whenever the same clauses and templates give other exercises."""


def make_exercises(
    document: PolicyDocument,
    clauses: Sequence[Clause],
    library: ExerciseLibrary,
    parallel: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    notes: Mapping[str, AuthoredClause] | None = None,
) -> Iterator[Exercise]:
    """Yields the exercises of a document, family by family.

    Args:
        document: The document; a language without words gives no exercise.
        clauses: Its clauses of the taught arm, and no others: whatever stands here may become a
            question, a distractor or a circumstance of a case.
        library: The families.
        parallel: What the clauses are called in other languages, by clause id.
        notes: What authors say of clauses, by clause id.
    """
    words = library.languages.get(document.language)
    if words is None or not clauses:
        return
    numbers = {
        block.span.start: int(digits)
        for block in document.blocks
        if block.kind == "item" and (digits := block.marker.strip(" ().")).isdecimal()
    }
    lesson = Lesson(document.id, clauses, document.words, words, parallel, numbers, notes)
    for kind, items in words.items.items():
        maker = ALL_MAKERS[kind]
        taken: dict[tuple[str, str], int] = {}
        seen: set[str] = set()
        for item in items:
            limit = item.family.per_clause
            for exercise in maker(lesson, item):
                place = (exercise.family, exercise.clause_ids[0])
                if taken.get(place, 0) >= limit or exercise.id in seen:
                    continue
                seen.add(exercise.id)
                taken[place] = taken.get(place, 0) + 1
                yield exercise
