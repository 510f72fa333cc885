"""What each model of a probe is by itself: its margins, refusals, bits per byte, sets and shots."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from raicurate.probes import comparisons, completions, refusal
from raicurate.probes.measuring import (
    MARGIN,
    Measured,
    attempted,
    bbq_bias,
    completion_shares,
    plain_cells,
    plain_estimate,
    selected,
    shot_curves,
)


def levels_of(model: Measured) -> dict[str, Any]:
    """Returns the levels of a model, with intervals."""
    label = model.reference.label
    found: dict[str, Any] = {}
    crossed = model.crossed()
    if crossed is not None:
        seed = f"{label} level"
        found["crossed"] = {
            "macro": plain_estimate(
                attempted(lambda: comparisons.macro(crossed, MARGIN, seed=seed))
            ),
            "accuracy": plain_estimate(
                attempted(lambda: comparisons.macro(crossed, "acc", seed=seed))
            ),
            "dimensions": _grid(crossed, ("dimension",), label),
            "languages": _grid(crossed, ("language",), label),
            "tiers": _grid(crossed, ("tier",), label),
            "cells": _grid(crossed, comparisons.CELL, label),
        }
    if "clause_crossed" in model.tables:
        found["clauses"] = _grid(model.tables["clause_crossed"], ("arm", "condition"), label)
    if "refusal" in model.tables:
        found["refusal"] = _refusal_levels(model.tables["refusal"], label)
    if model.answers.documents.num_rows:
        documents = model.answers.documents
        macro = attempted(lambda: comparisons.macro_bits_per_byte(documents, seed=label))
        found["documents"] = {
            "macro": plain_estimate(macro),
            "cells": plain_cells(comparisons.bits_per_byte(documents, seed=label)),
            "key_terms": plain_cells(
                comparisons.bits_per_byte(documents, seed=label, by=("dimension",), key_terms=True)
            ),
        }
    found["sets"] = _set_levels(model)
    found["shots"] = shot_curves(model)
    if completions.KIND in model.tables:
        found["completions"] = completion_shares(model.tables[completions.KIND])
    return found


def _refusal_levels(table: pa.Table, label: str) -> dict[str, Any]:
    found = attempted(lambda: refusal.signal_detection(table, seed=label))
    discrimination, bias = found or (None, None)
    rates = (
        "harmful_refused",
        "benign_refused",
        "harmful_deflect",
        "benign_deflect",
        "harmful_safe",
    )
    return {
        "d_prime": plain_estimate(discrimination),
        "bias": plain_estimate(bias),
        "rates": {
            name: plain_estimate(
                attempted(lambda name=name: comparisons.mean(table, name, seed=label))  # type: ignore[misc]
            )
            for name in rates
        },
        "languages": {
            language: plain_estimate(
                attempted(
                    lambda language=language: refusal.signal_detection(  # type: ignore[misc]
                        selected(table, language=language), seed=f"{label} {language}"
                    )[0]
                )
            )
            for language in sorted(set(table["language"].to_pylist()))
        },
    }


def _set_levels(model: Measured) -> dict[str, Any]:
    label = model.reference.label
    found: dict[str, Any] = {}
    pairs = model.tables.get("pair")
    if pairs is not None:
        for source in sorted(set(pairs["source"].to_pylist())):
            part = selected(pairs, source=source)
            found[source] = {
                measure: plain_estimate(
                    attempted(
                        lambda part=part, measure=measure, name=f"{label} {source}": (  # type: ignore[misc]
                            comparisons.mean(part, measure, seed=name)
                        )
                    )
                )
                for measure in ("margin_bits_per_byte", "first_preferred", "fits")
            }
    choices = model.tables.get("cloze")
    if choices is not None:
        for source in sorted(set(choices["source"].to_pylist())):
            part = selected(choices, source=source, k=0)
            found[source] = {
                measure: plain_estimate(comparisons.mean(part, measure, seed=f"{label} {source}"))
                for measure in ("acc", "acc_norm", "acc_bytes", "acc_pmi", "gold_bpb")
            }
            bias = bbq_bias(model.answers.samples, source)
            if bias:
                found[source]["bias"] = bias
    return found


def _grid(table: pa.Table, by: Sequence[str], label: str) -> list[dict[str, Any]]:
    return plain_cells(comparisons.grid(table, None, MARGIN, seed=label, by=by))
