"""From hits, as bytes of a column, to spans: code points of each text, sorted, not overlapping."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from raicurate.corpora_manifests.vocabulary import PersonalDataKind
from raicurate.transforms.personal_data_column import Hit, Utf8Column
from raicurate.transforms.schema import PERSONAL_DATA

# Where two kinds claim the same place, the first of these wins: the stricter validator.
_PRECEDENCE: tuple[PersonalDataKind, ...] = ("email", "iban", "card", "ip", "phone")


def _without_overlaps(hits: Iterable[Hit]) -> list[Hit]:
    """Returns the hits in order, without those that overlap one of a kind that takes precedence."""
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, _PRECEDENCE.index(hit.kind), -hit.end)):
        if kept and hit.start < kept[-1].end:
            last = kept[-1]
            if _PRECEDENCE.index(hit.kind) < _PRECEDENCE.index(last.kind):
                kept[-1] = hit
            continue
        kept.append(hit)
    return kept


def spans_of(column: Utf8Column, hits: Iterable[Hit]) -> dict[int, list[tuple[int, int, str]]]:
    """Returns the spans of each document that has any, in code points."""
    rows: dict[int, list[tuple[int, int, str]]] = {}
    document, position, characters = -1, 0, 0
    for hit in _without_overlaps(hits):
        if hit.document != document:
            document, position, characters = hit.document, int(column.offsets[hit.document]), 0
        edges = []
        for edge in (hit.start, hit.end):
            # Every byte but a continuation byte (10xxxxxx) starts a code point.
            piece = column.data[position:edge]
            characters += int(np.count_nonzero((piece & 0xC0) != 0x80))
            position = edge
            edges.append(characters)
        rows.setdefault(document, []).append((edges[0], edges[1], hit.kind))
    return rows


def spans_as_column(length: int, rows: dict[int, list[tuple[int, int, str]]]) -> pa.ListArray:
    """Returns the column `personal_data` of `length` texts, whose spans `rows` holds by index."""
    counts = np.zeros(length + 1, dtype=np.int32)
    for row, spans in rows.items():
        counts[row + 1] = len(spans)
    flat = [span for row in sorted(rows) for span in rows[row]]
    values = pa.StructArray.from_arrays(
        [
            pa.array([span[0] for span in flat], pa.int32()),
            pa.array([span[1] for span in flat], pa.int32()),
            pa.array([span[2] for span in flat], pa.string()),
        ],
        fields=list(PERSONAL_DATA),
    )
    return pa.ListArray.from_arrays(pa.array(np.cumsum(counts, dtype=np.int32)), values)
