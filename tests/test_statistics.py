import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import Floats
from raicurate.probes.statistics import (
    FEW_CLUSTERS,
    benjamini_hochberg,
    cluster_sums,
    estimate,
    generator,
    holm,
    ratio_difference,
    share,
)


def documents(
    effect: float, size: int, *names: str, spread: float = 0.5
) -> tuple[Floats, Floats, Floats]:
    """Returns differences and weights of documents of very unequal length, and their sums."""
    random = generator("documents", *names)
    weights = random.lognormal(5, 0.7, size)
    differences = weights * (effect + spread * random.standard_t(4, size))
    return differences, weights, np.stack([differences, weights], axis=1)


@pytest.mark.parametrize("size", [8, 15, 25, 80])
def test_intervals_hold_the_truth(size: int) -> None:
    """Intervals of 95 % miss the true ratio in about 5 % of draws, with few clusters or many."""
    missed = 0
    for draw in range(150):
        found = estimate([documents(0.1, size, str(draw))[2]], seed=str(draw))
        missed += not found.low <= 0.1 <= found.high
    assert missed <= 15  # 95th percentile of 150 draws at 5 % is 12, 99.5th is 15


@pytest.mark.parametrize("size", [10, 40])
def test_significance_and_interval_agree(size: int) -> None:
    """The p-value is below 0.05 just where the interval leaves out 0."""
    for draw in range(40):
        found = estimate([documents(0.15, size, "agree", str(draw))[2]], seed=str(draw))
        assert (found.p_value <= 0.05) == found.excludes_zero


def test_sign_flips_are_the_exact_test() -> None:
    """With few clusters, p is the share of all sign flips that are as extreme, counted out."""
    differences, _, sums = documents(0.3, 9, "flips")
    flips = np.array(list(itertools.product([1, -1], repeat=9))) @ differences
    expected = np.mean(np.abs(flips) >= abs(differences.sum()) * (1 - 1e-12))
    found = estimate([sums], seed="flips")
    assert found.method == "sign flips"
    assert found.p_value == pytest.approx(expected)


def test_five_clusters_decide_nothing() -> None:
    """Five clusters cannot reach 5 % by sign flips, so their interval has no ends; six can."""
    weights = np.ones(6)
    differences = np.array([0.8, 0.9, 1.0, 1.1, 1.2, 1.3])
    six = np.stack([differences, weights], axis=1)
    assert estimate([six], seed="six").low == pytest.approx(0.8)
    five = estimate([six[:5]], seed="five")
    assert (five.low, five.high) == (-math.inf, math.inf)
    assert five.p_value == pytest.approx(1 / 16)


@pytest.mark.parametrize("size", [2, 10, 50])
def test_the_same_twice_is_exactly_nothing(size: int) -> None:
    """Where nothing differs, the estimate, both ends and the error are exactly 0."""
    weights = documents(0.0, size, "same")[1]
    found = estimate([np.stack([np.zeros(size), weights], axis=1)], seed="same")
    assert (found.value, found.low, found.high, found.standard_error) == (0, 0, 0, 0)
    assert found.p_value == 1


def test_the_same_name_gives_the_same_interval() -> None:
    """Intervals depend on the name and the data alone."""
    sums = documents(0.1, 40, "seed")[2]
    assert estimate([sums], seed="a") == estimate([sums], seed="a")
    assert estimate([sums], seed="a") != estimate([sums], seed="b")


@pytest.mark.parametrize(("first", "second"), [(60, 30), (60, 6), (5, 5)])
def test_a_difference_in_differences_is_found(first: int, second: int) -> None:
    """What one set gained beyond another is estimated with both sets' errors."""
    missed = 0
    for draw in range(60):
        strata = [
            documents(0.5, first, "first", str(draw))[2],
            documents(0.2, second, "second", str(draw))[2],
        ]
        found = estimate(strata, ratio_difference, seed=str(draw))
        assert found.method == ("bootstrap t" if second >= FEW_CLUSTERS else "Student")
        missed += not found.low <= 0.3 <= found.high
    assert missed <= 8


def test_documents_of_a_cluster_stand_together() -> None:
    """Copies of the same documents within clusters do not make the interval narrower."""
    differences, weights, sums = documents(0.1, 30, "cluster")
    names = [f"family {number:02d}" for number in range(30)]
    once = estimate([cluster_sums([differences, weights], names)], seed="x")
    copies = [np.tile(column, 4) for column in (differences, weights)]
    four = estimate([cluster_sums(copies, names * 4)], seed="x")
    assert four.value == pytest.approx(once.value)
    assert (four.low, four.high) == pytest.approx((once.low, once.high))
    np.testing.assert_allclose(cluster_sums([differences, weights], names), sums)


