"""Writing and checking the Parquet parts of a unit.

Parts are written to a hidden temporary while the unit is processed, and get their final name when
its keys are known; so a crash leaves nothing that a reader could take for a part.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from raicurate.corpora_manifests.errors import ContractError
from raicurate.pipelines import storage
from raicurate.pipelines.receipts import Part
from raicurate.transforms.schema import SCHEMA_VERSION

ZSTD_LEVEL = 3
"""26 % of raw web text at 79 MB/s, where level 6 reaches 23.5 % at 29 MB/s (measured)."""

_DICTIONARY_COLUMNS = [
    "source", "added", "lang", "action", "rule", "src_file", "corpus", "license", "tier", "unit",
    "file", "stage", "error_type", "error_stage", "harm_model",
    "hazards.list.element.hazard", "hazards.list.element.stance", "hazards.list.element",
    "dimensions.list.element", "spans.list.element.kind", "spans.list.element.ref",
    "annotators.list.element.name", "annotators.list.element.version",
    "annotators.list.element.model", "lexicon.list.element.hazard",
    "personal_data.list.element.kind", "steps.list.element.name", "steps.list.element.reason",
]  # fmt: skip
"""Columns with few distinct values. On text or ids a dictionary costs time and memory for
nothing."""


class PartWriter:
    """Writes one layer of a unit as part files that roll over by size.

    Nothing is created before the first row, so there are no empty parts.
    """

    def __init__(
        self,
        schema: pa.Schema,
        folder: str,
        row_group_bytes: int,
        part_bytes: int,
        size_column: str | None = None,
    ) -> None:
        """Prepares a writer.

        Args:
            schema: Schema of the rows.
            folder: Final folder of the parts.
            row_group_bytes: Size of a row group.
            part_bytes: Size at which the next part begins.
            size_column: Column whose bytes count as size; all columns where it is None.
        """
        self._schema = schema
        self._folder = folder
        self._row_group_bytes = row_group_bytes
        self._part_bytes = part_bytes
        self._size_column = size_column
        self._buffer: list[pa.RecordBatch] = []
        self._buffered = 0
        self._in_part = 0
        self._open: _OpenPart | None = None
        self._full: list[_OpenPart] = []

    @property
    def part(self) -> int:
        """Index of the part that the next rows go to."""
        return len(self._full)

    def append(self, batch: pa.RecordBatch) -> None:
        """Adds rows."""
        if not batch.num_rows:
            return
        column = self._size_column
        size = (batch.column(column) if column else batch).nbytes
        self._buffer.append(batch)
        self._buffered += size
        self._in_part += size
        if self._buffered >= self._row_group_bytes:
            self._flush()
        if self._in_part >= self._part_bytes:
            self._finish_part()

    def _flush(self) -> None:
        if not self._buffer:
            return
        if self._open is None:
            self._open = _OpenPart.create(self._folder, self._schema)
        table = pa.Table.from_batches(self._buffer, schema=self._schema)
        self._open.writer.write_table(table, row_group_size=table.num_rows)
        self._open.rows += table.num_rows
        self._buffer, self._buffered = [], 0

    def _finish_part(self) -> None:
        self._flush()
        if self._open is not None:
            # The file stays open: its footer waits for the keys, known at the end of the unit.
            self._full.append(self._open)
            self._open = None
        self._in_part = 0

    def commit(self, layer: str, prefix: str, name: str, footer: Mapping[str, str]) -> list[Part]:
        """Closes, checks and publishes all parts.

        Args:
            layer: Layer of the parts.
            prefix: Their folder, as it stands in receipts.
            name: Their name without suffix; further parts get `-1`, `-2`...
            footer: Keys and values for the footer.

        Raises:
            ContractError: A file does not hold what was written to it.
        """
        self._finish_part()
        parts = []
        for index, part in enumerate(self._full):
            part.writer.add_key_value_metadata({"rai.schema_version": SCHEMA_VERSION, **footer})
            part.writer.close()
            file_name = f"{name}.parquet" if index == 0 else f"{name}-{index}.parquet"
            _check(part.path, part.rows, self._schema, file_name)
            with part.path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = part.path.stat().st_size
            storage.publish(part.path, storage.join(self._folder, file_name))
            parts.append(Part(layer, f"{prefix}/{file_name}", part.rows, size, sha256))
        return parts

    def discard(self) -> None:
        """Removes what was not published."""
        for part in [*self._full, self._open]:
            if part is not None:
                part.discard()


@dataclass
class _OpenPart:
    """A part file that is being written, under its temporary name."""

    path: Path
    writer: pq.ParquetWriter
    rows: int = 0

    @classmethod
    def create(cls, folder: str, schema: pa.Schema) -> "_OpenPart":
        path = storage.new_temporary(folder)
        writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=[
                name for name in _DICTIONARY_COLUMNS if name.split(".")[0] in schema.names
            ],
            write_page_index=True,
        )
        return cls(path, writer)

    def discard(self) -> None:
        if self.writer.is_open:
            self.writer.close()
        self.path.unlink(missing_ok=True)


def _check(temporary: Path, rows: int, schema: pa.Schema, name: str) -> None:
    with pq.ParquetFile(temporary) as file:
        found = file.metadata.num_rows
        if found != rows or not file.schema_arrow.equals(schema):
            raise ContractError(
                f"{name} holds {found} rows after {rows} were written, or another schema; it was "
                "not published. The disk or the Parquet library is at fault; run again"
            )
