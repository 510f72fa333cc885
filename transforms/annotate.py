"""Runs annotators over a batch: in order, and so that one bad document costs only itself."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.errors import BudgetError, DocumentError, ServerError, UsageError
from raicurate.transforms.registry import Annotator, append_labels
from raicurate.transforms.schema import ANNOTATIONS, LABEL_FIELDS
from raicurate.transforms.stage_clock import timed

_TYPES = {field.name: field.type for field in LABEL_FIELDS}

Failures = dict[int, tuple[str, str, str]]
"""Stage, error type and message by row."""


def annotate(documents: pa.RecordBatch, annotators: Sequence[Annotator]) -> pa.RecordBatch:
    """Returns the annotations of a batch, one row of `schema.ANNOTATIONS` for each document.

    A language that the manifest or a trusted record declares is not detected again. A document on
    which an annotator fails gets an error in its row, never a default verdict.
    """
    labelled = documents
    failures: Failures = {}
    for annotator in annotators:
        with timed(annotator.name):
            arrays = (
                _detect_language(annotator, labelled, failures)
                if "lang" in annotator.columns
                else _run(annotator, labelled, failures)
            )
        labelled = append_labels(labelled, annotator.columns, arrays)
    return _aligned(labelled, failures)


def _run(annotator: Annotator, batch: pa.RecordBatch, failures: Failures) -> list[pa.Array]:
    if not batch.num_rows:
        return [pa.array([], type=_TYPES[name]) for name in annotator.columns]
    try:
        return annotator.annotate(batch)
    except (MemoryError, UsageError, ServerError, BudgetError):
        # Not the document's fault: every other one would fail as well.
        raise
    except Exception as error:
        if batch.num_rows == 1:
            failures.setdefault(0, _failure(annotator, error))
            return [pa.nulls(1, _TYPES[name]) for name in annotator.columns]
    return _run_by_row(annotator, batch, failures)


def _run_by_row(annotator: Annotator, batch: pa.RecordBatch, failures: Failures) -> list[pa.Array]:
    by_column: list[list[pa.Array]] = [[] for _ in annotator.columns]
    for row in range(batch.num_rows):
        own: Failures = {}
        for column, array, name in zip(
            by_column, _run(annotator, batch.slice(row, 1), own), annotator.columns, strict=True
        ):
            column.append(array.cast(_TYPES[name]))
        if own:
            failures.setdefault(row, own[0])
    return [pa.concat_arrays(arrays) for arrays in by_column]


def _failure(annotator: Annotator, error: Exception) -> tuple[str, str, str]:
    stage = f"annotate:{annotator.name}@{annotator.version}"
    if isinstance(error, DocumentError):
        return stage, error.error_type, str(error)
    # The message of a foreign exception may quote the document, so only its type is kept.
    return stage, type(error).__name__, f"the annotator raised {type(error).__name__}"


def _detect_language(
    annotator: Annotator, batch: pa.RecordBatch, failures: Failures
) -> list[pa.Array]:
    declared = normalized_languages(batch.column("declared_lang"))
    unknown = pc.is_null(declared)
    rows = pc.indices_nonzero(unknown)
    if len(rows) == batch.num_rows:
        return _run(annotator, batch, failures)
    own: Failures = {}
    detected = _run(annotator, batch.filter(unknown), own)
    for row, failure in own.items():
        failures.setdefault(rows[row].as_py(), failure)
    place = pc.replace_with_mask(
        pa.nulls(batch.num_rows, pa.int64()), unknown, pa.array(range(len(rows)), pa.int64())
    )
    arrays = []
    for name, array in zip(annotator.columns, detected, strict=True):
        found = array.cast(_TYPES[name]).take(place)
        arrays.append(pc.coalesce(declared, found) if name == "lang" else found)
    return arrays


def normalized_languages(declared: pa.Array) -> pa.Array:
    """Returns language tags without region: `EN_gb` is `en`, while `hi-Latn` keeps its script."""
    tags = pc.replace_substring(pc.utf8_trim_whitespace(declared), "_", "-")
    tags = pc.replace_substring_regex(tags, r"-(?:[A-Za-z]{2}|[0-9]{3})$", "")
    language = pc.replace_substring_regex(tags, "-.*$", "")
    rest = pc.replace_substring_regex(tags, "^[^-]*", "")
    tags = pc.binary_join_element_wise(pc.utf8_lower(language), rest, "")
    return pc.if_else(pc.equal(tags, ""), pa.scalar(None, pa.string()), tags)


def _aligned(labelled: pa.RecordBatch, failures: Failures) -> pa.RecordBatch:
    rows = labelled.num_rows
    errors = [failures.get(row, (None, None, None)) for row in range(rows)] if failures else None
    arrays = []
    for field in ANNOTATIONS:
        if field.name == "chars":
            arrays.append(pc.utf8_length(labelled.column("text")))
        elif field.name.startswith("error_"):
            index = ("error_stage", "error_type", "error_message").index(field.name)
            arrays.append(
                pa.array([error[index] for error in errors], pa.string())
                if errors
                else pa.nulls(rows, pa.string())
            )
        elif field.name in labelled.schema.names:
            arrays.append(labelled.column(field.name))
        else:
            arrays.append(pa.nulls(rows, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=ANNOTATIONS)
