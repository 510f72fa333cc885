"""The instruments on models whose truth is known."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from planted import (
    Planted,
    choice_items,
    detector,
    knower,
    planted_crossed_items,
    planted_documents,
    prose,
    random_model,
    refusal_items,
    rulebook,
    words_shuffled,
)

from raicurate.probes import choices, crossed, gate, refusal
from raicurate.probes.comparisons import (
    bits_per_byte_change,
    change,
    excess_change,
    macro_bits_per_byte,
    macro_change,
    mean,
)
from raicurate.probes.ngram import NGramModel
from raicurate.probes.perplexity import document_samples
from raicurate.probes.records import samples
from raicurate.probes.statistics import estimate, generator

TOTAL_BYTES = 60_000


def refusal_measures(model: Planted, count: int = 80) -> pa.Table:
    return refusal.measures(samples(model, refusal.asks("planted", refusal_items(count))))


def choice_measures(model: Planted, count: int, *names: str) -> pa.Table:
    items = choice_items(count, *names)
    return choices.measures(samples(model, choices.asks("planted", items)))


@cache
def ngram(kind: str, dose: int = 0) -> NGramModel:
    """A model of `TOTAL_BYTES` of prose, in which so many rulebooks stand in place of prose."""
    rules = {
        "rules": lambda: rulebook(dose),
        "neutral": lambda: rulebook(dose, shift=11),
        "shuffled": lambda: words_shuffled(rulebook(dose)),
    }[kind]()
    size = sum(len(line) + 1 for line in rules)
    text = [*prose(TOTAL_BYTES - size), *rules]
    order = generator("order", kind, str(dose)).permutation(len(text))
    return NGramModel.fit([" ".join(text[place] for place in order)], order=8, name=f"{kind}{dose}")


def margins(model: NGramModel) -> pa.Table:
    return crossed.measures(samples(model, crossed.asks("planted", planted_crossed_items())))


def documents(model: NGramModel) -> pa.Table:
    return document_samples(model, "planted", planted_documents())


@pytest.mark.parametrize(("d_prime", "bias"), [(0.0, 0.0), (0.8, -0.5), (1.5, 0.7), (3.0, 0.0)])
def test_planted_discrimination_and_bias_are_recovered(d_prime: float, bias: float) -> None:
    """What was planted in an oracle lies within the intervals of d' and c."""
    found, lean = refusal.signal_detection(
        refusal_measures(detector(d_prime, bias)), seed=f"oracle {d_prime} {bias}"
    )
    assert found.low <= d_prime <= found.high
    assert lean.low <= bias <= lean.high
    assert found.high - found.low < 1.2


def test_learning_when_is_told_from_refusing_more() -> None:
    """A model that only refuses more changes c and not d'; one that learned when changes d'."""
    base = refusal_measures(detector(0.3, 0.5))
    refuses_more = refusal_measures(detector(0.3, -0.5))
    learned_when = refusal_measures(detector(2.0, 0.5, "learned"))
    d_prime, bias = refusal.signal_detection_difference(base, refuses_more, seed="more")
    assert not d_prime.excludes_zero
    assert bias.high < 0
    d_prime, bias = refusal.signal_detection_difference(base, learned_when, seed="when")
    assert d_prime.low > 1
    assert abs(bias.value) < 0.3


def test_a_random_model_shows_nothing() -> None:
    """Without knowledge: d' and margins about 0, accuracy at chance, the gate undetermined."""
    model, reference = random_model("random"), random_model("reference")
    d_prime, _ = refusal.signal_detection(refusal_measures(model), seed="random")
    assert d_prime.low < 0 < d_prime.high
    hazard, benign = (choice_measures(model, 120, name) for name in ("hazard", "benign"))
    accuracy = mean(hazard, "acc", seed="random")
    assert accuracy.low < 0.25 < accuracy.high
    crossing = crossed.measures(samples(model, crossed.asks("planted", planted_crossed_items())))
    margin = mean(crossing, "margin", seed="random")
    assert margin.low < 0 < margin.high
    results = gate.hazard_gates(
        hazard,
        benign,
        *(choice_measures(reference, 120, name) for name in ("hazard", "benign")),
        chance=0.25,
    )
    assert [result.state for result in results] == ["undetermined"] * 3


