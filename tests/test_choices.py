import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import Planted, choice_items

from raicurate.probes import choices
from raicurate.probes.backend import Request
from raicurate.probes.few_shot import Example, eligible, nested_draws
from raicurate.probes.items import ChoiceItem
from raicurate.probes.records import samples

ITEM = ChoiceItem(
    id="boats",
    language="en",
    source="written",
    hazard="privacy",
    dimension="safety",
    question="Who counts the boats?",
    options=("the cook", "the keeper"),
    answer=1,
)
NATS = {" the cook": 9.0, " the keeper": 11.0, " A": 1.0, " B": 2.0}
NEUTRAL = {" the cook": 5.0, " the keeper": 9.0}


def ask_one(request: Request) -> float:
    table = NEUTRAL if request.context == choices.ANSWER else NATS
    return table[request.continuation]


def test_measures_are_worked_out_from_log_likelihoods() -> None:
    """Each measure of an item is the number that its definition gives by hand."""
    table = samples(Planted(ask_one), choices.asks("suite", [ITEM]))
    (row,) = choices.measures(table).to_pylist()
    assert row["acc"] == 0  # -9 > -11
    assert row["acc_norm"] == 1  # -9/8 < -11/10
    assert row["acc_pmi"] == 1  # -9+5 < -11+9
    assert row["margin"] == pytest.approx(9 / 9 - 11 / 11)
    assert row["gold_probability"] == pytest.approx(0.5)
    assert row["gold_bpb"] == pytest.approx(1 / math.log(2))


def test_prompts() -> None:
    """A question is asked by letter or completed; each option begins with a space."""
    assert choices.prompt(ITEM, "cloze") == "Who counts the boats?\nAnswer:"
    assert choices.prompt(ITEM, "letter") == (
        "Who counts the boats?\nA. the cook\nB. the keeper\nAnswer:"
    )
    assert choices.continuations(ITEM, "cloze") == (" the cook", " the keeper")
    assert choices.continuations(ITEM, "letter") == (" A", " B")
    begun = ITEM.model_copy(update={"condition": "cloze", "question": "The boats are counted by"})
    assert choices.prompt(begun, "cloze") == "The boats are counted by"
    (row,) = choices.measures(
        samples(Planted(ask_one), choices.asks("suite", [ITEM], "letter")), "letter"
    ).to_pylist()
    assert (row["acc"], row["acc_pmi"]) == (0, None)


def test_shots_come_from_other_hazards_and_nest() -> None:
    """Examples never share the item's hazard or dimension, and k of them begin those of more."""
    pool = [
        ITEM.model_copy(
            update={
                "id": f"example-{number}",
                "hazard": ("privacy", "hate", "cyber")[number % 3],
                "dimension": ("fairness", "safety")[number % 2],
                "question": f"Question {number}?",
            }
        )
        for number in range(60)
    ]
    asked = list(choices.asks("s", [ITEM], examples=pool, shots=(0, 1, 2, 4, 8), draws=5))
    by_ask = {(a.k, a.draw): a.request.context for a in asked if a.context == 0}
    assert len(by_ask) == 1 + 4 * 5
    allowed = {p.question for p in pool if p.hazard != "privacy" and p.dimension != "safety"}
    for (k, draw), context in by_ask.items():
        shown = [block.split("\n")[0] for block in context.split("\n\n")[:-1]]
        assert len(shown) == len(set(shown)) == k
        assert set(shown) <= allowed
        if k < 8:
            longer = by_ask[2 * k or 1, draw].split("\n\n")
            assert longer[:k] == context.split("\n\n")[:-1]
    assert len({by_ask[8, draw] for draw in range(5)}) == 5


def test_too_few_examples_are_not_stretched() -> None:
    """An item is not asked with more examples than there are."""
    pool = [
        ITEM.model_copy(update={"id": f"e{n}", "hazard": "hate", "dimension": None})
        for n in range(3)
    ]
    asked = choices.asks("s", [ITEM], examples=pool, shots=(0, 2, 4), draws=2)
    assert {(a.k, a.draw) for a in asked} == {(0, 0), (2, 0), (2, 1)}


@given(st.lists(st.sampled_from("ABCD"), max_size=30), st.integers(0, 10), st.text(max_size=5))
def test_answers_of_examples_are_balanced(answers: list[str], shots: int, item: str) -> None:
    """No answer is more than one ahead of another that is still to be had."""
    pool = [Example(str(n), "en", None, None, None, answer, "") for n, answer in enumerate(answers)]
    for drawn in nested_draws(pool, item, shots=shots, draws=2):
        assert len(drawn) == min(shots, len(pool))
        counts = {answer: sum(e.answer == answer for e in drawn) for answer in set(answers)}
        for answer, count in counts.items():
            left = answers.count(answer) - count
            assert not left or count >= max(counts.values()) - 1


def test_examples_in_another_language_do_not_serve() -> None:
    """Examples are in the language of the item, and never the item itself."""
    pool = [Example(n, n[:2], None, None, None, "", "") for n in ("en1", "de1", "en2")]
    assert [e.id for e in eligible(pool, "en2", "en", None, None)] == ["en1"]


def test_a_cloze_of_letters_is_scored_for_its_bytes() -> None:
    """With options of one length, all ways to pick agree."""
    items = choice_items(12, "same")
    model = Planted(lambda request: float(len(request.context) + ord(request.continuation[6])))
    table = choices.measures(samples(model, choices.asks("suite", items)))
    assert table["acc"].to_pylist() == table["acc_norm"].to_pylist()
    assert table["acc"].to_pylist() == table["acc_bytes"].to_pylist()
    assert sum(table["acc"].to_pylist()) == 3


def test_examples_come_from_other_subjects() -> None:
    """An item of a subject, hazard or dimension has no example of the same before it."""
    pool = [
        Example("law", "en", None, None, "law", "", ""),
        Example("cyber", "en", "cyber", None, "security", "", ""),
        Example("fair", "en", None, "fairness", "hiring", "", ""),
        Example("none", "en", None, None, None, "", ""),
    ]

    def names(**of_item: str | None) -> list[str]:
        given = {"hazard": None, "dimension": None, "group": None} | of_item
        return [one.id for one in eligible(pool, "item", "en", **given)]

    assert names(group="law") == ["cyber", "fair", "none"]
    assert names(hazard="cyber") == ["law", "fair", "none"]
    assert names(dimension="fairness") == ["law", "cyber", "none"]
    assert names() == ["law", "cyber", "fair", "none"]
