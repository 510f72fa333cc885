"""Checkpoints of one training run: the noise between them, and bands over a whole curve."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from raicurate.probes.backend import Floats
from raicurate.probes.statistics import (
    CONFIDENCE,
    FEW_CLUSTERS,
    RESAMPLES,
    Statistic,
    batch_of_resamples,
    drawn,
    generator,
    with_error,
)

MIN_CHECKPOINTS = 4


@dataclass(frozen=True, slots=True)
class Noise:
    """What training noise makes of a measure at one checkpoint.

    Attributes:
        sigma: Its standard deviation.
        freedom: The degrees of freedom with which that is known.
    """

    sigma: float
    freedom: float


def checkpoint_noise(
    values: Sequence[float], places: Sequence[float] | None = None
) -> Noise | None:
    """Returns the noise of a measure over successive checkpoints, without their trend.

    From what each checkpoint lies off the straight line between its neighbours, scaled to the
    variance of one (Gasser, Sroka and Jennen-Steinmetz, "Residual variance and residual pattern in
    nonlinear regression", Biometrika 73, 1986). A rise or fall at any steady rate adds nothing, as
    it does to differences of neighbours; a bent curve adds a little, erring on the careful side.
    The degrees of freedom are Satterthwaite's ("An approximate distribution of estimates of
    variance components", Biometrics Bulletin 2, 1946).

    Args:
        values: The measure at successive checkpoints of one run.
        places: Tokens or steps of the checkpoints, in rising order; evenly spaced by default.

    Returns:
        The noise; None below `MIN_CHECKPOINTS` checkpoints.
    """
    size = len(values)
    if size < MIN_CHECKPOINTS:
        return None
    x = np.arange(size, dtype=float) if places is None else np.asarray(places, dtype=float)
    span = x[2:] - x[:-2]
    rows = np.zeros((size - 2, size))
    middle = np.arange(size - 2)
    rows[middle, middle] = (x[2:] - x[1:-1]) / span
    rows[middle, middle + 1] = -1
    rows[middle, middle + 2] = (x[1:-1] - x[:-2]) / span
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    variance = float(np.mean((rows @ np.asarray(values, dtype=float)) ** 2))
    freedom = (size - 2) ** 2 / float(np.sum((rows @ rows.T) ** 2))
    return Noise(math.sqrt(variance), freedom)


def exceeds_noise(difference: float, noise: Noise | None) -> bool | None:
    """Whether a difference between two checkpoints is beyond what training noise makes.

    Both ends are noisy, and the noise itself is known from few checkpoints, so the difference must
    exceed Student's 97.5 % quantile times the noise of one times the square root of 2. None where
    the noise is not known.
    """
    if noise is None:
        return None
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, noise.freedom))
    return abs(difference) > reach * math.sqrt(2) * noise.sigma


def simultaneous_bands(
    points: Sequence[Sequence[Floats]],
    statistic: Statistic,
    *,
    seed: str,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> list[tuple[float, float]]:
    """Returns a band that holds a statistic at all points of a curve at once.

    The clusters are drawn once for all points, and the widest studentised distance of any point
    decides (the sup-t band of Montiel Olea and Plagborg-Møller, "Simultaneous confidence bands:
    theory, implementation, and an application to SVARs", Journal of Applied Econometrics 34, 2019).
    With fewer than `FEW_CLUSTERS` clusters in a stratum the bootstrap is too narrow, and Student's
    intervals are widened by Bonferroni instead.

    Args:
        points: At each point of the curve its strata of sums by cluster, of shape
            [clusters, columns]; the same clusters in the same order at all points.
        statistic: Of the column sums of the strata.
        seed: Names the curve: the same name and data give the same band.
        confidence: With which the band holds all points.
        resamples: Of the bootstrap.

    Returns:
        The lower and upper end at each point; infinite with one cluster in a stratum.
    """
    sizes = [len(sums) for sums in points[0]]
    if min(sizes) < 2:
        return [(-math.inf, math.inf)] * len(points)
    ones = [np.ones((1, size)) for size in sizes]
    found = [with_error(strata, ones, statistic) for strata in points]
    values = np.array([float(value[0]) for value, _ in found])
    errors = np.array([float(error[0]) for _, error in found])
    if min(sizes) < FEW_CLUSTERS:
        level = (1 - confidence) / len(points)
        quantile = float(stats.t.ppf(1 - level / 2, min(sizes) - 1))
    else:
        widest = _widest(points, statistic, values, seed, resamples)
        quantile = float(np.sort(widest)[math.ceil(confidence * (resamples + 1)) - 1])
    # Where no cluster spreads, as at a point that nothing moves, the band has no width.
    reach = np.where(errors > 0, quantile * errors, 0.0)
    return list(zip((values - reach).tolist(), (values + reach).tolist(), strict=True))


def _widest(
    points: Sequence[Sequence[Floats]],
    statistic: Statistic,
    values: Floats,
    seed: str,
    resamples: int,
) -> Floats:
    """Returns the widest studentised distance over the points in each resample."""
    random = generator("bands", seed)
    sizes = [len(sums) for sums in points[0]]
    batch = batch_of_resamples(sizes)
    widest = []
    for start in range(0, resamples, batch):
        count = min(batch, resamples - start)
        weights = [drawn(random, size, count) for size in sizes]
        most = np.zeros(count)
        for strata, value in zip(points, values, strict=True):
            again, spread = with_error(strata, weights, statistic)
            with np.errstate(divide="ignore", invalid="ignore"):
                distance = np.abs(again - value) / spread
            # A resample without spread or distance says nothing about the width.
            most = np.maximum(most, np.nan_to_num(distance, nan=0.0, posinf=np.inf))
        widest.append(most)
    return np.concatenate(widest)
