"""Audits over many exercises: can the answer be had without the question, or the clause?

The baselines are those by which A. Chen et al. and others found published multiple-choice sets to
be solvable without their questions: the longest option, the most frequent answer, a model that sees
the options alone. Beside them a model sees the case alone. Each has to stay within five points of
chance. Models are fitted on some documents and judged on others.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from raicurate.transforms.exercise_gates import Gates, fault_of_texts, foreign, near_key
from raicurate.transforms.linear_guess import accuracy_of_option_guess, accuracy_of_text_guess

VERSION = "2"

MARGIN = 0.05
"""How far above chance a baseline may come."""

MIN_COUNT = 200
"""Fewer exercises say too little; such groups are not judged."""

_SURE = 2.33
"""Standard errors by which a figure has to be above its bound: 99 % one-sided."""

MIN_P = 1e-4
"""Below this probability the positions of answers are not even."""

VERDICT_CHANCE = 0.4
"""The share of the most frequent verdict, by design: 40 % violate, 40 % comply."""

MAX_FITTED = 3000
"""Exercises that a model is fitted and judged on; the rest would change the figure little."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditResult:
    """One audit of one group.

    Attributes:
        audit: What was looked at.
        group: Of which exercises.
        value: What was found.
        bound: What it has to keep.
        count: Number of exercises.
        passed: Whether it does.
    """

    audit: str
    group: str
    value: float
    bound: float
    count: int
    passed: bool

    def to_plain(self) -> dict[str, Any]:
        """Returns the result as plain JSON values."""
        return asdict(self)


def audit(
    rows: Sequence[Row],
    gates: Gates | None = None,
    language_of: Callable[[Sequence[str]], list[str | None]] | None = None,
) -> list[AuditResult]:
    """Returns the results of all audits.

    Args:
        rows: Exercises as plain rows of `schema.EXERCISES`, in the order of their ids.
        gates: Probe items that must not be repeated.
        language_of: Tells the language of texts; not asked where it is None.
    """
    choices = [row for row in rows if row["choices"]]
    results = [*_positions(choices), *_longest(choices), *_majority(choices)]
    results += _options_alone(choices)
    results += _case_alone(rows)
    results.append(_none("open_slot", rows, lambda row: fault_of_texts(_texts(row)) is not None))
    results.append(_duplicates(rows, "duplicate", _exact))
    results.append(_duplicates(rows, "near_duplicate", _near))
    if gates is not None and len(gates.runs):
        hits = sum(gates.repeated([f"{row['question']} {row['answer']}" for row in rows]))
        results.append(AuditResult("probe_overlap", "all", hits, 0, len(rows), hits == 0))
    if language_of is not None:
        results.append(_languages(rows, language_of))
    return results


def faults(results: Iterable[AuditResult]) -> list[AuditResult]:
    """Returns the audits that failed."""
    return [result for result in results if not result.passed]


def _texts(row: Row) -> tuple[str, ...]:
    return (row["question"], row["answer"], row["rationale"], *row["choices"])


def _none(name: str, rows: Sequence[Row], bad: Callable[[Row], bool]) -> AuditResult:
    found = sum(bad(row) for row in rows)
    return AuditResult(name, "all", found, 0, len(rows), found == 0)


