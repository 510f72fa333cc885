"""The frozen Arrow schemas of everything that is stored, and of the batches in between.

A schema changes only together with `SCHEMA_VERSION`, which stands in every Parquet footer.
Offsets are Unicode code points, `end` is exclusive.
"""

import pyarrow as pa

SCHEMA_VERSION = "2"


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SPAN = pa.struct(
    [
        _required("start", pa.int32()),
        _required("end", pa.int32()),
        _required("kind", pa.string()),
        pa.field("ref", pa.string()),
    ]
)
"""A stretch of `text`: `ref` names the template part, personal-data kind or reason behind it."""

HAZARD = pa.struct(
    [
        _required("hazard", pa.string()),
        _required("stance", pa.string()),
        _required("operational", pa.bool_()),
        _required("score", pa.float32()),
        _required("start", pa.int32()),
        _required("end", pa.int32()),
    ]
)
"""A hazard found in the original text, with the passage that shows it."""

ANNOTATOR = pa.struct(
    [
        _required("name", pa.string()),
        _required("version", pa.string()),
        pa.field("model", pa.string()),
    ]
)

MEDIA = pa.struct(
    [
        pa.field("path", pa.string()),
        pa.field("mime", pa.string()),
        pa.field("bytes", pa.binary()),
        pa.field("start", pa.int32()),
    ]
)

SOURCE_FIELDS: list[pa.Field] = [
    _required("id", pa.string()),
    _required("text", pa.string()),
    _required("source", pa.string()),
    pa.field("added", pa.string()),
    pa.field("created", pa.string()),
    pa.field("url", pa.string()),
    pa.field("declared_lang", pa.string()),
    _required("metadata", pa.string()),
    _required("text_sha256", pa.string()),
    _required("src_file", pa.string()),
    _required("src_row", pa.int64()),
]
SOURCE = pa.schema(SOURCE_FIELDS)
"""What a reader yields: one row a document, in input order. `metadata` is a JSON object."""

DOCUMENTS = pa.schema(
    [
        _required("id", pa.string()),
        pa.field("text", pa.string()),
        _required("source", pa.string()),
        pa.field("added", pa.string()),
        pa.field("created", pa.string()),
        pa.field("url", pa.string()),
        pa.field("lang", pa.string()),
        pa.field("lang_score", pa.float32()),
        _required("metadata", pa.string()),
        pa.field("harm_score", pa.float32()),
        pa.field("severity", pa.int8()),
        _required("hazards", pa.list_(HAZARD)),
        _required("dimensions", pa.list_(pa.string())),
        _required("action", pa.string()),
        _required("rule", pa.string()),
        _required("spans", pa.list_(SPAN)),
        _required("text_sha256", pa.string()),
        _required("src_file", pa.string()),
        _required("src_row", pa.int64()),
        _required("corpus", pa.string()),
        _required("license", pa.string()),
        _required("derived_from", pa.list_(pa.string())),
        _required("annotators", pa.list_(ANNOTATOR)),
        pa.field("media", pa.list_(MEDIA)),
    ]
)
"""What is published under `data/` and, with `text` perhaps null, in the restricted tier."""

ANNOTATED_HAZARD = pa.struct(
    [
        *list(HAZARD),
        _required("target", pa.bool_()),
        _required("threat", pa.bool_()),
        pa.field("threshold", pa.float32()),
    ]
)
"""A hazard as stored before policy: with what its gravity depends on, whatever its score.

`threshold` is the score from which on the model itself counts it, null where it names none."""

LEXICON_HIT = pa.struct(
    [
        _required("hazard", pa.string()),
        _required("hits", pa.int32()),
        _required("distinct", pa.int32()),
    ]
)

PERSONAL_DATA = pa.struct(
    [
        _required("start", pa.int32()),
        _required("end", pa.int32()),
        _required("kind", pa.string()),
    ]
)

STEP = pa.struct(
    [
        _required("name", pa.string()),
        _required("passed", pa.bool_()),
        pa.field("reason", pa.string()),
        _required("changed", pa.bool_()),
        pa.field("score", pa.float32()),
    ]
)
"""The verdict of a filter (`passed`, with its `score` if it has one) or formatter (`changed`)."""

HARM_STAGE = pa.struct(
    [
        _required("stage", pa.string()),
        _required("sampled", pa.bool_()),
        pa.field("score", pa.float32()),
        pa.field("stance", pa.string()),
        pa.field("no_answer", pa.string()),
    ]
)
"""A stage of the cascade, after the first, that saw a document: because the one before was unsure,
or as one of the sample of those it had cleared. `score` is the `harm_score` after it, `stance` what
it named, where it names one instead of probabilities. Where it gave no answer both are null, and
`no_answer` is the reason."""