def test_the_error_is_that_of_scipy_for_a_mean() -> None:
    """For a plain mean, the standard error is the one of the textbook."""
    values = generator("mean").normal(3, 2, 50)
    found = estimate([np.stack([values, np.ones(50)], axis=1)], seed="mean")
    assert found.standard_error == pytest.approx(stats.sem(values), rel=1e-6)


def test_detectable_effects_are_detected() -> None:
    """An effect of the size called detectable is found significant in about 80 % of draws."""
    detectable = estimate([documents(0.0, 60, "power")[2]], seed="power").detectable
    found = [
        estimate([documents(detectable, 60, "power", str(draw))[2]], seed=str(draw)).excludes_zero
        for draw in range(100)
    ]
    assert 65 <= sum(found) <= 98  # heavy tails move the spread of single draws


def test_one_cluster_and_none() -> None:
    """One cluster gives a value without an interval; none is an error that says so."""
    one = estimate([np.array([[2.0, 4.0]])], seed="one")
    assert (one.value, one.low, one.high) == (0.5, -math.inf, math.inf)
    assert (one.p_value, one.method, one.detectable) == (1, "none", math.inf)
    with pytest.raises(UsageError, match=r"this one.*empty"):
        estimate([np.empty((0, 2))], seed="this one")


def test_holm_and_benjamini_hochberg() -> None:
    """Adjusted p-values are those of the textbook procedures, in the order given."""
    p_values = [0.04, 0.01, 0.03, 0.005]
    np.testing.assert_allclose(holm(p_values), [0.06, 0.03, 0.06, 0.02])
    np.testing.assert_allclose(benjamini_hochberg(p_values), [0.04, 0.02, 0.04, 0.02])
    assert holm([]).size == benjamini_hochberg([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusting_only_raises(p_values: list[float]) -> None:
    """No adjustment lowers a p-value or changes their order, and Holm is the stricter one."""
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all()
    assert (adjusted <= 1).all()
    assert (adjusted >= benjamini_hochberg(p_values) - 1e-12).all()
    for first, second in itertools.combinations(range(len(p_values)), 2):
        if p_values[first] <= p_values[second]:
            assert adjusted[first] <= adjusted[second]


@pytest.mark.parametrize(("rate", "clusters"), [(0.005, 40), (0.03, 60), (0.3, 30)])
def test_intervals_of_shares_hold_the_truth(rate: float, clusters: int) -> None:
    """Rare or common, with hits that come together in clusters: missed in 5 % of draws at most."""
    missed = 0
    for draw in range(400):
        random = generator("shares", str(rate), str(draw))
        rates = random.beta(4 * rate, 4 * (1 - rate), clusters)
        items = random.integers(1, 6, clusters)
        found = share(np.stack([random.binomial(items, rates), items], axis=1).astype(float))
        missed += not found.low <= rate <= found.high
    assert missed <= 28  # 95th percentile of 400 draws at 5 % is 27


def test_shares_at_their_ends() -> None:
    """Without hits the interval is the exact one of the clusters; one cluster alone says little."""
    none = share(np.array([[0.0, 1.0]] * 30))
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(stats.binomtest(0, 30).proportion_ci().high)
    assert none.detectable == pytest.approx(1 - 0.2 ** (1 / 30))
    every = share(np.array([[2.0, 2.0]] * 30))
    assert (every.value, every.high) == (1, 1)
    mixed = share(np.array([[1.0, 1.0]] * 6 + [[0.0, 1.0]] * 24))
    exact = stats.binomtest(6, 30).proportion_ci()
    assert (mixed.low, mixed.high) == pytest.approx((exact.low, exact.high), abs=0.02)
    assert share(np.array([[1.0, 3.0]])).high > 0.9


@pytest.mark.parametrize("different", [1, 2, 3, 4])
def test_a_few_clusters_that_differ_give_no_wild_interval(different: int) -> None:
    """Where nearly all items are answered alike, the interval is wide and holds 0, not endless."""
    values = np.zeros(60)
    values[:different] = 0.1 + 0.01 * np.arange(different)
    found = estimate([np.stack([values, np.ones(60)], axis=1)], seed="few")
    assert found.method == "Student"
    assert 0 < found.high - found.low < 0.1
    assert found.excludes_zero == (found.p_value < 0.05)