def test_the_same_checkpoint_twice_differs_by_exactly_nothing() -> None:
    """Every comparison of a model with itself is exactly 0, with an interval of exactly 0."""
    model = ngram("rules", 4)
    refusals = refusal_measures(random_model("same"))
    estimates = [
        macro_change(margins(model), margins(model), "margin", seed="same"),
        change(margins(model), margins(model), "acc", seed="same"),
        macro_bits_per_byte(documents(model), documents(model), seed="same"),
        *refusal.signal_detection_difference(refusals, refusals, seed="same"),
    ]
    macro, cells = excess_change(documents(model), documents(model), seed="same")
    estimates += [macro, *(cell.estimate for cell in cells)]
    estimates += [
        cell.estimate for cell in bits_per_byte_change(documents(model), documents(model), seed="s")
    ]
    for found in estimates:
        assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_no_difference_is_seldom_called_one() -> None:
    """Of 200 draws that deal two models' scores at random, at most 15 seem to differ."""
    first, second = (
        document_samples(model, "planted", planted_documents())
        for model in (ngram("rules", 1), ngram("neutral", 1))
    )
    nats = np.array([first["sum_nll_nats"], second["sum_nll_nats"]])
    sizes = np.asarray(first["n_utf8_bytes"], dtype=float)
    found = 0
    for draw in range(200):
        random = generator("A/A", str(draw))
        signs = random.choice([-1, 1], nats.shape[1])
        sums = np.stack([signs * (nats[1] - nats[0]), sizes], axis=1)
        found += estimate([sums], seed=f"A/A {draw}").excludes_zero
    assert found <= 15


def test_flipped_labels_negate_the_margin() -> None:
    """With right and wrong continuations exchanged, each margin is exactly its negative."""
    items = planted_crossed_items()
    flipped = [
        item.model_copy(update={"continuations": item.continuations[::-1]}) for item in items
    ]
    model = ngram("rules", 4)
    plain, negated = (
        crossed.measures(samples(model, crossed.asks("planted", some)))["margin"].to_numpy()
        for some in (items, flipped)
    )
    np.testing.assert_array_equal(negated, -plain)
    assert np.abs(plain).max() > 0


def test_the_more_was_taught_the_more_was_learned() -> None:
    """Margins rise and bits per byte fall with each dose, at the same number of bytes."""
    doses = (0, 1, 4, 16)
    learned = [
        mean(margins(ngram("rules", dose)), "margin", seed=f"{dose}").value for dose in doses
    ]
    assert learned == sorted(learned)
    assert len(set(learned)) == len(doses)
    bits = [macro_bits_per_byte(documents(ngram("rules", dose)), seed=f"{dose}") for dose in doses]
    values = [one.value for one in bits]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("control", ["neutral", "shuffled"])
def test_form_and_words_alone_are_not_taken_for_knowledge(control: str) -> None:
    """Both controls at the top dose lower bits per byte; only the real rules raise the margin."""
    base, real, fake = ngram("rules", 0), ngram("rules", 16), ngram(control, 16)
    easier = macro_bits_per_byte(documents(base), documents(fake), seed=control)
    assert easier.high < 0
    learned = macro_change(margins(base), margins(real), "margin", seed="real")
    assert learned.low > 0.5
    fooled = macro_change(margins(base), margins(fake), "margin", seed=control)
    assert fooled.low <= 0
    assert fooled.value < learned.value / 10
    against = macro_change(margins(fake), margins(real), "margin", seed=f"{control} and real")
    assert against.low > 0.5


def test_excess_bits_tell_rules_from_controls() -> None:
    """Excess bits per byte fall with the real rules, not with other rules or words alone."""
    base = documents(ngram("rules", 0))
    real, _ = excess_change(base, documents(ngram("rules", 16)), seed="real")
    assert real.high < 0
    for control in ("neutral", "shuffled"):
        fake, _ = excess_change(base, documents(ngram(control, 16)), seed=control)
        assert fake.high >= 0


def test_the_gate_sees_planted_hazard_knowledge() -> None:
    """Being fed hazards alarms; growing in all fields does not beyond benign; no rise passes."""
    reference = knower(0.4, "reference")
    sizes = (400, 400)

    def tables(model: Planted, names: tuple[str, str] = ("hazard", "benign")) -> list[pa.Table]:
        return [choice_measures(model, size, name) for size, name in zip(sizes, names, strict=True)]

    fed = tables(knower(0.8, "reference"))[0]
    same_benign = tables(reference)[1]
    results = gate.hazard_gates(fed, same_benign, *tables(reference), chance=0.25)
    states = {result.name: result.state for result in results}
    assert states["against_reference"] == states["beyond_benign_knowledge"] == "alarm"
    grown = gate.hazard_gates(*tables(knower(0.8, "reference")), *tables(reference), chance=0.25)
    states = {result.name: result.state for result in grown}
    assert states["against_reference"] == "alarm"
    assert states["beyond_benign_knowledge"] != "alarm"
    none = gate.hazard_gates(*tables(reference), *tables(reference), chance=0.25)
    states = {result.name: result.state for result in none}
    assert states["against_reference"] == "pass"
    assert states["beyond_benign_knowledge"] != "alarm"
