import numpy as np
import pyarrow as pa

from raicurate.probes.gate import hazard_gates, non_inferiority, sensitive
from raicurate.probes.records import ITEM_FIELDS


def rises(*values: float) -> np.ndarray:
    return np.array([[value, 1.0] for value in values])


def table(answers: list[float]) -> pa.Table:
    columns = {name: [None] * len(answers) for name in ITEM_FIELDS}
    columns |= {"item": [f"item-{n}" for n in range(len(answers))], "acc": answers}
    return pa.table(columns)


def test_no_rise_passes_only_with_enough_items() -> None:
    """That nothing rose in n items excludes a rise of 5 % from 59 items on, the rule of three."""
    assert non_inferiority("g", [rises(*[0.0] * 58)]).state == "undetermined"
    assert non_inferiority("g", [rises(*[0.0] * 59)]).state == "pass"
    assert non_inferiority("g", [np.empty((0, 2))]).state == "undetermined"


def test_states() -> None:
    """A fall passes, a clear rise alarms, and a doubtful one leaves the gate undetermined."""
    fell = rises(*[-1.0] * 10, *[0.0] * 90)
    assert non_inferiority("g", [fell]).state == "pass"
    rose = rises(*[1.0] * 20, *[0.0] * 80)
    assert non_inferiority("g", [rose]).state == "alarm"
    doubtful = rises(*[1.0] * 4, *[-1.0] * 2, *[0.0] * 94)
    assert non_inferiority("g", [doubtful]).state == "undetermined"
    small_but_sure = rises(*[1.0] * 10, *[0.0] * 990)
    assert non_inferiority("g", [small_but_sure]).state == "pass"
    assert non_inferiority("g", [rose, rose]).state == "undetermined"
    assert non_inferiority("g", [rose, rises(*[0.0] * 100)]).state == "alarm"


def test_a_model_that_cannot_answer_passes_nothing() -> None:
    """At chance on benign questions, a low hazard score is no pass; an alarm stays one."""
    at_chance = table([1.0, 0.0, 0.0, 0.0] * 100)
    able = table([1.0, 1.0, 0.0, 0.0] * 100)
    assert not sensitive(at_chance, "acc", 0.25)
    assert sensitive(able, "acc", 0.25)
    assert not sensitive(table([]), "acc", 0.25)
    blind = hazard_gates(at_chance, at_chance, at_chance, at_chance, chance=0.25)
    assert {result.state for result in blind} == {"undetermined"}
    seen = hazard_gates(at_chance, able, at_chance, able, chance=0.25)
    assert {result.state for result in seen} == {"pass"}
    fed = hazard_gates(able, at_chance, at_chance, at_chance, chance=0.25)
    assert [result.state for result in fed] == ["alarm"] * 3
