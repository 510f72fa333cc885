"""Logistic regressions over sparse rows: fitted by L-BFGS, the same bits every time."""

from collections.abc import Callable

import numpy as np

from raicurate.transforms.ngrams import Sparse

HISTORY = 10
"""Steps that L-BFGS remembers (Nocedal and Wright, Numerical Optimization, recommend 3 to 20)."""

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""From weights to the value and the gradient of what is minimised."""


def fit_logistic(
    rows: Sparse,
    truth: np.ndarray,
    importance: np.ndarray,
    buckets: int,
    penalty: float,
    steps: int = 30,
) -> tuple[np.ndarray, float]:
    """Fits one logistic regression with an L2 penalty; the intercept is not penalised.

    Args:
        rows: Weighted n-grams.
        truth: 0 or 1 for each row.
        importance: Weight of each row; rows with 0 do not count.
        buckets: Number of features.
        penalty: Factor of half the squared length of the weights.
        steps: Most iterations.

    Returns:
        Weights by bucket, and the intercept.
    """
    chosen = np.flatnonzero((importance > 0) & (np.diff(rows.starts) > 0))
    used = rows.take(chosen)
    # Only buckets that occur take part; small languages use few. The numbers are as long as an
    # index of the machine, or numpy would convert them at every step.
    present = np.flatnonzero(np.bincount(used.buckets, minlength=buckets))
    number = np.zeros(buckets, dtype=np.intp)
    number[present] = np.arange(len(present))
    ids, values = number[used.buckets], used.values
    lengths, first = np.diff(used.starts), used.starts[:-1]
    y, s = truth[chosen].astype(np.float64), importance[chosen].astype(np.float64)

    def evaluate(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = np.add.reduceat(w[:-1].astype(np.float32)[ids] * values, first) + w[-1]
        residual = s * (1 / (1 + np.exp(-np.clip(z, -50, 50))) - y)
        gradient = np.empty(len(present) + 1)
        spread = np.repeat(residual.astype(np.float32), lengths) * values
        gradient[:-1] = np.bincount(ids, weights=spread, minlength=len(present))
        gradient[:-1] += penalty * w[:-1]
        gradient[-1] = residual.sum()
        loss = np.sum(s * (np.logaddexp(0, z) - y * z)) + penalty / 2 * np.dot(w[:-1], w[:-1])
        return float(loss), gradient

    start = np.zeros(len(present) + 1)
    share = np.clip(np.dot(s, y) / s.sum(), 1e-4, 1 - 1e-4)
    start[-1] = np.log(share / (1 - share))
    fitted = minimised(evaluate, start, steps, 5e-3)
    weights = np.zeros(buckets, dtype=np.float32)
    weights[present] = fitted[:-1]
    return weights, float(fitted[-1])


def fit_softmax(
    features: np.ndarray,
    classes: np.ndarray,
    number: int,
    importance: np.ndarray,
    penalty: float,
    start: np.ndarray,
) -> np.ndarray:
    """Fits a multinomial logistic regression over few dense features.

    Args:
        features: One row for each example.
        classes: Class of each row.
        number: Number of classes.
        importance: Weight of each row.
        penalty: Factor of half the squared distance to `start`, which few examples stay near.
        start: Weights (features, classes) to begin with.

    Returns:
        Weights (features, classes), rounded, so that the last bits of the solver do not show in
        the digest of a model.
    """
    target = np.eye(number)[classes]

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(start.shape)
        p = softmax(features @ w)
        loss = -np.sum(importance * np.log(np.maximum((p * target).sum(axis=1), 1e-12)))
        gradient = features.T @ (importance[:, None] * (p - target)) + penalty * (w - start)
        return float(loss + penalty / 2 * np.sum((w - start) ** 2)), gradient.ravel()

    return np.round(minimised(evaluate, start.ravel(), 300, 1e-6).reshape(start.shape), 5)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of each row of logits."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def minimised(
    evaluate: Objective, weights: np.ndarray, steps: int, tolerance: float = 1e-3
) -> np.ndarray:
    """Minimises a smooth convex function by L-BFGS with backtracking.

    Nocedal and Wright, Numerical Optimization, algorithm 7.4.

    Args:
        evaluate: The function.
        weights: Where to start.
        steps: Most iterations.
        tolerance: Ends when the gradient has shrunk to this share of the first.
    """
    loss, gradient = evaluate(weights)
    first = float(np.linalg.norm(gradient))
    past: list[tuple[np.ndarray, np.ndarray, float]] = []
    for _ in range(steps):
        if np.linalg.norm(gradient) <= tolerance * first:
            break
        direction = _direction(gradient, past, first)
        slope = float(np.dot(gradient, direction))
        length = 1.0
        while True:
            candidate = weights + length * direction
            new_loss, new_gradient = evaluate(candidate)
            if new_loss <= loss + 1e-4 * length * slope or length < 1e-8:
                break
            length /= 2
        step, change = candidate - weights, new_gradient - gradient
        curvature = float(np.dot(step, change))
        weights, loss, gradient = candidate, new_loss, new_gradient
        if curvature > 1e-12:
            past = [*past[1 - HISTORY :], (step, change, curvature)]
    return weights


def _direction(
    gradient: np.ndarray, past: list[tuple[np.ndarray, np.ndarray, float]], first: float
) -> np.ndarray:
    direction = -gradient
    factors = []
    for step, change, curvature in reversed(past):
        factors.append(np.dot(step, direction) / curvature)
        direction = direction - factors[-1] * change
    if past:
        _, change, curvature = past[-1]
        direction = direction * (curvature / np.dot(change, change))
    else:
        direction = direction / max(1.0, first)
    for (step, change, curvature), factor in zip(past, reversed(factors), strict=True):
        direction = direction + step * (factor - np.dot(change, direction) / curvature)
    return direction
