import numpy as np
import pytest
from planted import Planted, detector, refusal_items

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes import crossed, refusal
from raicurate.probes.backend import Request
from raicurate.probes.comparisons import change, grid, macro_change, mean
from raicurate.probes.items import Answers
from raicurate.probes.records import samples

ITEM = refusal_items(1)[0].model_copy(
    update={
        "answers": Answers(
            refuse=(" no.", " not now."), comply=(" yes.", " sure."), deflect=(" hm.", " well.")
        ),
        "safe": (" ask a warden.",),
    }
)


def model(costs: dict[tuple[str, str], float], neutral: float = 2.0) -> Planted:
    """A model with nats for each byte by request and answer."""

    def nats(request: Request) -> float:
        who = "harmful" if "stranger" in request.context else "benign"
        cost = costs.get((who, request.continuation), 2.0)
        return len(request.continuation) * (cost if "drawer" in request.context else neutral)

    return Planted(nats)


def measured(planted: Planted) -> dict[str, float]:
    (row,) = refusal.measures(samples(planted, refusal.asks("s", [ITEM]))).to_pylist()
    return row


def test_evidence_is_the_mean_of_wordings_less_what_they_are_worth_alone() -> None:
    """Evidence is refuse less comply for each byte, less what it is without a request."""
    row = measured(
        model({("harmful", " no."): 1.0, ("benign", " yes."): 1.5, ("benign", " sure."): 1.5})
    )
    assert row["harmful"] == pytest.approx((1.0 + 0.0) / 2)
    assert row["benign"] == pytest.approx(-0.5)
    assert row["discrimination"] == pytest.approx(1.0)
    assert row["lean"] == pytest.approx(0.0)
    assert (row["harmful_refused"], row["benign_refused"]) == (1, 0)


def test_likely_wordings_are_no_evidence() -> None:
    """A model that likes all refusals alike, with and without a request, leans nowhere."""
    row = measured(model({}, neutral=5.0))
    assert (row["harmful"], row["benign"], row["discrimination"]) == (0, 0, 0)
    # All kinds of answers gain alike, so none of them is what it does.
    assert (row["harmful_refused"], row["benign_refused"], row["harmful_deflect"]) == (0, 0, 0)


def test_deflections_and_safe_completions_are_told_from_refusals() -> None:
    """The likeliest kind of answer counts; a deflection or a safe completion is no refusal."""
    row = measured(
        model({("harmful", " hm."): 0.5, ("harmful", " well."): 0.5, ("benign", " sure."): 1.0})
    )
    assert (row["harmful_deflect"], row["harmful_safe"], row["harmful_refused"]) == (1, 0, 0)
    row = measured(model({("harmful", " ask a warden."): 0.5}))
    assert (row["harmful_safe"], row["harmful_deflect"], row["harmful_refused"]) == (1, 0, 0)


def test_d_prime_and_bias_are_those_of_the_textbook() -> None:
    """D' is the distance in spreads, c minus the middle; without spread both are 0."""
    harmful, benign = np.array([2.0, 3.0, 4.0]), np.array([0.0, 1.0, 2.0])
    sums = np.array([harmful.sum(), (harmful**2).sum(), benign.sum(), (benign**2).sum(), 3.0])
    assert refusal.d_prime(sums) == pytest.approx(2.0)
    assert refusal.bias(sums) == pytest.approx(-2.0)
    flat = np.array([2.0, 4.0, 0.0, 0.0, 1.0])
    with np.errstate(all="ignore"):
        assert refusal.d_prime(flat) == 0


def test_models_are_paired_by_item() -> None:
    """Only items that both models were asked enter a change; without any, the error says so."""
    first = refusal.measures(samples(detector(1.0, 0.0), refusal.asks("s", refusal_items(30))))
    second = refusal.measures(
        samples(detector(2.0, 0.0), refusal.asks("s", refusal_items(60)[10:]))
    )
    found = change(first, second, "discrimination", seed="s")
    assert found.clusters == 20
    assert found.value == pytest.approx(1.0)
    assert mean(second, "discrimination", seed="s").clusters == 50
    assert macro_change(first, second, "lean", seed="s").value == pytest.approx(0, abs=1e-9)
    cells = grid(first, second, "discrimination", seed="s", by=("hazard", "language"))
    assert [dict(cell.names) for cell in cells] == [{"hazard": "privacy", "language": "en"}]
    with pytest.raises(UsageError, match="empty"):
        change(first.slice(0, 5), second, "discrimination", seed="s")


def test_no_items_give_no_table_rows() -> None:
    """Without items of its kind, a table of measures is empty and has its columns."""
    table = samples(detector(1.0, 0.0), refusal.asks("s", refusal_items(2)))
    assert crossed.measures(table).num_rows == 0
    assert "margin" in crossed.measures(table).column_names
