"""The limit: the work of the benchmark in one loop, with no framework around it.

Reads with zstandard and orjson, lets the annotators of the project see Arrow batches, masks
personal data, and writes Parquet. No digests, no keys, no error rows, no stored annotations, no
ledger, no checks: a damaged line or archive ends it.

    python benchmarks/bare_loop.py CORPUS_FOLDER OUT_FOLDER ANNOTATORS_JSON
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from raicurate.pipelines.parts import ZSTD_LEVEL
from raicurate.pipelines.unit_input import BATCH_BYTES, BATCH_ROWS
from raicurate.transforms import registry
from raicurate.transforms.registry import Annotator, append_labels

ROW_GROUP_BYTES = 64 << 20
_READ_BYTES = 1 << 20


def curate(corpus: Path, out: Path, annotators: Sequence[Annotator]) -> None:
    """Curates each shard of a folder into one Parquet file."""
    out.mkdir(parents=True)
    for annotator in annotators:
        annotator.setup()
    for shard in sorted(corpus.glob("*.jsonl.zst")):
        name = shard.name.removesuffix(".jsonl.zst")
        _write(_curated(shard, annotators), out / f"{name}.parquet")


def _curated(shard: Path, annotators: Sequence[Annotator]) -> Iterator[pa.RecordBatch]:
    for records in _batches(shard):
        batch = pa.RecordBatch.from_pydict(
            {
                "id": [record["id"] for record in records],
                "text": [record["text"] for record in records],
                "url": [record["url"] for record in records],
                "metadata": [orjson.dumps(record["metadata"]).decode() for record in records],
            }
        )
        for annotator in annotators:
            batch = append_labels(batch, annotator.columns, annotator.annotate(batch))
        yield _masked(batch)


def _batches(shard: Path) -> Iterator[list[dict[str, Any]]]:
    records: list[dict[str, Any]] = []
    size = 0
    for line in _lines(shard):
        records.append(orjson.loads(line))
        size += len(line)
        if size >= BATCH_BYTES or len(records) >= BATCH_ROWS:
            yield records
            records, size = [], 0
    if records:
        yield records


def _lines(shard: Path) -> Iterator[bytes]:
    rest = b""
    with shard.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        while piece := stream.read(_READ_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
    if rest:
        yield rest


def _masked(batch: pa.RecordBatch) -> pa.RecordBatch:
    texts = batch.column("text").to_pylist()
    for row, found in enumerate(batch.column("personal_data").to_pylist()):
        for span in reversed(found):
            text = texts[row]
            texts[row] = f"{text[: span['start']]}<{span['kind']}>{text[span['end'] :]}"
    index = batch.schema.get_field_index("text")
    return batch.set_column(index, "text", pa.array(texts, pa.string()))


def _write(batches: Iterator[pa.RecordBatch], path: Path) -> None:
    writer: pq.ParquetWriter | None = None
    waiting: list[pa.RecordBatch] = []
    size = 0

    for batch in batches:
        if writer is None:
            writer = pq.ParquetWriter(
                path,
                batch.schema,
                compression="zstd",
                compression_level=ZSTD_LEVEL,
                use_dictionary=False,
            )
        waiting.append(batch)
        size += batch.column("text").nbytes
        if size >= ROW_GROUP_BYTES:
            _write_group(writer, waiting)
            waiting, size = [], 0
    if writer is not None:
        if waiting:
            _write_group(writer, waiting)
        writer.close()


def _write_group(writer: pq.ParquetWriter, batches: list[pa.RecordBatch]) -> None:
    table = pa.Table.from_batches(batches)
    writer.write_table(table, row_group_size=table.num_rows)


if __name__ == "__main__":
    blocks = [registry.create(spec["use"], spec["with"]) for spec in orjson.loads(sys.argv[3])]
    curate(Path(sys.argv[1]), Path(sys.argv[2]), blocks)
