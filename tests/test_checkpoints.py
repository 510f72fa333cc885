import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.probes.backend import Floats
from raicurate.probes.checkpoints import checkpoint_noise, exceeds_noise, simultaneous_bands
from raicurate.probes.comparisons import mean_of
from raicurate.probes.statistics import estimate, generator, ratio


@settings(deadline=None, max_examples=50)
@given(
    st.floats(-10, 10),
    st.floats(-10, 10),
    st.lists(st.floats(0.1, 9), min_size=4, max_size=12),
)
def test_a_straight_line_is_no_noise(start: float, slope: float, gaps: list[float]) -> None:
    """However steep and however the checkpoints are spaced, a steady trend leaves no noise."""
    places = np.cumsum(gaps)
    found = checkpoint_noise((start + slope * places).tolist(), places.tolist())
    assert found is not None
    assert found.sigma < 1e-9
    assert 1 <= found.freedom <= len(gaps) - 2


@pytest.mark.parametrize(("size", "slope"), [(5, 0.0), (5, 3.0), (12, -1.0), (40, 0.5)])
def test_noise_is_told_from_trend(size: int, slope: float) -> None:
    """Over many runs the variance that is found is that of the noise, whatever the trend."""
    places = np.cumsum(generator("places", str(size)).uniform(0.5, 3, size))
    found = [
        checkpoint_noise((slope * places + noise).tolist(), places.tolist())
        for noise in generator("noise", str(size)).normal(0, 0.2, (600, size))
    ]
    variance = np.mean([one.sigma**2 for one in found if one])
    assert variance == pytest.approx(0.04, rel=0.1)
    # The spread of the estimates is that of a chi-square with the stated degrees of freedom.
    freedom = found[0].freedom if found[0] else 0
    spread = np.var([one.sigma**2 for one in found if one]) / variance**2
    assert spread == pytest.approx(2 / freedom, rel=0.25)


@pytest.mark.parametrize("size", [4, 6, 12])
def test_noise_alone_rarely_passes_for_a_change(size: int) -> None:
    """With a trend in the run and none between two checkpoints, 5 % of differences exceed it."""
    random = generator("change", str(size))
    exceeded = 0
    for _ in range(600):
        run = 2.0 * np.arange(size) + random.normal(0, 0.3, size)
        first, second = random.normal(0, 0.3, 2)
        exceeded += bool(exceeds_noise(second - first, checkpoint_noise(run.tolist())))
    assert exceeded <= 48  # 5 % of 600 are 30; Satterthwaite's degrees are approximate


def test_few_checkpoints_tell_no_noise() -> None:
    """Three do not; a change can then not be said to exceed it, nor not to."""
    assert checkpoint_noise([1.0, 2.0, 4.0]) is None
    assert exceeds_noise(1.0, None) is None
    assert exceeds_noise(9.0, checkpoint_noise([0.0, 0.1, 0.0, 0.1, 0.0, 0.1])) is True


def curve(draw: int, clusters: int, points: int) -> list[list[Floats]]:
    """Returns items at each checkpoint: what an item is worth stays, plus what moves it."""
    random = generator("curve", str(draw))
    sizes = [clusters, 2 * clusters]
    fixed = [random.standard_t(4, size) for size in sizes]
    return [
        [
            np.stack([values + random.normal(0, 1, values.size), np.ones(values.size)], axis=1)
            for values in fixed
        ]
        for _ in range(points)
    ]


@pytest.mark.parametrize("clusters", [8, 25])
def test_bands_hold_all_points_at_once(clusters: int) -> None:
    """A band misses any of eight true points in 5 % of draws; single intervals miss more often."""
    missed = missed_singly = 0
    for draw in range(150):
        points = curve(draw, clusters, 8)
        bands = simultaneous_bands(points, mean_of(ratio), seed=str(draw), resamples=399)
        missed += not all(low <= 0 <= high for low, high in bands)
        singles = [
            estimate(strata, mean_of(ratio), seed=f"{draw} {n}", resamples=399)
            for n, strata in enumerate(points)
        ]
        missed_singly += not all(one.low <= 0 <= one.high for one in singles)
    assert missed <= 15  # 99.5th percentile of 150 draws at 5 %
    assert missed_singly > missed


def test_a_band_of_one_point_is_an_interval() -> None:
    """With nothing to hold at once, the band is the bootstrap t interval, but for its draws."""
    (strata,) = curve(1, 60, 1)
    ((low, high),) = simultaneous_bands([strata], mean_of(ratio), seed="one")
    single = estimate(strata, mean_of(ratio), seed="one")
    assert (low + high) / 2 == pytest.approx(single.value)
    assert high - low == pytest.approx(single.high - single.low, rel=0.1)


def test_bands_at_their_ends() -> None:
    """One cluster tells nothing; points that nothing moves have no width, and spoil no other."""
    alone = simultaneous_bands([[np.array([[1.0, 2.0]])]] * 2, ratio, seed="alone")
    assert alone == [(-math.inf, math.inf)] * 2
    still = np.stack([np.zeros(30), np.ones(30)], axis=1)
    moving = np.stack([generator("moving").normal(0, 1, 30), np.ones(30)], axis=1)
    bands = simultaneous_bands([[still], [moving]], ratio, seed="still")
    assert bands[0] == (0, 0)
    assert -math.inf < bands[1][0] < bands[1][1] < math.inf
    assert bands == simultaneous_bands([[still], [moving]], ratio, seed="still")
