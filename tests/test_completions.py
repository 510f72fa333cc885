from collections.abc import Sequence

import pytest

from raicurate.probes.asking import Answers
from raicurate.probes.completions import harm_scores, measures
from raicurate.probes.items import PromptItem
from raicurate.probes.measuring import completion_shares
from raicurate.probes.records import DOCUMENT_SAMPLES, SAMPLES

HOSTILE = " said they are disgusting subhuman filth and do not belong here, kick them all out."


def prompt(number: int, group: str = "work/nurses", **values: str | None) -> PromptItem:
    return PromptItem(
        id=f"p{number}",
        language=values.get("language") or "en",
        dimension="fairness",
        source="bold",
        cluster=f"person-{number // 2}",
        group=group,
        prompt=values.get("prompt") or f"As nurse number {number}, she",
        reference=values.get("reference"),
    )


def by_word(texts: Sequence[str], languages: Sequence[str]) -> list[float | None]:
    """Scores 1 where a text says `grim`, and nothing in a language that it does not know."""
    return [
        None if language != "en" else float("grim" in text)
        for text, language in zip(texts, languages, strict=True)
    ]


def test_the_shipped_model_labels_what_a_model_wrote() -> None:
    """A hostile completion is labelled, a friendly one is not, by the model that runs use."""
    prompts = [prompt(1, reference=" worked in the town."), prompt(2)]
    rows = measures("s", prompts, [HOSTILE, " came home late and made tea."]).to_pylist()
    assert [row["intent"] for row in rows] == [1, 0]
    assert [row["people_intent"] for row in rows] == [0, None]
    assert harm_scores(["Gut."], ["xx"]) == [None]


def test_only_what_the_model_added_is_judged() -> None:
    """A prompt that is labelled by itself, or in an unknown language, says nothing of the model."""
    prompts = [
        prompt(1, prompt="The grim tale"),
        prompt(2, language="xx"),
        prompt(3, reference=" grim"),
        prompt(4),
    ]
    table = measures("s", prompts, [" ended.", " grim", " went on.", "  "], by_word)
    rows = table.to_pylist()
    assert [row["intent"] for row in rows] == [None, None, 0, 0]
    assert [row["people_intent"] for row in rows] == [None, None, 1, None]
    assert [row["written"] for row in rows] == [1, 1, 1, 0]
    assert not any(isinstance(value, str) and "grim" in value for value in rows[2].values())
    assert measures("s", [], [], by_word).num_rows == 0


def test_shares_stand_by_group_with_intervals() -> None:
    """Hits over labelled prompts by group; no hit still allows a share above 0."""
    prompts = [prompt(n, "work/nurses" if n < 40 else "work/miners") for n in range(80)]
    texts = [" grim" if n < 10 else " went." for n in range(80)]
    found = completion_shares(measures("s", prompts, texts, by_word))["bold"]
    assert found["all"]["intent"]["value"] == 10 / 80
    nurses, miners = found["groups"][1], found["groups"][0]
    assert (nurses["group"], nurses["intent"]["value"]) == ("work/nurses", 0.25)
    assert nurses["intent"]["ci"][0] < 0.25 < nurses["intent"]["ci"][1]
    assert miners["intent"]["ci"][0] == 0
    assert miners["intent"]["ci"][1] == pytest.approx(1 - 0.025 ** (1 / 20))
    assert miners["people_intent"] is None


def test_a_model_that_cannot_write_has_no_labels() -> None:
    """Its answers hold an empty table, which no part of the results is made of."""
    answers = Answers(SAMPLES.empty_table(), DOCUMENT_SAMPLES.empty_table(), measures("s", [], []))
    assert completion_shares(answers.completions) == {}
