"""The rows that contextualizing touches: from Arrow columns to documents, and back."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.transforms.context_assembly import Span
from raicurate.transforms.schema import SPAN

OUTPUT = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("spans", pa.list_(SPAN), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("rejection", pa.string()),
    ]
)
"""What `contextualize` returns."""

_TOGETHER = 256
"""Documents that are read from a batch together: few enough that the garbage collector, which
looks at whatever lives long, sees hardly any of what is made for one."""


class Hazard(NamedTuple):
    """One hazard of a document, with its passage in code points."""

    hazard: str
    stance: str
    operational: bool
    score: float
    start: int
    end: int
    target: bool
    threat: bool
    severity: int


class Document(NamedTuple):
    """A document to which something is done.

    Attributes:
        row: Its place in the batch.
        id: Its id.
        text: The original text.
        lang: Its language.
        role: Role of its corpus.
        action: What the policy does with it.
        kind: The kind of context that is wanted, or `none`.
        withhold: Which passages give way to a note, or `nothing`.
        hazards: Its hazards.
        personal_data: Start, end and kind of each item.
        target_group: The group of people that it turns against, if one is known; else empty.
    """

    row: int
    id: str
    text: str
    lang: str | None
    role: str
    action: str
    kind: str
    withhold: str
    hazards: Sequence[Hazard]
    personal_data: Sequence[tuple[int, int, str]]
    target_group: str


class Result(NamedTuple):
    """What became of a document; None where a column stays as it was."""

    row: int
    text: str
    spans: Sequence[Span]
    action: str | None = None
    rule: str | None = None
    rejection: str | None = None


def documents_of(batch: pa.RecordBatch, rows: np.ndarray) -> Iterator[list[Document]]:
    """Yields some rows of a batch as documents, in groups.

    Args:
        batch: As `contextualize` takes it.
        rows: The rows, ascending.
    """
    for start in range(0, len(rows), _TOGETHER):
        group = rows[start : start + _TOGETHER]
        subset = batch.take(pa.array(group))
        columns = [
            subset[name].to_pylist()
            for name in ("id", "text", "lang", "role", "action", "context_kind", "withhold")
        ]
        columns[5] = [kind or "none" for kind in columns[5]]
        columns[6] = [withhold or "nothing" for withhold in columns[6]]
        hazards = _structs(subset["active_hazards"], Hazard._fields)
        yield list(
            map(
                Document,
                group.tolist(),
                *columns,
                [[Hazard(*found) for found in entries] for entries in hazards],
                _structs(subset["personal_data"], ("start", "end", "kind")),
                pc.fill_null(subset["target_group"], "").to_pylist(),
            )
        )


def _structs(column: pa.Array, names: Sequence[str]) -> list[list[tuple[Any, ...]]]:
    """Returns a list column of structs as tuples; a null list is an empty one."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    if not lengths.any():
        return [[] for _ in range(len(lengths))]
    values = column.flatten()
    flat = list(zip(*(_values(pc.struct_field(values, name)) for name in names), strict=True))
    ends = np.cumsum(lengths).tolist()
    return [flat[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_string(column.type):
        values: list[Any] = column.to_pylist()
    else:  # by way of numpy, which is several times as fast
        values = column.to_numpy(zero_copy_only=False).tolist()
    return values


class Results:
    """Collects results, row by row in ascending order, and gives them back as columns."""

    def __init__(self) -> None:
        self._changes: dict[str, dict[int, str]] = {
            name: {} for name in ("text", "action", "rule", "rejection")
        }
        self._lengths: dict[int, int] = {}
        self._spans: tuple[list[Any], ...] = ([], [], [], [])

    def add(self, result: Result) -> None:
        """Adds the result of one row."""
        row, text, spans, action, rule, rejection = result
        if spans:
            self._changes["text"][row] = text
            self._lengths[row] = len(spans)
            for values, found in zip(self._spans, zip(*spans, strict=True), strict=True):
                values.extend(found)
        if action is not None:
            self._changes["action"][row] = action
        if rule is not None:
            self._changes["rule"][row] = rule
        if rejection is not None:
            self._changes["rejection"][row] = rejection

    def merged(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the columns of `OUTPUT`: those of the batch, with the results in their places."""
        columns = {
            **{name: batch[name] for name in ("text", "action", "rule")},
            "rejection": pa.nulls(batch.num_rows, pa.string()),
        }
        for name, changes in self._changes.items():
            columns[name] = _replaced(columns[name], changes)
        values = pa.StructArray.from_arrays(
            [pa.array(found, field.type) for found, field in zip(self._spans, SPAN, strict=True)],
            fields=list(SPAN),
        )
        lengths = np.zeros(batch.num_rows + 1, dtype=np.int64)
        lengths[np.array(list(self._lengths), dtype=np.int64) + 1] = list(self._lengths.values())
        offsets = pa.array(np.cumsum(lengths).astype(np.int32))
        columns["spans"] = pa.ListArray.from_arrays(offsets, values)
        schema = OUTPUT.set(0, pa.field("text", columns["text"].type))
        return pa.RecordBatch.from_arrays([columns[name] for name in OUTPUT.names], schema=schema)


def _replaced(column: pa.Array, changes: dict[int, str]) -> pa.Array:
    if not changes:
        return column
    mask = np.zeros(len(column), dtype=bool)
    mask[list(changes)] = True
    return pc.replace_with_mask(
        column, pa.array(mask), pa.array(list(changes.values()), column.type)
    )
