"""How exercises are made of cases: judgements, near-miss twins, repairs, governing clauses."""

from collections.abc import Iterator, Sequence

from raicurate.exercise_templates.exercises import WordedItem, hash64, mixed
from raicurate.transforms.claim_kinds import truth_exercises
from raicurate.transforms.deontic import Case, verdict
from raicurate.transforms.exercise_kinds import MAKERS, shuffled
from raicurate.transforms.lesson import CHOICES, Exercise, Lesson, Subject
from raicurate.transforms.worded_cases import (
    CaseWriter,
    WordedCase,
    balanced,
    case_writer,
    shuffle_key,
)


def judgement_exercises(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Yields cases to be judged under the clause that is quoted."""
    writer = case_writer(lesson)
    cases = [case for subject in writer.judged for case in writer.cases(subject)]
    options = lesson.words.plain.verdict_choices
    for case in balanced(cases, item.family.per_clause):
        slots = {
            **case.subject.slots,
            "case": case.text,
            "label": lesson.words.plain.verdicts[case.verdict],
            "reason": case.reason,
        }
        seed = shuffle_key(case)
        others = [name for name in options if name != case.verdict]
        yield lesson.exercise(
            item,
            case.subject,
            slots,
            sort=case.sort,
            seed=seed,
            gold=options[case.verdict],
            choices=shuffled([options[name] for name in (case.verdict, *others)], seed),
            verdict=case.verdict,
            others=case.others,
            situation=case.text,
        )


def twin_exercises(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Yields two cases that differ in one point, with other verdicts."""
    writer = case_writer(lesson)
    for pair in _twins(lesson, writer, item.family.per_clause):
        seed = mixed(shuffle_key(pair[0]) ^ hash64("twin"))
        first, second = pair[::-1] if seed & 1 else pair
        verdicts = lesson.words.plain.verdicts
        slots = {
            **first.subject.slots,
            "case": first.text,
            "label": verdicts[first.verdict],
            "reason": first.reason,
            "twin": second.text,
            "twin_label": verdicts[second.verdict],
            "twin_reason": second.reason,
        }
        yield lesson.exercise(
            item,
            first.subject,
            slots,
            sort=f"{first.sort}:{second.sort}",
            seed=seed,
            verdict=first.verdict,
            situation=first.text,
        )


def _twins(
    lesson: Lesson, writer: CaseWriter, per_clause: int
) -> Iterator[tuple[WordedCase, WordedCase]]:
    """Yields pairs of cases: one circumstance, the limit, or the act itself is changed."""
    by_act: dict[str, list[tuple[WordedCase, WordedCase]]] = {}
    for subject in writer.judged:
        made = 0
        cases = [case for case in writer.cases(subject, one_frame=True) if not case.others]
        for index, first in enumerate(cases):
            for second in cases[index + 1 :]:
                if first.verdict == second.verdict:
                    continue
                acts = first.cell[:4], second.cell[:4]
                if acts[0] == acts[1] and _one_mark_apart(first.cell, second.cell):
                    if made < per_clause:
                        made += 1
                        yield first, second
                elif acts[0] != acts[1] and first.cell[4:] == second.cell[4:] == "":
                    by_act.setdefault(first.verdict, []).append((first, second))
        if made < per_clause:
            yield from _limits(lesson, writer, subject)
    # The act decides: as often by doing as by leaving, or the case alone would tell.
    done_violates = by_act.get("violates", [])
    done_complies = by_act.get("complies", [])
    for pair in zip(done_violates, done_complies, strict=False):
        yield from pair


def _one_mark_apart(first: str, second: str) -> bool:
    return (
        len(first) == len(second) and sum(a != b for a, b in zip(first, second, strict=True)) == 1
    )


def _limits(
    lesson: Lesson, writer: CaseWriter, subject: Subject
) -> Iterator[tuple[WordedCase, WordedCase]]:
    """Yields a case within the clause's limit and one beyond it."""
    quantity = subject.text.fields.get("quantity")
    fields = subject.text.fields
    if (
        quantity is None
        or subject.clause.modality != "obligation"
        or "condition" in fields
        or "exception" in fields
    ):
        return
    pair = []
    for keeps in (True, False):
        value = lesson.situations.other_value(quantity, keeps)
        found = verdict("obligation", Case(True, within_limit=keeps))
        if value is None or found is None:
            return
        said = lesson.words.templates["value"][0].render({"value": value[0]})
        reason = writer.reason("within_limit" if keeps else "over_limit", subject, value=value[0])
        pair.append(WordedCase(subject, said, found, reason, f"value{keeps:d}", f"value{keeps:d}"))
    yield pair[0], pair[1]


def repair_exercises(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Yields violating cases and what must change so that they comply."""
    writer = case_writer(lesson)
    for subject in writer.judged:
        cases = [c for c in writer.cases(subject) if c.verdict == "violates" and not c.others]
        if not cases or subject.plan is None:
            continue
        case = min(cases, key=shuffle_key)
        if subject.clause.modality not in {"obligation", "prohibition"}:
            continue
        plan = lesson.situations.quoted(subject.plan)
        cure = writer.reason(f"cure_{subject.clause.modality}", subject, plan=plan)
        if "exception" in subject.text.fields:
            cure += lesson.words.plain.sentence_joiner + writer.reason("cure_exception", subject)
        slots = {
            **subject.slots,
            "case": case.text,
            "label": lesson.words.plain.verdicts["violates"],
            "reason": case.reason,
            "cure": cure,
        }
        yield lesson.exercise(item, subject, slots, rationale=case.reason)


def governing_exercises(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Yields cases with four clauses, of which one governs the case."""
    writer = case_writer(lesson)
    ring = sorted(
        (s for s in writer.judged if s.clause.lead is None and s.plan is not None),
        key=lambda s: mixed(s.seed ^ hash64("governing")),
    )
    if len(ring) < CHOICES:
        return
    for index, subject in enumerate(ring):
        cases = [c for c in writer.cases(subject) if not c.others and c.verdict != "not_covered"]
        if not cases:
            continue
        case = min(cases, key=shuffle_key)
        siblings = [
            sibling.whole
            for step in range(1, len(ring))
            if (sibling := ring[(index + step) % len(ring)]).content.isdisjoint(subject.content)
        ]
        options = _beside(subject.whole, siblings, subject.seed)
        if options is None:
            continue
        slots = {
            **subject.slots,
            "case": case.text,
            "gold": subject.slots["clause"],
            "label": lesson.words.plain.verdicts[case.verdict],
            "reason": case.reason,
        }
        yield lesson.exercise(
            item,
            subject,
            slots,
            gold=options[0],
            choices=shuffled(options, mixed(subject.seed ^ hash64(item.name))),
            verdict=case.verdict,
        )


def _beside(gold: str, siblings: Sequence[str], seed: int) -> list[str] | None:
    """Returns the right option and three others, of which a drawn number is longer than it."""
    longer = [text for text in siblings if len(text) > len(gold)]
    shorter = [text for text in siblings if len(text) <= len(gold) and text != gold]
    wanted = mixed(seed ^ hash64("longer")) % CHOICES
    options = [gold, *longer[:wanted], *shorter[: CHOICES - 1 - wanted]]
    return options if len(set(options)) == CHOICES else None


ALL_MAKERS = {
    **MAKERS,
    "judgement": judgement_exercises,
    "twin": twin_exercises,
    "truth": truth_exercises,
    "repair": repair_exercises,
    "governing": governing_exercises,
}
"""How the exercises of each kind are made."""
