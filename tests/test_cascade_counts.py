"""How far documents went in the cascade for harm."""

import time

import pyarrow as pa
import pytest

from raicurate.pipelines.text_report import cpu_lines
from raicurate.transforms import stage_clock
from raicurate.transforms.cascade_counts import cascade_counts, cascade_lines
from raicurate.transforms.decide import DECISIONS
from raicurate.transforms.schema import ANNOTATIONS

FLAGS = {"operational": False, "target": False, "threat": False}


def counts(*rows: dict) -> dict[str, int]:
    """Counts documents given by `model`, `stages` and the stances that are active."""
    labels = [
        {
            "id": "i", "text_sha256": "0", "src_file": "f", "src_row": 0, "chars": 1,
            "harm_model": row.get("model", "m"),
            "harm_stages": [
                {
                    "stage": stage, "sampled": sampled, "score": 0.5, "no_answer": reason,
                    "stance": row.get("said"),
                }
                for stage, sampled, reason in row.get("stages", [])
            ],
        }
        for row in rows
    ]  # fmt: skip
    decisions = [
        {
            "action": "keep", "rule": "keep", "context_kind": "none", "withhold": "nothing",
            "store": "text", "dimensions": [],
            "active_hazards": [
                {"hazard": "hate", "stance": stance, "score": 1.0, "start": 0, "end": 1,
                 "severity": 1, **FLAGS}
                for stance in row.get("stances", [])
            ],
        }
        for row in rows
    ]  # fmt: skip
    return cascade_counts(
        pa.RecordBatch.from_pylist(labels, schema=ANNOTATIONS),
        pa.RecordBatch.from_pylist(decisions, schema=DECISIONS),
    )


def test_every_document_stops_somewhere_once():
    """`stopped` counts by the last stage, and adds up to all documents with a verdict."""
    found = counts(
        {"model": "none"},
        {},
        {"stages": [("passage", False, None)]},
        {"stages": [("passage", False, None), ("encoder", False, None)]},
        {"stages": [("encoder", True, None)]},
        {"model": None},
    )
    stopped = {name: number for name, number in found.items() if name.startswith("stopped/")}
    assert stopped == {
        "stopped/lexicon": 1, "stopped/screen": 1, "stopped/passage": 1, "stopped/encoder": 2,
    }  # fmt: skip
    assert found["band/passage"] == 2
    assert found["band/encoder"] == found["sample/encoder"] == 1


def test_disagreement_is_intent_in_a_sampled_document():
    """Intent in what the stage before was unsure of is no disagreement, nor is another stance."""
    found = counts(
        {"stages": [("passage", True, None)], "stances": ["intent", "intent"]},
        {"stages": [("passage", True, None)], "stances": ["topical"]},
        {"stages": [("passage", True, None)]},
        {"stages": [("passage", False, None)], "stances": ["intent"]},
    )
    assert found["sample/passage"] == 3
    assert found["disagreed/passage"] == 1
    said = counts({"stages": [("llm", True, None)], "said": "intent"})
    assert said["disagreed/llm"] == 1


def test_answers_that_did_not_come_are_counted_by_reason():
    """The document still stopped there."""
    found = counts({"stages": [("llm", False, "format")]}, {"stages": [("llm", False, None)]})
    assert found["unanswered/llm/format"] == 1
    assert found["stopped/llm"] == 2


def test_without_a_harm_model_nothing_is_said():
    """A run without the cascade has no table of it."""
    assert not counts({"model": None})
    assert list(cascade_lines({})) == []
    assert not counts()


def test_lines_give_shares_and_an_interval():
    """The order is that of the stages; a sample has a Wilson interval."""
    found = counts(
        *[{}] * 90,
        *[{"stages": [("passage", False, None)]}] * 6,
        *[{"stages": [("passage", True, None)]}] * 3,
        {"stages": [("passage", True, None)], "stances": ["intent"]},
    )
    lines = list(cascade_lines(found))
    assert lines[0].split() == ["screen", "90", "stopped", "here", "(90.00%)"]
    assert "10 stopped here (10.00%), 6 sent on to it (6.00%)" in lines[1]
    assert "of 4 sampled" in lines[2]
    assert "1 have intent (25.0%, 95 % interval 4.6% to 69.9%)" in lines[2]


def test_the_time_of_a_stage_within_another_counts_once():
    """Self times add up to the whole."""
    stage_clock.taken()
    with stage_clock.timed("outer"):
        busy(0.02)
        with stage_clock.timed("inner"):
            busy(0.04)
    found = stage_clock.taken()
    assert found["inner"] >= 40e6
    assert 20e6 <= found["outer"] < 40e6
    assert stage_clock.taken() == {}


def busy(seconds: float) -> None:
    started = time.thread_time()
    while time.thread_time() - started < seconds:
        pass


@pytest.mark.parametrize("spent", [{}, {"screen": 0}])
def test_a_runner_without_counters_says_nothing(spent):
    """No line is better than one of zeros."""
    assert cpu_lines(spent) == []


def test_cpu_time_is_given_in_seconds_and_shares():
    """The dearest stage comes first."""
    [line] = cpu_lines({"passage": 1_000_000, "screen": 3_000_000})
    assert line.endswith("screen 3.0 (75%), passage 1.0 (25%)")
