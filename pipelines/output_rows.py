"""From batches in flight to the rows of each layer of the output."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.manifest import Corpus
from raicurate.pipelines.reading import ReadError
from raicurate.transforms.schema import DOCUMENTS, ERRORS, HAZARD, LEDGER


def published_rows(
    documents: pa.RecordBatch,
    labels: pa.RecordBatch,
    decisions: pa.RecordBatch,
    applied: pa.RecordBatch,
    corpus: Corpus,
    signature: pa.Scalar,
) -> pa.RecordBatch:
    """Returns all documents of a batch as rows of `schema.DOCUMENTS`, in order.

    A document of which only the record may be kept has no text, no URL and no metadata.
    """
    rows = documents.num_rows
    record_only = pc.equal(decisions.column("store"), "record")
    columns = {
        **{name: documents.column(name) for name in documents.schema.names},
        **{name: labels.column(name) for name in ("lang", "lang_score", "harm_score")},
        "text": _null_where(record_only, applied.column("text")),
        "url": _null_where(record_only, documents.column("url")),
        "metadata": pc.if_else(record_only, "{}", documents.column("metadata")),
        "severity": decisions.column("severity"),
        "hazards": _public_hazards(decisions.column("active_hazards")),
        "dimensions": decisions.column("dimensions"),
        "action": applied.column("action"),
        "rule": applied.column("rule"),
        "spans": applied.column("spans"),
        "corpus": _constant(pa.scalar(corpus.name), rows),
        "license": _constant(pa.scalar(corpus.license), rows),
        "derived_from": _constant(pa.scalar([], pa.list_(pa.string())), rows),
        "annotators": _constant(signature, rows),
        "media": pa.nulls(rows, DOCUMENTS.field("media").type),
    }
    return pa.RecordBatch.from_arrays(
        [columns[field.name] for field in DOCUMENTS], schema=DOCUMENTS
    )


def ledger_rows(
    documents: pa.RecordBatch,
    labels: pa.RecordBatch,
    decisions: pa.RecordBatch,
    applied: pa.RecordBatch,
) -> pa.RecordBatch:
    """Returns the rows of `schema.LEDGER`, still without the part that each document went to."""
    rows = documents.num_rows
    hazards = decisions.column("active_hazards")
    names = pa.ListArray.from_arrays(_offsets(hazards), hazards.flatten().field("hazard"))
    columns = {
        **{name: documents.column(name) for name in ("id", "src_file", "src_row", "text_sha256")},
        "lang": labels.column("lang"),
        "action": applied.column("action"),
        "rule": applied.column("rule"),
        "harm_score": labels.column("harm_score"),
        "severity": decisions.column("severity"),
        "hazards": names,
        "tier": pa.nulls(rows, pa.string()),
        "part": pa.nulls(rows, pa.int32()),
    }
    return pa.RecordBatch.from_arrays([columns[field.name] for field in LEDGER], schema=LEDGER)


def error_rows(unit: str, labels: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the documents that could not be annotated as rows of `schema.ERRORS`."""
    failed = labels.filter(pc.is_valid(labels.column("error_type")))
    rows = failed.num_rows
    columns = {
        "unit": _constant(pa.scalar(unit), rows),
        "file": failed.column("src_file"),
        "row": failed.column("src_row"),
        "id": failed.column("id"),
        "stage": failed.column("error_stage"),
        "error_type": failed.column("error_type"),
        "message": failed.column("error_message"),
        "bytes": pa.nulls(rows, pa.int64()),
    }
    return pa.RecordBatch.from_arrays([columns[field.name] for field in ERRORS], schema=ERRORS)


def unread_rows(unit: str, errors: Sequence[ReadError]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Returns what could not be read as rows of `schema.ERRORS` and of `schema.LEDGER`."""
    error_values = [
        {
            "unit": unit,
            "file": error.file,
            "row": error.row,
            "id": error.id,
            "stage": "read",
            "error_type": error.error_type,
            "message": error.message,
            "bytes": error.bytes,
        }
        for error in errors
    ]
    ledger_values: list[dict[str, object]] = [
        {
            "id": error.id,
            "src_file": error.file,
            "src_row": error.row,
            "action": "error",
            "rule": error.error_type,
            "hazards": [],
        }
        for error in errors
    ]
    return (
        pa.RecordBatch.from_pylist(error_values, schema=ERRORS),
        pa.RecordBatch.from_pylist(ledger_values, schema=LEDGER),
    )


def _constant(value: pa.Scalar, rows: int) -> pa.Array:
    return pa.repeat(value, rows) if rows else pa.array([], value.type)


def _null_where(mask: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(mask, pa.scalar(None, values.type), values)


def _offsets(lists: pa.Array) -> pa.Array:
    """Returns the offsets of a list array, counted from its own first value."""
    first = lists.offsets[0]
    return pc.subtract(lists.offsets, first)


def _public_hazards(active: pa.Array) -> pa.Array:
    values = active.flatten()
    fields = [values.field(field.name) for field in HAZARD]
    return pa.ListArray.from_arrays(
        _offsets(active), pa.StructArray.from_arrays(fields, fields=list(HAZARD))
    )
