"""Sample records: what was asked of a model and what it answered, one row a continuation.

Raw log-likelihoods are kept; every measure is derived from these rows, so that a new measure needs
no new scoring. The rows hold ids and digests, never text: some items are about what must not be
spread, and records end in reports.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.digests import digest
from raicurate.probes.backend import Backend, Request, Score, check_requests

RECORDS_VERSION = "1"

UNCONDITIONAL = -1
"""The `context` of rows that score a continuation after a neutral prompt, for `pmi`."""


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SAMPLES = pa.schema(
    [
        _required("model", pa.string()),
        _required("model_digest", pa.string()),
        _required("suite", pa.string()),
        _required("item", pa.string()),
        _required("kind", pa.string()),
        _required("language", pa.string()),
        _required("source", pa.string()),
        pa.field("cluster", pa.string()),
        pa.field("clause", pa.string()),
        pa.field("manifest", pa.string()),
        pa.field("dimension", pa.string()),
        pa.field("hazard", pa.string()),
        pa.field("tier", pa.string()),
        pa.field("arm", pa.string()),
        pa.field("condition", pa.string()),
        _required("k", pa.int16()),
        _required("draw", pa.int16()),
        _required("context", pa.int16()),
        _required("continuation", pa.int16()),
        _required("wording", pa.int16()),
        pa.field("role", pa.string()),
        pa.field("right", pa.bool_()),
        _required("request_sha256", pa.string()),
        _required("sum_nll_nats", pa.float64()),
        _required("n_tokens", pa.int32()),
        _required("n_utf8_bytes", pa.int32()),
        _required("n_chars", pa.int32()),
        _required("is_greedy", pa.bool_()),
        pa.field("contaminated", pa.bool_()),
    ]
)
"""One row a scored continuation.

`cluster` is what is resampled together (a document family, a template; the item itself where null);
`clause`, `manifest` and `arm` (taught, read_only, unseen) join an item to a run; `condition` tells
apart what else an item is asked under, such as `closed_book` and `clause_given`; `k` and `draw` are
the worked examples before it and which draw of them; `context` and `continuation` number the texts
within the item, `wording` the ways to say the same; `role` is what the continuation does (such as
`refuse`, `comply`, `deflect`) after what the context is (`harmful`, `benign`), as
`harmful/refuse`, where the kind needs it; `n_chars` leaves out the space before the continuation,
`n_utf8_bytes` counts it; `right` is null where there is no right answer;
`contaminated` is null where nobody looked.
"""

DOCUMENT_SAMPLES = pa.schema(
    [
        _required("model", pa.string()),
        _required("model_digest", pa.string()),
        _required("suite", pa.string()),
        _required("document", pa.string()),
        _required("language", pa.string()),
        _required("source", pa.string()),
        pa.field("cluster", pa.string()),
        pa.field("dimension", pa.string()),
        _required("neutral", pa.bool_()),
        _required("variant", pa.string()),
        _required("text_sha256", pa.string()),
        _required("sum_nll_nats", pa.float64()),
        _required("n_tokens", pa.int64()),
        _required("n_scored", pa.int64()),
        _required("n_utf8_bytes", pa.int64()),
        _required("n_words", pa.int64()),
        _required("key_term_nll_nats", pa.float64()),
        _required("key_term_utf8_bytes", pa.int64()),
        pa.field("contaminated", pa.bool_()),
    ]
)
"""One row a document and variant: `original`, `sentences_shuffled` or `words_shuffled`.

`neutral` documents are the format-matched rulebooks; `key_term_*` are the parts of the sums that
fall on the key terms of the document's dimension.
"""


@dataclass(frozen=True, slots=True)
class Ask:
    """One continuation to score, with what its record must say; see `SAMPLES` for the fields."""

    suite: str
    item: str
    kind: str
    language: str
    request: Request
    source: str = "written"
    cluster: str | None = None
    clause: str | None = None
    manifest: str | None = None
    dimension: str | None = None
    hazard: str | None = None
    tier: str | None = None
    arm: str | None = None
    condition: str | None = None
    k: int = 0
    draw: int = 0
    context: int = 0
    continuation: int = 0
    wording: int = 0
    role: str | None = None
    right: bool | None = None
    contaminated: bool | None = None


ITEM_FIELDS = [
    "suite",
    "item",
    "kind",
    "language",
    "source",
    "cluster",
    "clause",
    "manifest",
    "dimension",
    "hazard",
    "tier",
    "arm",
    "condition",
    "k",
    "draw",
]
"""What tells one asked item from another; together with `model` and `contaminated`, the columns
of a table of measures, which adds one float column a measure."""

_COPIED = [field.name for field in fields(Ask) if field.name in SAMPLES.names]


def request_sha256(request: Request) -> str:
    """Returns the digest by which a request is named in records and caches."""
    return digest([request.context, request.continuation])


def samples(backend: Backend, asks: Iterable[Ask]) -> pa.Table:
    """Returns the records of all that is asked, in the given order; equal requests are scored once.

    Raises:
        UsageError: A continuation is empty or does not fit the model.
    """
    asked = list(asks)
    unique = list(dict.fromkeys(ask.request for ask in asked))
    check_requests(unique, backend.name)
    scores = dict(zip(unique, backend.score(unique), strict=True))
    return to_table(backend, asked, [scores[ask.request] for ask in asked])


def to_table(backend: Backend, asks: Sequence[Ask], scores: Sequence[Score]) -> pa.Table:
    """Returns the records of `asks` with their scores."""
    columns: dict[str, list[object]] = {
        name: [getattr(ask, name) for ask in asks] for name in _COPIED
    }
    columns["model"] = [backend.name] * len(asks)
    columns["model_digest"] = [backend.digest] * len(asks)
    columns["request_sha256"] = [request_sha256(ask.request) for ask in asks]
    columns["n_chars"] = [len(ask.request.continuation.lstrip()) for ask in asks]
    for name in ("sum_nll_nats", "n_tokens", "n_utf8_bytes", "is_greedy"):
        columns[name] = [getattr(score, name) for score in scores]
    return pa.table(columns, schema=SAMPLES)


def by_item(table: pa.Table, kind: str) -> list[list[dict[str, Any]]]:
    """Returns the rows of the items of a kind, those of one item (asked in one way) together."""
    rows = table.filter(pc.equal(table["kind"], kind)).to_pylist()
    groups: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = (row["model_digest"], *(row[name] for name in ITEM_FIELDS))
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def measure_table(
    items: Iterable[tuple[Mapping[str, Any], Mapping[str, float | None]]], measures: Sequence[str]
) -> pa.Table:
    """Returns a table of measures: for each item its fields and its values.

    Args:
        items: A row of each item, and its values by measure.
        measures: Names of the measures, in the order of the columns.
    """
    names = ["model", *ITEM_FIELDS, "contaminated"]
    schema = pa.schema(
        [*(SAMPLES.field(name) for name in names), *(pa.field(m, pa.float64()) for m in measures)]
    )
    rows = [
        {name: row[name] for name in names} | {name: values.get(name) for name in measures}
        for row, values in items
    ]
    return pa.Table.from_pylist(rows, schema=schema)
