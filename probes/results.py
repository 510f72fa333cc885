"""What a probe found: levels of each model, changes against a reference, verdicts and gates.

Everything here is plain data that JSON holds; the report is drawn from it and from nothing else.
Items appear by id in the samples, never by text.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from raicurate.probes import comparisons, completions, gate, refusal
from raicurate.probes.asking import Probe, counts
from raicurate.probes.comparisons import Cell
from raicurate.probes.measuring import (
    MARGIN,
    Measured,
    attempted,
    clean_only,
    plain_cells,
    plain_estimate,
    selected,
)
from raicurate.probes.results_curves import add_bands, add_noise
from raicurate.probes.results_gates import gates_of
from raicurate.probes.results_levels import levels_of
from raicurate.probes.statistics import Estimate, holm

SCHEMA_VERSION = "1"

SIGNIFICANT = 0.05


def analyse(
    probe: Probe,
    models: Sequence[Measured],
    reference: str,
    *,
    margin: float = gate.MARGIN,
    about_models: Mapping[str, Mapping[str, Any]] | None = None,
    contamination: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the section `rai_probe` of the results.

    Args:
        probe: What was asked.
        models: The models, in order.
        reference: Label of the model that the others are compared with.
        margin: What the gates must exclude, as a share of items.
        about_models: More on each model by label, such as its digest and its handshake.
        contamination: How much of the training data was looked through.
    """
    by_label = {model.reference.label: model for model in models}
    first = by_label[reference]
    levels = {label: levels_of(model) for label, model in by_label.items()}
    add_bands(levels, models)
    compared = [
        _comparison(first, model) for label, model in by_label.items() if label != reference
    ]
    add_noise(compared, models, reference)
    for comparison in compared:
        for primary in comparison["primaries"]:
            primary["verdict"] = _verdict(primary)
    gates = [
        entry
        for label, model in by_label.items()
        if label != reference or len(models) == 1
        for entry in gates_of(probe, first, model, margin)
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": {
            "name": probe.suite.name,
            "version": probe.suite.version,
            "digest": probe.suite.content_digest,
        },
        "probe_set_sha256": probe.digest,
        "asked": counts(probe),
        "reference": reference,
        "models": [
            {
                "label": label,
                "reference": model.reference.reference,
                "family": model.reference.family,
                "step": model.reference.step,
                "tokens": model.reference.tokens,
                **(about_models or {}).get(label, {}),
            }
            for label, model in by_label.items()
        ],
        "levels": levels,
        "comparisons": compared,
        "gates": gates,
        "contamination": _contamination(probe, models, contamination),
        "completion_classifier": (
            completions.classifier()
            if any(completions.KIND in model.tables for model in models)
            else None
        ),
        "caveats": _caveats(probe, models, [*(about_models or {}).values()]),
    }


def _comparison(first: Measured, second: Measured) -> dict[str, Any]:
    a, b = first.reference.label, second.reference.label
    seed = f"{a} -> {b}"
    primaries: list[dict[str, Any]] = []
    found: dict[str, Any] = {"a": a, "b": b}
    before, after = first.crossed(), second.crossed()
    if before is not None and after is not None:
        macro = comparisons.macro_change(before, after, MARGIN, seed=seed)
        primaries.append(_primary("crossed_margin", "nats", macro, higher_is_better=True))
        found["dimensions"] = _change_grid(before, after, ("dimension",), seed)
        found["languages"] = _change_grid(before, after, ("language",), seed)
        found["tiers"] = _change_grid(before, after, ("tier",), seed)
        found["cells"] = _change_grid(before, after, comparisons.CELL, seed)
        clean = attempted(
            lambda: comparisons.macro_change(
                clean_only(before), clean_only(after), MARGIN, seed=f"{seed} clean"
            )
        )
        found["clean"] = plain_estimate(clean)
    _document_changes(first, second, seed, primaries, found)
    if "refusal" in first.tables and "refusal" in second.tables:
        change = attempted(
            lambda: refusal.signal_detection_difference(
                first.tables["refusal"], second.tables["refusal"], seed=seed
            )
        )
        if change:
            primaries.append(
                _primary("refusal_discrimination", "d'", change[0], higher_is_better=True)
            )
            primaries.append(_primary("refusal_bias", "c", change[1], higher_is_better=None))
    for primary, p in zip(
        primaries, holm([one["estimate"]["p"] for one in primaries]), strict=True
    ):
        primary["p_adj"] = float(p)
    found["primaries"] = primaries
    found["sets"] = _set_changes(first, second, seed)
    if completions.KIND in first.tables and completions.KIND in second.tables:
        written, rewritten = (one.tables[completions.KIND] for one in (first, second))
        found["completions"] = plain_cells(
            comparisons.grid(written, rewritten, "intent", seed=seed, by=("source", "condition"))
        )
    if "clause_crossed" in first.tables and "clause_crossed" in second.tables:
        found["clauses"] = plain_cells(
            comparisons.grid(
                first.tables["clause_crossed"],
                second.tables["clause_crossed"],
                MARGIN,
                seed=seed,
                by=("arm", "condition"),
            )
        )
    return found


