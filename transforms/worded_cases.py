"""Cases in words, each with its verdict under a clause and the reason for it.

Whoever sees only the case must not be able to tell the verdict. A case therefore belongs to a cell
(what is done or left undone, and how many further circumstances are said to be given or not), and
within a cell of a document as many cases violate as comply. Circumstances and acts of sibling
clauses are mixed in, so that nothing in a case says which clause it will be judged by.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from raicurate.exercise_templates.exercises import hash64, mixed
from raicurate.transforms.deontic import Case, Verdict, verdict
from raicurate.transforms.lesson import Lesson, Subject


class WordedCase(NamedTuple):
    """A case in words.

    Attributes:
        subject: The clause that judges it.
        text: What is the case.
        verdict: What follows.
        reason: Why.
        cell: What can be told of the case without the clause.
        sort: What tells it from other cases of the clause.
        others: Further clauses that its words come from.
    """

    subject: Subject
    text: str
    verdict: Verdict
    reason: str
    cell: str
    sort: str
    others: tuple[Subject, ...] = ()


class CaseWriter:
    """Writes the cases of one lesson."""

    def __init__(self, lesson: Lesson) -> None:
        self._lesson = lesson
        self._situations = lesson.situations
        self._joiner = lesson.words.plain.sentence_joiner
        self._one_frame = False
        self._cases: dict[tuple[str, bool], list[WordedCase]] = {}
        self.judged = [subject for subject in lesson.subjects if subject.can_be_judged]
        self._circumstances = [
            (subject, field)
            for subject in self.judged
            for field in ("condition", "exception")
            if field in subject.text.fields
        ]

    def reason(self, name: str, subject: Subject, **more: str) -> str:
        """Returns the reason of that name for a clause."""
        slots = {**subject.slots, **more}
        return self._lesson.words.templates[f"reason_{name}"][0].render(slots)

    def plain(self, subject: Subject, performed: bool) -> str:
        """Returns the name of the reason that modality and act alone give."""
        clause = subject.clause
        kind: str = clause.modality
        if clause.negated and kind == "permission":
            kind = "waived"
        elif clause.negated and kind == "recommendation":
            kind = "discouraged"
        return f"{kind}_{'performed' if performed else 'omitted'}"

    def cases(self, subject: Subject, one_frame: bool = False) -> Sequence[WordedCase]:
        """Returns all cases of a clause that can be worded and judged.

        Args:
            subject: The clause.
            one_frame: Word them alike, so that they differ in nothing but the case.
        """
        place = (subject.clause.id, one_frame)
        if place not in self._cases:
            self._one_frame = one_frame
            self._cases[place] = list(self._all_cases(subject))
        return self._cases[place]

    def _all_cases(self, subject: Subject) -> Iterator[WordedCase]:
        fields = subject.text.fields
        for performed in (True, False):
            has = ("condition" in fields, "exception" in fields)
            if has == (False, False):
                yield from self._unconditional(subject, performed)
            else:
                yield from self._conditional(subject, performed, *has)
            yield from self._other_act(subject, performed)

    def _unconditional(self, subject: Subject, performed: bool) -> Iterator[WordedCase]:
        for met in (None, True, False):
            yield from self._case(subject, performed, Case(performed), [], stray=met)

    def _conditional(
        self, subject: Subject, performed: bool, condition: bool, exception: bool
    ) -> Iterator[WordedCase]:
        if condition:
            case = Case(performed, condition=False)
            yield from self._case(subject, performed, case, [("condition", False)])
        for met in (False, True) if exception else (None,):
            case = Case(performed, condition=True if condition else None, exception=met)
            facts = [("condition", True)] if condition else []
            facts += [("exception", met)] if met is not None else []
            yield from self._case(subject, performed, case, facts)

    def _case(
        self,
        subject: Subject,
        performed: bool,
        case: Case,
        facts: Sequence[tuple[str, bool]],
        stray: bool | None = None,
    ) -> Iterator[WordedCase]:
        clause = subject.clause
        only_if = clause.modality == "permission" and self._situations.only_if(subject.text)
        if only_if and (case.condition is None or case.exception is not None):
            return
        found = verdict(clause.modality, case, negated=clause.negated, only_if=only_if)
        if found is None:
            return
        enables = clause.modality == "permission" and self._situations.doubts.only_enables(
            subject.text
        )
        if enables and not performed and found == "complies":
            # "You can track it", and nobody does: readers differ between complying and not covered.
            return
        sort = f"{performed:d}{case.condition}{case.exception}{stray}"
        seed = mixed(subject.seed ^ (0 if self._one_frame else hash64(sort)))
        act = self._situations.case(subject.plan, subject.act, performed, seed)
        if act is None:
            return
        sentences, reasons = [act], []
        others: tuple[Subject, ...] = ()
        for field, met in facts:
            said = self._situations.fact(subject.text.fields[field], met, seed)
            if said is None:
                return
            sentences.append(said)
        if stray is not None:
            strange = self._stray(subject, stray, seed)
            if strange is None:
                return
            sentences.append(strange[0])
            others = (strange[1],)
            reasons.append(self.reason("irrelevant", subject))
        reasons = [self._because(subject, case, performed, only_if), *reasons]
        marks = "".join("+" if met else "-" for _, met in facts)
        marks += {None: "", True: "+", False: "-"}[stray]
        yield WordedCase(
            subject,
            self._joiner.join(sentences),
            found,
            self._joiner.join(reasons),
            f"{'done' if performed else 'left'}{marks}",
            sort,
            others,
        )

    def _because(self, subject: Subject, case: Case, performed: bool, only_if: bool) -> str:
        if case.condition is False:
            if only_if:
                return self.reason("only_if" if performed else "only_if_omitted", subject)
            return self.reason("condition_unmet", subject)
        if case.exception is True:
            return self.reason("exception_met", subject)
        parts = []
        if case.condition is True:
            parts.append(self.reason("condition_met", subject))
        if case.exception is False:
            parts.append(self.reason("exception_unmet", subject))
        parts.append(self.reason(self.plain(subject, performed), subject))
        return self._joiner.join(parts)

    def _stray(self, subject: Subject, met: bool, seed: int) -> tuple[str, Subject] | None:
        """Returns a circumstance that another clause asks for, and that clause."""
        known = self._circumstances
        for step in range(min(len(known), 6)):
            other, field = known[(seed + step) % len(known)]
            if other is subject or not other.content.isdisjoint(subject.content):
                continue
            said = self._situations.fact(other.text.fields[field], met, seed, alone=True)
            if said is not None:
                return said, other
        return None

    def _other_act(self, subject: Subject, performed: bool) -> Iterator[WordedCase]:
        """Yields a case about the act of a sibling clause, which this clause does not cover."""
        count = len(self.judged)
        for step in range(min(count, 8)):
            other = self.judged[(subject.seed + step * 7) % count]
            if (
                other is subject
                or (other.clause.lead is not None and other.clause.lead == subject.clause.lead)
                or not other.content.isdisjoint(subject.content)
            ):
                continue
            sort = f"other{performed:d}"
            seed = mixed(subject.seed ^ hash64(sort))
            act = self._situations.case(other.plan, other.act, performed, seed)
            if act is None:
                continue
            found = verdict(subject.clause.modality, Case(performed, same_act=False))
            if found is None:
                return
            # With no circumstance, with one that is given, or with one that is not.
            stray = (None, True, False)[seed % 3]
            sentences, others = [act], [other]
            if stray is not None:
                strange = self._stray(subject, stray, seed)
                if strange is None:
                    stray = None
                else:
                    sentences.append(strange[0])
                    others.append(strange[1])
            mark = {None: "", True: "+", False: "-"}[stray]
            yield WordedCase(
                subject,
                self._joiner.join(sentences),
                found,
                self.reason("other_act", subject),
                f"{'done' if performed else 'left'}{mark}",
                sort,
                tuple(others),
            )
            return


def case_writer(lesson: Lesson) -> CaseWriter:
    """Returns the writer of a lesson, so that its cases are worded once for all families."""
    if lesson.cases is None:
        lesson.cases = CaseWriter(lesson)
    writer: CaseWriter = lesson.cases
    return writer


def balanced(cases: Sequence[WordedCase], per_clause: int) -> list[WordedCase]:
    """Returns as many violating as complying cases of every cell, and half as many uncovered ones.

    So the verdicts stand 40 : 40 : 20, in every cell and so in every document.
    """
    cells: dict[str, dict[str, list[WordedCase]]] = {}
    for case in cases:
        cells.setdefault(case.cell, {}).setdefault(case.verdict, []).append(case)
    taken: dict[str, int] = {}
    chosen: list[WordedCase] = []

    def free(case: WordedCase) -> bool:
        return taken.get(case.subject.clause.id, 0) < per_clause

    def take(case: WordedCase) -> None:
        taken[case.subject.clause.id] = taken.get(case.subject.clause.id, 0) + 1
        chosen.append(case)

    order = sorted(cells, key=lambda cell: (_pairs(cells[cell]), cell))
    for cell in order:
        pools = {
            name: sorted(pool, key=shuffle_key, reverse=True) for name, pool in cells[cell].items()
        }
        wanted, uncovered = pools.get("violates", []), pools.get("not_covered", [])
        matched, pairs, first = pools.get("complies", []), 0, 0
        while wanted and matched:
            violating = wanted.pop()
            if not free(violating):
                continue
            take(violating)
            while matched and not free(matched[-1]):
                matched.pop()
            if not matched:
                chosen.remove(violating)
                taken[violating.subject.clause.id] -= 1
                break
            complying = matched.pop()
            take(complying)
            first ^= shuffle_key(violating)
            pairs += 1
        # The odd half is rounded by chance, so that small documents hold the share as well.
        left = (pairs + (mixed(first) & 1)) // 2
        while left and uncovered:
            case = uncovered.pop()
            if free(case):
                take(case)
                left -= 1
    return chosen


def _pairs(cell: dict[str, list[WordedCase]]) -> int:
    return min(len(cell.get("violates", ())), len(cell.get("complies", ())))


def shuffle_key(case: WordedCase) -> int:
    """Returns what the order of cases goes by."""
    return mixed(case.subject.seed ^ hash64(case.sort))
