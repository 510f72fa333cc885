"""Export of annotations in Dolma's attribute layout, aligned to the input.

    OUT/<dataset>/attributes/<set>/<corpus>/part-<id>-<annotate>.jsonl.gz

Each line is a document, as Dolma's taggers write it; offsets are Unicode code points:

    {"id", "source", "attributes": {"<set>__<annotator>__<label>": [[start, end, score]]}}
"""

import gzip
from collections.abc import Iterator
from typing import Any

import orjson

from raicurate.pipelines import storage
from raicurate.pipelines.snapshots import Snapshot
from raicurate.pipelines.stored_annotations import StoredAnnotations

Spans = list[list[float | int]]


def export_attributes(
    out: str, snapshot: Snapshot, sources: dict[str, str], target: str
) -> list[str]:
    """Writes the annotations of a snapshot as Dolma attributes and returns the files.

    Args:
        out: The output of the run.
        snapshot: Which of its snapshots.
        sources: The `source` of each corpus.
        target: Folder or URI to write to.
    """
    written = []
    for receipt in snapshot.receipts:
        stored = StoredAnnotations.of(out, receipt)
        for part in stored.parts:
            annotation_set, name = part.path.split("/")[1], part.path.split("/")[-1]
            lines = b"".join(
                _line(row, annotation_set, sources[receipt.corpus])
                for batch in stored.batches(part=part)
                for row in batch.to_pylist()
            )
            path = storage.join(
                target, "attributes", annotation_set, receipt.corpus,
                name.replace(".parquet", ".jsonl.gz"),
            )  # fmt: skip
            storage.write_bytes(path, gzip.compress(lines, mtime=0))
            written.append(path)
    return written


def _line(row: dict[str, Any], annotation_set: str, source: str) -> bytes:
    attributes = {f"{annotation_set}__{name}": spans for name, spans in _attributes(row)}
    return orjson.dumps({"id": row["id"], "source": source, "attributes": attributes}) + b"\n"


def _attributes(row: dict[str, Any]) -> Iterator[tuple[str, Spans]]:
    chars = row["chars"]
    if row["lang"] is not None:
        yield f"language__{row['lang']}", [[0, chars, _number(row["lang_score"], 1.0)]]
    if row["harm_score"] is not None:
        yield "harm__score", [[0, chars, row["harm_score"]]]
    by_label: dict[str, Spans] = {}
    for hazard in row["hazards"] or ():
        span = [hazard["start"], hazard["end"], hazard["score"]]
        by_label.setdefault(f"harm__{hazard['hazard']}__{hazard['stance']}", []).append(span)
    for datum in row["personal_data"] or ():
        span = [datum["start"], datum["end"], 1.0]
        by_label.setdefault(f"personal_data__{datum['kind']}", []).append(span)
    for hit in row["lexicon"] or ():
        by_label[f"lexicon__{hit['hazard']}"] = [[0, chars, hit["distinct"]]]
    for step in row["steps"] or ():
        by_label[f"step__{step['name']}__passed"] = [[0, chars, int(step["passed"])]]
    yield from sorted(by_label.items())


def _number(value: float | None, default: float) -> float:
    return default if value is None else value