LABEL_FIELDS: list[pa.Field] = [
    pa.field("lang", pa.string()),
    pa.field("lang_score", pa.float32()),
    pa.field("lexicon", pa.list_(LEXICON_HIT)),
    pa.field("harm_score", pa.float32()),
    pa.field("harm_model", pa.string()),
    pa.field("hazards", pa.list_(ANNOTATED_HAZARD)),
    pa.field("harm_stages", pa.list_(HARM_STAGE)),
    pa.field("personal_data", pa.list_(PERSONAL_DATA)),
    pa.field("steps", pa.list_(STEP)),
]
"""Every column that annotators may fill; null where none did. `harm_model` is `none` where the
language has no measured model."""

ANNOTATIONS = pa.schema(
    [
        _required("id", pa.string()),
        _required("text_sha256", pa.string()),
        _required("src_file", pa.string()),
        _required("src_row", pa.int64()),
        _required("chars", pa.int32()),
        *LABEL_FIELDS,
        pa.field("error_stage", pa.string()),
        pa.field("error_type", pa.string()),
        pa.field("error_message", pa.string()),
    ]
)
"""What annotators said, aligned to the input: same rows, same order, no text.

A row whose `error_type` is set could not be annotated and becomes an error.
"""

ERRORS = pa.schema(
    [
        _required("unit", pa.string()),
        _required("file", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("id", pa.string()),
        _required("stage", pa.string()),
        _required("error_type", pa.string()),
        _required("message", pa.string()),
        pa.field("bytes", pa.int64()),
    ]
)
"""One row for each document, or remainder of a file (`lost_tail`), that could not be used."""

LEDGER = pa.schema(
    [
        pa.field("id", pa.string()),
        _required("src_file", pa.string()),
        pa.field("src_row", pa.int64()),
        pa.field("lang", pa.string()),
        _required("action", pa.string()),
        _required("rule", pa.string()),
        pa.field("harm_score", pa.float32()),
        pa.field("severity", pa.int8()),
        _required("hazards", pa.list_(pa.string())),
        pa.field("text_sha256", pa.string()),
        pa.field("tier", pa.string()),
        pa.field("part", pa.int32()),
    ]
)
"""One row for each input document. `tier` is `data`, `restricted`, `errors` or null (dropped);
`part` counts the parts of the unit in that tier."""

TURN = pa.struct(
    [
        _required("role", pa.string()),
        _required("start", pa.int32()),
        _required("end", pa.int32()),
    ]
)
"""A stretch of the text of a pair that `user` or `assistant` says."""

PAIRS = pa.schema(
    [
        _required("id", pa.string()),
        _required("text", pa.string()),
        _required("source", pa.string()),
        pa.field("added", pa.string()),
        pa.field("created", pa.string()),
        _required("lang", pa.string()),
        _required("metadata", pa.string()),
        _required("kind", pa.string()),
        _required("pair", pa.string()),
        _required("hazard", pa.string()),
        _required("turns", pa.list_(TURN)),
        _required("refs", pa.list_(pa.string())),
        _required("text_sha256", pa.string()),
        _required("corpus", pa.string()),
        _required("license", pa.string()),
        _required("derived_from", pa.list_(pa.string())),
    ]
)
"""What is published under `pairs/`. `kind` is `refusal`, `twin` (a request that looks alike and is
helped) or `lesson`; the rows of one source share `pair`, and `derived_from` names the source."""

SUPPORT = pa.struct([_required("start", pa.int32()), _required("end", pa.int32())])

EXERCISES = pa.schema(
    [
        _required("id", pa.string()),
        _required("text", pa.string()),
        _required("shape", pa.string()),
        _required("family", pa.string()),
        _required("template", pa.string()),
        _required("language", pa.string()),
        _required("document", pa.string()),
        _required("clause_ids", pa.list_(pa.string())),
        _required("question", pa.string()),
        _required("choices", pa.list_(pa.string())),
        _required("answer", pa.string()),
        pa.field("verdict", pa.string()),
        _required("rationale", pa.string()),
        pa.field("situation", pa.string()),
        _required("support", pa.list_(SUPPORT)),
        _required("dimensions", pa.list_(pa.string())),
        _required("hazards", pa.list_(pa.string())),
        _required("policy_version", pa.string()),
        _required("tokens", pa.int32()),
        _required("source", pa.string()),
        pa.field("added", pa.string()),
        _required("text_sha256", pa.string()),
        _required("corpus", pa.string()),
        _required("license", pa.string()),
        _required("derived_from", pa.list_(pa.string())),
    ]
)
"""What is published under `exercises/`: one exercise a row. `text` is the exercise as a model reads
it, in one of several shapes; `support` are the stretches of the document that prove the answer, and
`policy_version` is the beginning of the digest of the document's text, to which they belong;
`situation` is the case alone; `tokens` is the length of `text`."""


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """Returns a batch of `schema` without rows."""
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