def _groups(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Returns the rows as a whole, by family and by language, where there are enough."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        for name in ("all", row["family"], f"language {row['language']}"):
            groups.setdefault(name, []).append(row)
    return {name: found for name, found in sorted(groups.items()) if len(found) >= MIN_COUNT}


def _positions(rows: Sequence[Row]) -> Iterable[AuditResult]:
    """Chi-squared test that the right option stands as often in each place."""
    for group, members in _groups(rows).items():
        for size in sorted({len(row["choices"]) for row in members}):
            counts = Counter(
                row["choices"].index(row["answer"])
                for row in members
                if len(row["choices"]) == size and row["answer"] in row["choices"]
            )
            total = counts.total()
            if total < MIN_COUNT:
                continue
            expected = total / size
            statistic = sum((counts[at] - expected) ** 2 / expected for at in range(size))
            probability = chi_squared_tail(statistic, size - 1)
            yield AuditResult(
                "position", f"{group}, {size} options", probability, MIN_P, total,
                probability >= MIN_P,
            )  # fmt: skip


def chi_squared_tail(statistic: float, degrees: int) -> float:
    """Returns the probability that chi-squared exceeds `statistic` (Abramowitz, Stegun, 26.4)."""
    half = statistic / 2
    if degrees % 2 == 0:
        return math.exp(-half) * sum(half**k / math.factorial(k) for k in range(degrees // 2))
    tail = math.erfc(math.sqrt(half))
    term = math.sqrt(statistic * 2 / math.pi) * math.exp(-half)
    for k in range(1, (degrees - 1) // 2 + 1):
        tail += term
        term *= statistic / (2 * k + 1)
    return tail


def chance_of(row: Row) -> float:
    """Returns how often a guess by the design alone is right."""
    if row["family"] != "application" and row["verdict"] is not None:
        return VERDICT_CHANCE
    return 1 / len(row["choices"])


def _above(name: str, group: str, value: float, rows: Sequence[Row]) -> AuditResult:
    bound = sum(chance_of(row) for row in rows) / len(rows) + MARGIN
    # A figure of a few hundred exercises is uncertain by as many points as the margin has.
    certain = value - _SURE * math.sqrt(max(value * (1 - value), 0) / len(rows))
    return AuditResult(name, group, value, bound, len(rows), certain <= bound)


def _longest(rows: Sequence[Row]) -> Iterable[AuditResult]:
    """How often the longest option is right; several longest ones share the point."""
    for group, members in _groups(rows).items():
        points = 0.0
        for row in members:
            most = max(map(len, row["choices"]))
            best = [choice for choice in row["choices"] if len(choice) == most]
            points += (row["answer"] in best) / len(best)
        yield _above("longest_answer", group, points / len(members), members)


def _majority(rows: Sequence[Row]) -> Iterable[AuditResult]:
    """How often the most frequent answer of a family and language is right."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(f"{row['family']} {row['language']}", []).append(row)
    for group, members in sorted(groups.items()):
        if len(members) < MIN_COUNT:
            continue
        counts = Counter(row["answer"] for row in members)
        share = counts.most_common(1)[0][1] / len(members)
        yield _above("majority_answer", group, share, members)


def _options_alone(rows: Sequence[Row]) -> Iterable[AuditResult]:
    for group, found in _groups(rows).items():
        members = found[:MAX_FITTED]
        value = accuracy_of_option_guess(
            [row["choices"] for row in members],
            [row["choices"].index(row["answer"]) for row in members],
            [row["document"] for row in members],
        )
        if value is not None:
            yield _above("options_alone", group, value, members)


def _case_alone(rows: Sequence[Row]) -> Iterable[AuditResult]:
    """How well a model tells the verdict from the case, without the clause."""
    cases = [row for row in rows if row["situation"] and row["choices"]]
    groups: dict[str, list[Row]] = {}
    for row in cases:
        groups.setdefault(row["family"], []).append(row)
        groups.setdefault(f"{row['family']} {row['language']}", []).append(row)
    for group, found in sorted(groups.items()):
        members = found[:MAX_FITTED]
        if len(members) < MIN_COUNT:
            continue
        value = accuracy_of_text_guess(
            [row["situation"] for row in members],
            [row["verdict"] or f"{row['language']} {row['answer']}" for row in members],
            [row["document"] for row in members],
        )
        if value is not None:
            yield _above("case_alone", group, value, members)


def _exact(row: Row) -> tuple[str, ...]:
    return (row["question"], *sorted(row["choices"]))


def _near(row: Row) -> tuple[str, ...]:
    return (near_key(row["question"], row["answer"]),)


def _duplicates(
    rows: Sequence[Row], name: str, content: Callable[[Row], tuple[str, ...]]
) -> AuditResult:
    counts = Counter(content(row) for row in rows)
    repeated = sum(count - 1 for count in counts.values())
    return AuditResult(name, "all", repeated, 0, len(rows), repeated == 0)


def _languages(
    rows: Sequence[Row], language_of: Callable[[Sequence[str]], list[str | None]]
) -> AuditResult:
    fields = ("language", "family", "question", "answer", "rationale")
    wrong = foreign([tuple(row[name] for name in fields) for row in rows], language_of)
    share = float(np.mean(wrong)) if wrong else 0.0
    return AuditResult("language", "all", share, 0, len(rows), share == 0)
