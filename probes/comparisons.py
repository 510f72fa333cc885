"""What a table of measures or documents says: of one model, of two, by cell, and over dimensions.

Two models are always compared on the same items or documents, paired: the spread between items,
which is far larger than what training changes, then falls out. The headline is the mean over
dimensions (macro), since one large set would hide the others; the worst cell stands beside it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import Floats
from raicurate.probes.perplexity import VARIANTS, excess
from raicurate.probes.records import ITEM_FIELDS
from raicurate.probes.statistics import (
    Estimate,
    benjamini_hochberg,
    cluster_sums,
    estimate,
    ratio,
)

CELL = ("dimension", "language")


@dataclass(frozen=True, slots=True)
class Cell:
    """An estimate for a part of the items.

    Attributes:
        measure: What was measured.
        names: Which part, by column, such as the dimension.
        estimate: Of the part's mean, or of its change from the first model to the second.
        standardised: The mean over the spread of the clusters (Cohen's d_z for a change); null
            where they do not spread.
        p_adjusted: The p-value, adjusted for all cells that were estimated together.
    """

    measure: str
    names: Mapping[str, str]
    estimate: Estimate
    standardised: float | None
    p_adjusted: float


def mean(table: pa.Table, measure: str, *, seed: str) -> Estimate:
    """Returns the mean of a measure over the items of one model.

    Raises:
        UsageError: No item has the measure.
    """
    return estimate([_sums(_values(table, measure))], seed=f"{seed} {measure}")


def macro(table: pa.Table, measure: str, *, seed: str) -> Estimate:
    """Returns the mean over dimensions of the mean of a measure of one model.

    Raises:
        UsageError: No item of a dimension has the measure.
    """
    strata = list(dimension_sums(table, measure).values())
    return estimate(strata, mean_of(ratio), seed=f"{seed} macro {measure}")


def dimension_sums(table: pa.Table, measure: str) -> dict[str, Floats]:
    """Returns by dimension the sums by cluster of a measure of one model, and of its items."""
    return _dimension_sums(_values(table, measure))


def document_sums(samples: pa.Table) -> dict[str, Floats]:
    """Returns by dimension the sums by cluster of nats and bytes of one model's documents."""
    return _dimension_sums(_document_rows(samples, "original", False))


def change(first: pa.Table, second: pa.Table, measure: str, *, seed: str) -> Estimate:
    """Returns the mean change of a measure from the first model to the second, paired by item.

    Raises:
        UsageError: The models have no item in common that has the measure.
    """
    return estimate([_sums(_paired(first, second, measure))], seed=f"{seed} {measure}")


def macro_change(
    first: pa.Table, second: pa.Table, measure: str, *, seed: str, by: str = "dimension"
) -> Estimate:
    """Returns the mean over dimensions of the mean change in each.

    Raises:
        UsageError: The models have no item in common that has the measure.
    """
    cells = _by_cell(_paired(first, second, measure), (by,))
    strata = [_sums(rows) for _, rows in sorted(cells.items())]
    return estimate(strata, mean_of(ratio), seed=f"{seed} macro {measure}")


def grid(
    first: pa.Table,
    second: pa.Table | None,
    measure: str,
    *,
    seed: str,
    by: Sequence[str] = CELL,
) -> list[Cell]:
    """Returns a measure by cell: its mean in one model, or its change to a second.

    P-values are adjusted by Benjamini and Hochberg over the cells.
    """
    rows = _values(first, measure) if second is None else _paired(first, second, measure)
    return _cells(
        measure, by, {key: [_sums(part)] for key, part in _by_cell(rows, by).items()}, ratio, seed
    )


def bits_per_byte(
    samples: pa.Table,
    *,
    seed: str,
    by: Sequence[str] = CELL,
    variant: str = "original",
    key_terms: bool = False,
) -> list[Cell]:
    """Returns bits per byte of one model's documents by cell, of all bytes or of key terms."""
    rows = _document_rows(samples, variant, key_terms)
    return _cells(
        "key_term_bits_per_byte" if key_terms else "bits_per_byte",
        by,
        {key: [_sums(part)] for key, part in _by_cell(rows, by).items()},
        bits,
        seed,
    )


def bits_per_byte_change(
    first: pa.Table,
    second: pa.Table,
    *,
    seed: str,
    by: Sequence[str] = CELL,
    variant: str = "original",
    key_terms: bool = False,
) -> list[Cell]:
    """Returns the change in bits per byte from the first model to the second by cell, paired."""
    rows = _document_pairs(first, second, variant, key_terms)
    return _cells(
        "key_term_bits_per_byte" if key_terms else "bits_per_byte",
        by,
        {key: [_sums(part)] for key, part in _by_cell(rows, by).items()},
        bits,
        seed,
    )


def macro_bits_per_byte(
    first: pa.Table, second: pa.Table | None = None, *, seed: str, variant: str = "original"
) -> Estimate:
    """Returns the mean over dimensions of bits per byte, or of its change to a second model.

    Raises:
        UsageError: There is no document of any dimension.
    """
    rows = (
        _document_rows(first, variant, False)
        if second is None
        else _document_pairs(first, second, variant, False)
    )
    strata = list(_dimension_sums(rows).values())
    return estimate(strata, mean_of(bits), seed=f"{seed} macro bits per byte")


def excess_change(first: pa.Table, second: pa.Table, *, seed: str) -> tuple[Estimate, list[Cell]]:
    """Returns the change in excess bits per byte beyond that on neutral rulebooks; macro and cells.

    Below 0 the second model gained more from the order of words and sentences in documents about
    responsible AI than it did in rulebooks of the same form.

    Raises:
        UsageError: There are no documents of a dimension, or no neutral ones, in common.
    """
    sums = _excess_sums(first, second)
    neutral = sums.pop("", None)
    if neutral is None or not sums:
        raise UsageError(
            f"{seed}: excess bits per byte need documents of a dimension and neutral rulebooks in "
            "both models' records, and one of these is missing; add them to the suite"
        )
    strata = [part for _, part in sorted(sums.items())]

    def beyond(*parts: Floats) -> Floats:
        return mean_of(excess)(*parts[:-1]) - excess(parts[-1])

    macro = estimate([*strata, neutral], beyond, seed=f"{seed} macro excess", is_ratio=False)
    cells = _cells(
        "excess_bits_per_byte",
        ("dimension",),
        {(name,): [part, neutral] for name, part in sums.items()},
        beyond,
        seed,
    )
    return macro, cells


def mean_of(statistic: Callable[[Floats], Floats]) -> Callable[..., Floats]:
    """Returns the mean over strata of a statistic of each."""

    def statistic_of_all(*strata: Floats) -> Floats:
        return np.mean([statistic(part) for part in strata], axis=0)

    return statistic_of_all


def bits(sums: Floats) -> Floats:
    """Bits per byte from nats and bytes."""
    return ratio(sums) / math.log(2)


def _values(table: pa.Table, measure: str) -> list[dict[str, Any]]:
    return [
        row | {"value": row[measure], "weight": 1.0, "name": row["item"]}
        for row in table.to_pylist()
        if row[measure] is not None
    ]


def _paired(first: pa.Table, second: pa.Table, measure: str) -> list[dict[str, Any]]:
    before = {_key(row): row["value"] for row in _values(first, measure)}
    return [
        row | {"value": row["value"] - before[_key(row)]}
        for row in _values(second, measure)
        if _key(row) in before
    ]


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ITEM_FIELDS)


