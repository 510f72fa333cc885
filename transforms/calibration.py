"""The measures by which scores and their calibration are judged."""

import numpy as np


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
