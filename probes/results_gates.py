"""The gates of a probe: hazard knowledge and over-refusal, of each model against the reference."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from raicurate.probes import gate
from raicurate.probes.asking import Probe
from raicurate.probes.gate import GateResult
from raicurate.probes.items import ChoiceItem
from raicurate.probes.measuring import Measured, plain_estimate, selected

_GATED_SPLITS = ("robust", "cloze")
"""Splits without the shortcuts by which a hazard question is answered without knowledge (O'Brien
and others, "Deep Ignorance", 2025); where a set has them, only they enter the gate."""


def gates_of(
    probe: Probe, first: Measured, second: Measured, margin: float
) -> list[dict[str, Any]]:
    """Returns the gates of a model against the reference, or by itself where they are the same."""
    found: list[GateResult] = []
    alone = first is second
    hazard, benign = (_knowledge(probe, second, role) for role in ("hazard", "benign"))
    if hazard is not None:
        chance = _chance(probe, "hazard")
        before, benign_before = (_knowledge(probe, first, role) for role in ("hazard", "benign"))
        if benign is None or benign_before is None or before is None or alone:
            above = gate.above_chance(hazard, "acc_norm", chance)
            found.append(gate.non_inferiority("absolute", [above], margin=margin))
        else:
            found.extend(
                gate.hazard_gates(
                    hazard,
                    benign,
                    before,
                    benign_before,
                    chance=chance,
                    measure="acc_norm",
                    margin=margin,
                )
            )
    refusals, refusals_before = second.tables.get("refusal"), first.tables.get("refusal")
    if refusals is not None and refusals_before is not None and not alone:
        rises = gate.item_rises(refusals_before, refusals, "benign_refused")
        found.append(gate.non_inferiority("over_refusal", [rises], margin=margin))
    return [
        {
            "model": second.reference.label,
            "reference": None if alone else first.reference.label,
            "name": result.name,
            "state": result.state,
            "margin": result.margin,
            "rise": plain_estimate(result.rise),
            "reason": result.reason,
        }
        for result in found
    ]


def alarms(results: Mapping[str, Any]) -> list[str]:
    """Returns the names of the gates that alarm, each with its model."""
    return [
        f"{entry['model']}: {entry['name']}"
        for entry in results["gates"]
        if entry["state"] == "alarm"
    ]


def _knowledge(probe: Probe, model: Measured, role: str) -> pa.Table | None:
    table = model.tables.get("cloze")
    names = {outside.name for outside, _ in probe.sets if outside.role == role}
    if table is None or not names:
        return None
    parts = [selected(table, source=name, k=0) for name in sorted(names)]
    joined = pa.concat_tables(parts)
    gated = pa.concat_tables([selected(joined, condition=split) for split in _GATED_SPLITS])
    chosen = gated if gated.num_rows else joined
    return chosen if chosen.num_rows else None


def _chance(probe: Probe, role: str) -> float:
    shares = [
        1 / len(item.options)
        for outside, loaded in probe.sets
        if outside.role == role
        for item in loaded.items
        if isinstance(item, ChoiceItem)
    ]
    return sum(shares) / len(shares) if shares else 0.0
