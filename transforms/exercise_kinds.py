"""How exercises are made of the words of clauses: free answers, choices, orders, comparisons."""

from collections.abc import Callable, Iterator, Sequence

from raicurate.exercise_templates.exercises import Kind, WordedItem, hash64, mixed
from raicurate.transforms.clause import DEONTIC
from raicurate.transforms.clause_text import sentence
from raicurate.transforms.lesson import CHOICES, Exercise, Lesson, Subject, fits

Maker = Callable[[Lesson, WordedItem], Iterator[Exercise]]

_MIN_STEPS, _MAX_STEPS = 3, 6
_SAME = 0.6
_COMMON = 2
_REQUEST_CHARS = 160


def open_exercises(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Yields questions whose answer is put together from the fields of the clause."""
    for subject in lesson.subjects:
        if not fits(item.item, subject):
            continue
        slots = _slots(subject, item)
        if slots is None:
            continue
        yield lesson.exercise(
            item, subject, slots, fields=item.item.needs if item.item.hides else ()
        )


def _slots(subject: Subject, item: WordedItem) -> dict[str, object] | None:
    """Returns the slots of a clause with `rule` as the item wants it, or None."""
    if not item.item.hides:
        return subject.slots
    rule = subject.rule_without(item.item.hides, item.item.blank)
    return None if rule is None else {**subject.slots, "rule": rule}


def choice_exercises(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Yields choices between the right field and those of sibling clauses."""
    field = item.item.field
    if field is None:
        return
    # Each text is right once: were a frequent one right more often, it could be guessed.
    by_text = {
        subject.text.fields[field].lower(): subject
        for subject in lesson.ring(field)
        if fits(item.item, subject)
    }
    ring = list(by_text.values())
    if len(ring) < CHOICES:
        return
    for index, subject in enumerate(ring):
        slots = _slots(subject, item)
        if slots is None:
            continue
        gold = _option(subject, item)
        options = [gold]
        for step in range(1, len(ring)):
            sibling = ring[(index + step) % len(ring)]
            option = _option(sibling, item)
            if not _could_be_true(subject, sibling, field, options, option):
                options.append(option)
            if len(options) == CHOICES:
                break
        if len(options) < CHOICES:
            continue
        slots = {**slots, "gold": lesson.situations.quoted(gold.rstrip(".。।"))}
        yield lesson.exercise(
            item,
            subject,
            slots,
            gold=gold,
            choices=shuffled(options, subject.seed ^ hash64(item.name)),
            fields=(field,),
        )


def _option(subject: Subject, item: WordedItem) -> str:
    """Returns a field as an option: all begin alike, so that no capital tells the place."""
    text = sentence(subject.text.fields[str(item.item.field)], subject.clause.language)
    return text.rstrip(".。।") if item.item.blank else text


def _could_be_true(
    subject: Subject, sibling: Subject, field: str, options: Sequence[str], option: str
) -> bool:
    """Returns whether a sibling's field might also be right, or repeats another option."""
    first, second = getattr(subject.clause, field), getattr(sibling.clause, field)
    if first == second:
        return True
    folded = option.lower().rstrip(".。।")
    if folded in subject.whole.lower():
        return True
    mine = {known.lower().rstrip(".。।") for known in options}
    if any(folded in known or known in folded for known in mine):
        return True
    object_of = subject.text.fields.get("object", "").lower()
    if object_of and object_of == sibling.text.fields.get("object", "").lower():
        return True
    # Two rules that differ in nothing but this field would both be answers.
    shared = len(subject.content & sibling.content)
    return shared >= _SAME * max(len(subject.content), len(sibling.content), 1)


def shuffled(options: Sequence[str], seed: int) -> tuple[str, ...]:
    """Returns options in an order that depends on the seed alone, the first evenly placed."""
    rest = sorted(options[1:], key=lambda option: (mixed(seed ^ hash64(option)), option))
    rest.insert(mixed(seed) % len(options), options[0])
    return tuple(rest)


def order_exercises(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Yields numbered lists whose items have to be put into their order."""
    groups: dict[tuple[int, int], list[Subject]] = {}
    for subject in lesson.subjects:
        lead = subject.clause.lead
        if lead is not None and subject.number is not None:
            groups.setdefault((lead.start, lead.end), []).append(subject)
    for members in groups.values():
        numbers = [subject.number for subject in members]
        if not _MIN_STEPS <= len(members) <= _MAX_STEPS or numbers != list(
            range(1, len(members) + 1)
        ):
            continue
        first = members[0]
        texts = [sentence(s.text.body, s.clause.language) for s in members]
        if len(set(texts)) < len(texts) or not lesson.situations.is_sequence(first.text.lead):
            continue
        mixed_up = sorted(texts, key=lambda text: mixed(first.seed ^ hash64(text)))
        if mixed_up == texts:
            mixed_up = mixed_up[::-1]
        letters = [chr(ord("A") + index) for index in range(len(texts))]
        label = dict(zip(mixed_up, letters, strict=True))
        slots = {
            **first.slots,
            "lead": lesson.situations.quoted(first.text.lead),
            "items": "\n".join(f"{label[text]}. {text}" for text in mixed_up),
            "ordered": ", ".join(label[text] for text in texts),
        }
        yield lesson.exercise(item, first, slots, rationale="\n".join(texts), others=members[1:])


def comparison_exercises(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Yields pairs of clauses on the same point, each clause once."""
    deontic = [
        s
        for s in lesson.subjects
        if s.clause.modality in DEONTIC and s.clause.lead is None and s.is_settled
    ]
    used: set[str] = set()
    for index, subject in enumerate(deontic):
        if subject.clause.id in used:
            continue
        for sibling in deontic[index + 1 : index + 9]:
            if sibling.clause.id in used or not _same_point(subject, sibling):
                continue
            used.update((subject.clause.id, sibling.clause.id))
            slots = {
                **subject.slots,
                "other": sibling.slots["clause"],
                "other_source": sibling.slots["source"],
                "sentences": _compared(lesson, subject, sibling),
            }
            yield lesson.exercise(item, subject, slots, others=(sibling,))
            break


def _same_point(first: Subject, second: Subject) -> bool:
    """Returns whether two clauses name the same object, or share the words of their acts."""
    mine, theirs = first.text.fields, second.text.fields
    if first.whole == second.whole or "action" not in mine or "action" not in theirs:
        return False
    shared = len(first.content & second.content)
    if mine.get("object") and mine["object"].lower() == theirs.get("object", "").lower():
        return shared >= _COMMON
    return shared > _COMMON and shared >= min(len(first.content), len(second.content)) / 3


def _compared(lesson: Lesson, first: Subject, second: Subject) -> str:
    """Returns what two records have in common and where they differ, in sentences."""
    templates, plain = lesson.words.templates, lesson.words.plain
    mine, theirs = first.slots, second.slots
    names = []
    same = first.force == second.force
    names.append("same_modality" if same else "other_modality")
    conditions = bool(mine["condition"]), bool(theirs["condition"])
    names.append(
        {
            (True, True): "both_conditional",
            (True, False): "first_conditional",
            (False, True): "second_conditional",
            (False, False): "unconditional",
        }[conditions]
    )
    if bool(mine["exception"]) is not bool(theirs["exception"]):
        names.append("first_exception" if mine["exception"] else "second_exception")
    sentences = []
    for name in names:
        owner = theirs if name.startswith("second") else mine
        sentences.append(
            templates[f"compared_{name}"][0].render(
                {
                    "force": mine["modality_label"],
                    "other_force": theirs["modality_label"],
                    "condition": owner["condition"],
                    "other": theirs["condition"],
                    "exception": owner["exception"],
                }
            )
        )
    return plain.sentence_joiner.join(sentences)


def parallel_exercises(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Yields clauses to be told in a language in which the same document exists."""
    names = lesson.words.plain.names
    for subject in lesson.subjects:
        known = [pair for pair in lesson.parallel.get(subject.clause.id, ()) if pair[0] in names]
        if not known:
            continue
        language, text = known[subject.seed % len(known)]
        slots = {
            **subject.slots,
            "foreign": text,
            "foreign_language": names[language],
        }
        yield lesson.exercise(item, subject, slots, sort=f"{item.name}.{language}")


def request_exercises(lesson: Lesson, item: WordedItem) -> Iterator[Exercise]:
    """Yields a refused request with the policy's reason, and a benign request that is helped.

    The refused one asks for help with what a clause forbids without a condition; its twin with
    what a sibling clause requires.
    """
    plans = [s for s in lesson.subjects if s.clause.modality == "obligation" and _askable(s)]
    if not plans:
        return
    for index, subject in enumerate(
        s for s in lesson.subjects if s.clause.modality == "prohibition" and _askable(s)
    ):
        twin = plans[index % len(plans)]
        slots = {
            **subject.slots,
            "wish": lesson.situations.quoted(str(subject.plan)),
            "helped": lesson.situations.quoted(str(twin.plan)),
        }
        yield lesson.exercise(item, subject, slots, others=(twin,))


def _askable(subject: Subject) -> bool:
    fields = subject.text.fields
    plan = subject.plan
    return (
        plan is not None
        and subject.can_be_judged
        and len(plan) <= _REQUEST_CHARS
        and "condition" not in fields
        and "exception" not in fields
    )


MAKERS: dict[Kind, Maker] = {
    "open": open_exercises,
    "choice": choice_exercises,
    "order": order_exercises,
    "comparison": comparison_exercises,
    "parallel": parallel_exercises,
    "request": request_exercises,
}
