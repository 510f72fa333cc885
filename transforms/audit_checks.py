"""The figures that an audit of a harm model is made of, and how sure they are."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from raicurate.transforms.calibration import (
    auc,
    average_precision,
    expected_calibration_error,
    wilson,
)

FEWEST = 30
"""Groups with fewer texts are shown, but no gap is computed from them."""


class Figure(NamedTuple):
    """One measured number.

    Attributes:
        check: What kind of number it is; limits of a policy name it.
        subject: Of which texts: a language, set, group or functionality.
        value: The number; None where there was nothing to measure.
        low: Lower end of its 95 % interval, where it is a share (Wilson score interval).
        high: Upper end.
        texts: Number of texts behind it.
    """

    check: str
    subject: str
    value: float | None
    low: float | None = None
    high: float | None = None
    texts: int = 0


class Verdict(NamedTuple):
    """A figure against a limit.

    Attributes:
        figure: The figure.
        limit: What it must not cross; None where the policy sets no limit.
        side: Whether the figure must be at least or at most the limit.
        passed: Whether it holds.
    """

    figure: Figure
    limit: float | None
    side: Literal["at least", "at most"]
    passed: bool


AT_LEAST = frozenset(
    {
        "functionality_auc",
        "hateful_accuracy",
        "non_hateful_accuracy",
        "intent_average_precision",
        "intent_caught",
        "dialect_agreement",
        "language_auc",
        "megabytes_per_second",
        "severity_agreement",
    }
)
"""Checks whose figure must not fall below its limit; others must not exceed theirs."""


def share(check: str, subject: str, hits: np.ndarray) -> Figure:
    """Returns the share of true values with its Wilson interval."""
    total, count = len(hits), int(hits.sum())
    low, high = wilson(count, total)
    return Figure(check, subject, count / total if total else None, low, high, total)


def area(check: str, subject: str, scores: np.ndarray, truth: np.ndarray) -> Figure:
    """Returns the area under the ROC curve; no value where one kind is missing."""
    value = auc(scores, truth)
    return Figure(check, subject, None if np.isnan(value) else value, texts=len(truth))


def precision_curve(check: str, subject: str, scores: np.ndarray, truth: np.ndarray) -> Figure:
    """Returns the average precision."""
    value = average_precision(scores, truth.astype(np.int64)) if truth.any() else None
    return Figure(check, subject, value, texts=len(truth))


def calibration(check: str, subject: str, scores: np.ndarray, truth: np.ndarray) -> Figure:
    """Returns the expected calibration error over 15 bins."""
    value = expected_calibration_error(scores, truth.astype(np.float64)) if len(truth) else None
    return Figure(check, subject, value, texts=len(truth))


def gap(
    check: str, subject: str, hits: np.ndarray, groups: Sequence[str], fewest: int = FEWEST
) -> Figure:
    """Returns the difference between the groups with the largest and the smallest share.

    Groups of fewer than `fewest` texts do not count: chance alone would set them apart.
    """
    names = np.array(groups)
    shares = [
        float(hits[names == name].mean())
        for name in sorted(set(groups))
        if (names == name).sum() >= fewest
    ]
    value = max(shares) - min(shares) if len(shares) > 1 else None
    return Figure(check, subject, value, texts=len(hits))


def precision_at(prevalence: float, caught: float, false_positives: float) -> float | None:
    """Returns the precision where a share `prevalence` of the texts is harmful (Bayes)."""
    hits = prevalence * caught
    flagged = hits + (1 - prevalence) * false_positives
    return hits / flagged if flagged else None


def judged(figures: Sequence[Figure], limits: Mapping[str, float]) -> list[Verdict]:
    """Returns the figures against limits; one without a value cannot pass a limit."""
    verdicts = []
    for figure in figures:
        limit = limits.get(figure.check)
        at_least = figure.check in AT_LEAST
        value = figure.value
        passed = limit is None or (
            value is not None and (value >= limit if at_least else value <= limit)
        )
        verdicts.append(Verdict(figure, limit, "at least" if at_least else "at most", passed))
    return verdicts
