"""How claims about rules are made, half of them right, with the correction of the others."""

from collections.abc import Iterator, Sequence

from raicurate.exercise_templates.exercises import WordedItem, hash64, mixed
from raicurate.transforms.clause_text import sentence
from raicurate.transforms.exercise_kinds import shuffled
from raicurate.transforms.lesson import Exercise, Lesson, Subject
from raicurate.transforms.situations import NUMBER, content_words

# Shorter ones ("if necessary") could belong to any rule.
_MIN_SWAPPED_CHARS = 20
_FLIPPED = {"requires": "obligation", "forbids": "prohibition", "allows": "permission"}


def truth_exercises(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Yields claims about a rule that are right or wrong, half and half, with the correction."""
    if item.name == "force":
        yield from _force_claims(lesson, item)
    else:
        yield from _swapped_claims(lesson, item)


def _force_claims(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Claims that the document requires, forbids or allows something."""
    plain, claim = lesson.words.plain, lesson.words.templates["claim"][0]
    right: dict[str, list[Subject]] = {}
    wrong: dict[str, list[Subject]] = {}
    for subject in lesson.subjects:
        clause = subject.clause
        if clause.modality not in _FLIPPED.values() or subject.plan is None:
            continue
        if not subject.can_be_judged or (clause.negated and clause.modality == "permission"):
            continue
        if "condition" in subject.text.fields or "exception" in subject.text.fields:
            continue
        right.setdefault(clause.modality, []).append(subject)
        for claimed in _FLIPPED.values():
            # What is required is allowed as well, so that claim would be true.
            if claimed != clause.modality and (clause.modality, claimed) != (
                "obligation",
                "permission",
            ):
                wrong.setdefault(claimed, []).append(subject)
    used: set[str] = set()
    for claimed in sorted(right):
        pools = [
            sorted(
                (s for s in pool.get(claimed, ()) if s.clause.id not in used),
                key=lambda s: mixed(s.seed ^ hash64(claimed)),
            )
            for pool in (right, wrong)
        ]
        for true_one, false_one in zip(*pools, strict=False):
            for subject, holds in ((true_one, True), (false_one, False)):
                used.add(subject.clause.id)
                statement = claim.render(
                    {
                        "force": plain.forces[claimed],
                        "plan": lesson.situations.quoted(str(subject.plan)),
                    }
                )
                yield _claim(lesson, item, subject, statement, holds, f"force.{claimed}")


def _swapped_claims(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Claims with the condition or exception of another clause, or with another number."""
    field = item.item.field
    if field is None:
        return
    ring = lesson.ring(field)
    pairs = []
    for index, subject in enumerate(ring):
        if subject.clause.lead is None and subject.is_whole:
            wrong = _wrong_version(subject, ring, index, field)
            if wrong is not None:
                pairs.append((subject, wrong))
    # Every other one is told as it is: so right and wrong claims are drawn from the same clauses.
    sort = f"swap.{field}"
    first = mixed(hash64(lesson.document) ^ hash64(sort)) & 1
    for number, (subject, wrong) in enumerate(pairs):
        holds = (number + first) % 2 == 0
        statement = subject.whole if holds else wrong
        yield _claim(lesson, item, subject, lesson.situations.quoted(statement), holds, sort)


def _wrong_version(subject: Subject, ring: Sequence[Subject], index: int, field: str) -> str | None:
    """Returns the clause with another number, or with the field of a sibling, or None."""
    if field == "quantity":
        changed = _changed_number(subject)
    else:
        changed = _sibling_words(subject, ring, index, field)
    if changed is None or changed == subject.text.fields[field]:
        return None
    text = subject.text.replaced(getattr(subject.clause, field), changed)
    return None if text is None else sentence(text, subject.clause.language)


def _changed_number(subject: Subject) -> str | None:
    """Returns the quantity with another number, larger or smaller by chance."""
    quantity = subject.text.fields["quantity"]
    numbers = list(NUMBER.finditer(quantity))
    if len(numbers) != 1:
        return None
    number = int(numbers[0][0])
    if number < 4:
        return None
    changed = number * 2 if mixed(subject.seed ^ 5) & 1 else number // 2
    return quantity[: numbers[0].start()] + str(changed) + quantity[numbers[0].end() :]


def _sibling_words(subject: Subject, ring: Sequence[Subject], index: int, field: str) -> str | None:
    """Returns the field of a sibling that begins with the same word, so that it fits in."""
    own, language = subject.text.fields[field], subject.clause.language
    for step in range(1, min(len(ring), 12)):
        other = ring[(index + step) % len(ring)]
        text = other.text.fields[field]
        if (
            text.split()[0].lower() == own.split()[0].lower()
            and len(text) >= _MIN_SWAPPED_CHARS
            and text.lower() not in subject.whole.lower()
            and content_words(own, language).isdisjoint(content_words(text, language))
        ):
            # The one taken away may open its sentence, and this one not.
            return (text[0].upper() if own[0].isupper() else text[0].lower()) + text[1:]
    return None


def _claim(
    lesson: Lesson, item: WordedItem, subject: Subject, statement: str, holds: bool, sort: str
) -> Exercise:
    plain = lesson.words.plain
    slots = {
        **subject.slots,
        "statement": statement,
        "holds": plain.holds["right" if holds else "wrong"],
        "correction": "" if holds else subject.slots["clause"],
    }
    seed = mixed(subject.seed ^ hash64(sort))
    right, wrong = plain.holds["right"], plain.holds["wrong"]
    answer, other = (right, wrong) if holds else (wrong, right)
    return lesson.exercise(
        item,
        subject,
        slots,
        sort=sort,
        seed=seed,
        gold=answer,
        choices=shuffled([answer, other], seed),
        situation=statement,
    )