def _document_rows(samples: pa.Table, variant: str, key_terms: bool) -> list[dict[str, Any]]:
    prefix = "key_term_" if key_terms else ""
    nats = "key_term_nll_nats" if key_terms else "sum_nll_nats"
    size = f"{prefix}utf8_bytes" if key_terms else "n_utf8_bytes"
    return [
        row | {"value": row[nats], "weight": float(row[size]), "name": row["document"]}
        for row in samples.to_pylist()
        if row["variant"] == variant and row[size]
    ]


def _document_pairs(
    first: pa.Table, second: pa.Table, variant: str, key_terms: bool
) -> list[dict[str, Any]]:
    before = {row["text_sha256"]: row["value"] for row in _document_rows(first, variant, key_terms)}
    return [
        row | {"value": row["value"] - before[row["text_sha256"]]}
        for row in _document_rows(second, variant, key_terms)
        if row["text_sha256"] in before
    ]


def _excess_sums(first: pa.Table, second: pa.Table) -> dict[str, Floats]:
    """Returns by dimension the changes in nats by variant, and the bytes; "" is neutral."""
    changes: dict[str, dict[str, Any]] = {}
    for variant in VARIANTS:
        for row in _document_pairs(first, second, variant, key_terms=False):
            changes.setdefault(row["document"], row)[variant] = row["value"]
    cells: dict[str, list[dict[str, Any]]] = {}
    for row in changes.values():
        if row["neutral"] or row["dimension"] is not None:
            cells.setdefault("" if row["neutral"] else row["dimension"], []).append(row)
    return {
        name: cluster_sums(
            [
                *([row[variant] for row in rows] for variant in VARIANTS),
                [r["weight"] for r in rows],
            ],
            [row["cluster"] or row["document"] for row in rows],
        )
        for name, rows in cells.items()
    }


def _by_cell(
    rows: Iterable[dict[str, Any]], by: Sequence[str]
) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    cells: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = tuple("" if row[name] is None else str(row[name]) for name in by)
        cells.setdefault(key, []).append(row)
    return cells


def _dimension_sums(rows: Iterable[dict[str, Any]]) -> dict[str, Floats]:
    known = [row for row in rows if row["dimension"] is not None]
    return {name: _sums(part) for (name,), part in sorted(_by_cell(known, ("dimension",)).items())}


def _sums(rows: Sequence[Mapping[str, Any]]) -> Floats:
    if not rows:
        return np.empty((0, 2))
    return cluster_sums(
        [[row["value"] for row in rows], [row["weight"] for row in rows]],
        [row["cluster"] or row["name"] for row in rows],
    )


def _cells(
    measure: str,
    by: Sequence[str],
    strata: Mapping[tuple[str, ...], Sequence[Floats]],
    statistic: Callable[..., Floats],
    seed: str,
) -> list[Cell]:
    found = [
        (key, estimate(parts, statistic, seed=f"{seed} {measure} {key}", is_ratio=len(parts) == 1))
        for key, parts in sorted(strata.items())
    ]
    adjusted = benjamini_hochberg([one.p_value for _, one in found])
    return [
        Cell(measure, dict(zip(by, key, strict=True)), one, _standardised(one), float(p))
        for (key, one), p in zip(found, adjusted, strict=True)
    ]


def _standardised(found: Estimate) -> float | None:
    spread = found.standard_error * math.sqrt(found.clusters)
    return found.value / spread if 0 < spread < math.inf else None
