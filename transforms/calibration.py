"""Calibration of scores, and the measures by which it and they are judged."""

from typing import NamedTuple

import numpy as np

EPSILON = 1e-6
"""Probabilities are kept this far from 0 and 1, where their logit would be infinite."""


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Returns the logits of probabilities."""
    clipped = np.clip(probabilities.astype(np.float64), EPSILON, 1 - EPSILON)
    return np.log(clipped / (1 - clipped))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of logits."""
    return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))


class Platt(NamedTuple):
    """Logistic calibration: `sigmoid(slope * logit(score) + intercept)`."""

    slope: float
    intercept: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns calibrated probabilities."""
        return sigmoid(self.slope * logit(scores) + self.intercept)


IDENTITY = Platt(1.0, 0.0)


def fit_platt(scores: np.ndarray, truth: np.ndarray, penalty: float = 1.0) -> Platt:
    """Fits a logistic calibration by Newton's method.

    Args:
        scores: Scores in [0, 1].
        truth: 0 or 1 for each.
        penalty: Weight of the squared distance to the identity, which few examples stay near.
    """
    x = np.stack([logit(scores), np.ones(len(scores))], axis=1)
    y = truth.astype(np.float64)
    start = np.array([1.0, 0.0])

    def loss(weights: np.ndarray) -> float:
        z = x @ weights
        return float(
            np.sum(np.logaddexp(0, z) - y * z) + penalty / 2 * np.sum((weights - start) ** 2)
        )

    weights = start.copy()
    for _ in range(100):
        p = sigmoid(x @ weights)
        gradient = x.T @ (p - y) + penalty * (weights - start)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + penalty * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        # Where the scores are saturated, a whole Newton step overshoots.
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-10:
            step = step / 2
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    # Rounded, so that the last bits of the solver do not show in the digest of a model.
    return Platt(round(float(weights[0]), 6), round(float(weights[1]), 6))


def expected_calibration_error(scores: np.ndarray, truth: np.ndarray, bins: int = 15) -> float:
    """Returns the expected calibration error over bins of equal width (Guo et al. 2017)."""
    if not len(scores):
        return float("nan")
    which = np.minimum((scores * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    gap = np.bincount(which, weights=scores - truth, minlength=bins)
    return float(np.abs(gap).sum() / count.sum())


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Returns the area under the ROC curve, nan where one kind is missing; ties count half."""
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    total = rank[inverse][truth.astype(bool)].sum()
    return float((total - positive * (positive + 1) / 2) / (positive * negative))


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Returns the average precision; equal scores are taken together."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    recall = hits[last] / max(hits[-1], 1) if len(hits) else hits
    precision = hits[last] / (last + 1)
    return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * precision))


def wilson(hits: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Returns the Wilson score interval of a share (95 % by default); (0, 1) for no trials."""
    if not total:
        return 0.0, 1.0
    share = hits / total
    centre = share + z * z / (2 * total)
    half = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    low, high = (centre - half) / scale, (centre + half) / scale
    return (0.0 if hits == 0 else float(low)), (1.0 if hits == total else float(high))
