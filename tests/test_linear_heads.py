import numpy as np
import pytest

from raicurate.transforms.linear_heads import fit_logistic, fit_softmax, minimised, softmax
from raicurate.transforms.ngrams import Sparse


def sparse(dense):
    rows, buckets = np.nonzero(dense)
    starts = np.searchsorted(rows, np.arange(len(dense) + 1))
    return Sparse(starts, buckets.astype(np.int32), dense[rows, buckets].astype(np.float32))


def test_the_minimum_of_a_bowl_is_found():
    """A function whose minimum is known is minimised."""
    goal = np.array([3.0, -1.0, 0.5])
    scale = np.array([1.0, 10.0, 0.1])
    found = minimised(
        lambda w: (float(np.sum(scale * (w - goal) ** 2)), 2 * scale * (w - goal)),
        np.zeros(3),
        200,
        1e-9,
    )
    assert found == pytest.approx(goal, abs=1e-5)


def test_a_regression_tells_its_classes_apart():
    """Features that go with one class get weights of its sign; unseen ones get none."""
    chance = np.random.default_rng(0)
    dense = np.zeros((400, 8))
    truth = chance.random(400) < 0.5
    dense[:, 0] = truth
    dense[:, 1] = ~truth
    dense[:, 2] = chance.random(400)
    weights, intercept = fit_logistic(sparse(dense), truth, np.ones(400), 8, 0.1)
    assert weights[0] > 1 > -1 > weights[1]
    assert abs(weights[2]) < 0.5
    assert not weights[3:].any()
    assert np.isfinite(intercept)


def test_rows_without_weight_do_not_count():
    """An example of weight 0 changes nothing, even if it contradicts the others."""
    dense = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    truth = np.array([True, False, False])
    with_it = fit_logistic(sparse(dense), truth, np.array([1.0, 1.0, 0.0]), 2, 0.1)
    without = fit_logistic(sparse(dense[:2]), truth[:2], np.ones(2), 2, 0.1)
    assert np.array_equal(with_it[0], without[0])


def test_probabilities_of_classes_match_their_shares():
    """Without features but a constant, the probabilities are the shares of the classes."""
    classes = np.array([0] * 60 + [1] * 30 + [2] * 10)
    weights = fit_softmax(np.ones((100, 1)), classes, 3, np.ones(100), 1e-6, np.zeros((1, 3)))
    assert softmax(np.ones((1, 1)) @ weights)[0] == pytest.approx([0.6, 0.3, 0.1], abs=1e-3)