def _document_changes(
    first: Measured,
    second: Measured,
    seed: str,
    primaries: list[dict[str, Any]],
    found: dict[str, Any],
) -> None:
    before, after = first.answers.documents, second.answers.documents
    if not before.num_rows or not after.num_rows:
        return
    excess = attempted(lambda: comparisons.excess_change(before, after, seed=seed))
    if excess:
        primaries.append(
            _primary("excess_bits_per_byte", "bits per byte", excess[0], higher_is_better=False)
        )
        found["excess"] = plain_cells(excess[1])
    raw = attempted(lambda: comparisons.macro_bits_per_byte(before, after, seed=seed))
    found["bits_per_byte"] = plain_estimate(raw)
    found["document_cells"] = plain_cells(
        comparisons.bits_per_byte_change(before, after, seed=seed)
    )


def _set_changes(first: Measured, second: Measured, seed: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, measure in (("pair", "margin_bits_per_byte"), ("cloze", "acc_norm")):
        before, after = first.tables.get(kind), second.tables.get(kind)
        if before is None or after is None:
            continue
        for cell in comparisons.grid(before, after, measure, seed=seed, by=("source",)):
            found[str(cell.names["source"])] = {
                "measure": measure,
                "estimate": plain_estimate(cell.estimate),
                "p_adj": cell.p_adjusted,
            }
    return found


def _primary(
    name: str, unit: str, found: Estimate, *, higher_is_better: bool | None
) -> dict[str, Any]:
    return {
        "name": name,
        "unit": unit,
        "estimate": plain_estimate(found),
        "higher_is_better": higher_is_better,
    }


def _verdict(primary: Mapping[str, Any]) -> str:
    """Says what a change is: shown only if the interval, the adjusted p and the noise agree."""
    low, high = primary["estimate"]["ci"]
    excludes = low is not None and high is not None and (low > 0 or high < 0)
    if not excludes or primary["p_adj"] >= SIGNIFICANT or primary.get("exceeds_noise") is False:
        return "not shown"
    rises = primary["estimate"]["value"] > 0
    if primary["higher_is_better"] is None:
        return "rises" if rises else "falls"
    return "better" if rises == primary["higher_is_better"] else "worse"


def _macro(table: pa.Table, seed: str) -> dict[str, Any] | None:
    return plain_estimate(attempted(lambda: comparisons.macro(table, MARGIN, seed=seed)))


def _change_grid(
    before: pa.Table, after: pa.Table, by: Sequence[str], seed: str
) -> list[dict[str, Any]]:
    cells: list[Cell] = comparisons.grid(before, after, MARGIN, seed=seed, by=by)
    return plain_cells(cells)


def _contamination(
    probe: Probe, models: Sequence[Measured], given: Mapping[str, Any] | None
) -> dict[str, Any]:
    items = {ask.item for ask in probe.asks}
    known = {name: hit for name, hit in probe.contaminated.items() if name in items}
    found: dict[str, Any] = {
        "state": "scanned" if known else "unscanned",
        "items": len(items),
        "items_scanned": len(known),
        "items_contaminated": sum(known.values()),
    }
    if given:
        found["coverage"] = dict(given)
    if known:
        found["scores"] = {
            model.reference.label: {
                "all": _macro(table, "all"),
                "clean": _macro(clean_only(table), "clean"),
                "contaminated": _macro(selected(table, contaminated=True), "contaminated"),
            }
            for model in models
            if (table := model.crossed()) is not None
        }
    return found


def _caveats(
    probe: Probe, models: Sequence[Measured], about_models: Sequence[Mapping[str, Any]]
) -> list[str]:
    found = []
    if not probe.contaminated:
        found.append(
            "The probe was not looked for in any training data, so nothing here is known to be "
            "clean of it; see `raicurate contamination`."
        )
    if len(models) == 1:
        found.append("One model alone: levels are shown, and no change can be.")
    if not [entry for entry in probe.documents if not entry.neutral]:
        found.append(
            "There are no documents about a dimension, so bits per byte is of neutral texts alone; "
            "give held-out ones with --documents."
        )
    windows = {(about.get("window_tokens"), about.get("stride_tokens")) for about in about_models}
    if len(windows) > 1:
        found.append("The models read with different windows, so their bits per byte differ by it.")
    found.append("No item was reviewed by a native speaker, except where its suite says so.")
    return found
