"""Reads Parquet row group by row group; a broken one costs its own rows, which are counted.

Columns that are no field of a document go into `metadata` as JSON: nested ones as objects and
arrays, times in ISO 8601 and UTC with microseconds, decimals as text, bytes as text or, where
they are.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from raicurate.pipelines.reading import FileRange, Opener, ReadBatch, ReadOptions, register
from raicurate.pipelines.records import BatchBuilder, as_text

_BOMB_FROM_BYTES = 64 << 20
_BUFFER_BYTES = 1 << 20
# Beside the designed errors of pyarrow, damaged metadata shows as a name that is not UTF-8 or an
# impossible enum.
_UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError)
_TEXT_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_null,
)
_UNDECODABLE: Any = object()


class _Storage:
    """A file for pyarrow that tells an error of the storage from one of the content.

    pyarrow raises `OSError` for both; only the first is worth another attempt.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._failure: OSError | None = None
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        return self._watched(lambda: self._stream.read(size))

    def seek(self, position: int, whence: int = 0) -> int:
        return self._watched(lambda: self._stream.seek(position, whence))

    def tell(self) -> int:
        return self._watched(self._stream.tell)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def flush(self) -> None:
        """Does nothing; pyarrow expects it."""

    def close(self) -> None:
        """Leaves the stream open, which its opener closes."""
        self.closed = True

    def _watched(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except OSError as error:
            self._failure = error
            raise

    def raise_failure(self) -> None:
        """Raises the error of the storage, if there was one."""
        if self._failure is not None:
            raise self._failure


def row_groups(opener: Opener, path: str) -> list[tuple[int, int]]:
    """Returns rows and decoded bytes of each row group; nothing where the footer is broken."""
    with closing(opener(path)) as stream:
        storage = _Storage(stream)
        try:
            metadata = _open(storage).metadata
            groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
            return [(group.num_rows, group.total_byte_size) for group in groups]
        except _UNREADABLE:
            storage.raise_failure()
            return []


def _open(storage: _Storage) -> pq.ParquetFile:
    file = pq.ParquetFile(
        storage,
        pre_buffer=False,
        buffer_size=_BUFFER_BYTES,
        page_checksum_verification=True,
    )
    metadata = file.metadata
    rows = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    if sum(rows) != metadata.num_rows or any(count < 0 for count in rows):
        raise ValueError("the footer counts its rows in two ways that differ")
    return file


@register("parquet", (".parquet", ".pq"), compressed=False, splittable=True)
def read_parquet(part: FileRange, opener: Opener, options: ReadOptions) -> Iterator[ReadBatch]:
    """Reads a Parquet file, or a range of its row groups.

    `src_row` counts the rows of the file, whatever the range.
    """
    builder = BatchBuilder(part, options)
    with closing(opener(part.path)) as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        if size:
            yield from _file(_Storage(stream), size, part, builder, options)
        else:
            builder.empty_file(compressed=True)
    yield from builder.close()


def _file(
    storage: _Storage, size: int, part: FileRange, builder: BatchBuilder, options: ReadOptions
) -> Iterator[ReadBatch]:
    try:
        file = _open(storage)
        fault = _text_fault(file.schema_arrow, options.keys.text)
        metadata = file.metadata
    except _UNREADABLE as error:
        storage.raise_failure()
        fault = f"the footer cannot be read ({type(error).__name__}): fetch the file again"
    if fault is not None:
        builder.error(None, "unreadable_file", fault, size, damage=True)
        return
    if (bomb := _bomb(metadata, size, options.max_expansion)) is not None:
        builder.error(None, "decompression_bomb", bomb, size, damage=True)
        return
    first = 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if index >= (part.start or 0) and (part.end is None or index < part.end):
            yield from _row_group(file, index, first, size, storage, builder, options)
        first += group.num_rows


def _text_fault(schema: pa.Schema, key: str) -> str | None:
    """Returns why no text can come from a file of this schema, or None."""
    head = key if key in schema.names else key.split(".", maxsplit=1)[0]
    found = ", ".join(f"{field.name} ({field.type})"[:80] for field in list(schema)[:20])
    cure = f"set `keys: {{text: ...}}` of the corpus to one of its columns: {found}"
    if head not in schema.names:
        return f"the file has no column {head!r}; {cure}"
    kind = schema.field(head).type
    for name in key.split(".")[1:] if head != key else ():
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return f"the column {head!r} holds no field {key!r}; {cure}"
        kind = kind.field(name).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not any(is_text(kind) for is_text in _TEXT_TYPES):
        return f"the column {key!r} holds {kind}, not text; {cure}"
    return None


def _bomb(metadata: pq.FileMetaData, size: int, max_expansion: int) -> str | None:
    """Returns the message for a file that grows too much, or None."""
    # Column metadata would tell it more finely, but pyarrow ends the process where it is damaged.
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    decoded = sum(group.total_byte_size for group in groups)
    if decoded <= _BOMB_FROM_BYTES or decoded <= max_expansion * size:
        return None
    return (
        f"{size} stored bytes become {decoded}, more than {max_expansion} times as many, so the "
        "file was not read; raise `output.max_expansion` if it is sound"
    )


def _row_group(
    file: pq.ParquetFile,
    index: int,
    first: int,
    file_size: int,
    storage: _Storage,
    builder: BatchBuilder,
    options: ReadOptions,
) -> Iterator[ReadBatch]:
    group = file.metadata.row_group(index)
    stop = first + group.num_rows
    row = first
    reason = "it holds fewer rows than the footer says"
    for records in _batches(file, index, options):
        if isinstance(records, Exception):
            storage.raise_failure()
            reason = type(records).__name__  # its message may quote what stands in the file
            break
        for record in records:
            if isinstance(record, str):
                builder.error(row, "invalid_utf8", record)
            else:
                builder.add_record(row, record, None)
            row += 1
            if builder.ready:
                yield from builder.drain()
    message = f"row group {index} cannot be read ({reason}): fetch the file again"
    if stop - row > file_size:
        # No real row takes less than a byte: the count itself is damaged.
        builder.error(row, "unreadable_row_group", message, group.total_byte_size, damage=True)
        return
    for lost in range(row, stop):
        builder.error(lost, "unreadable_row_group", message, damage=True)
        if builder.ready:
            yield from builder.drain()


def _batches(
    file: pq.ParquetFile, index: int, options: ReadOptions
) -> Iterator[list[dict[str, Any] | str] | Exception]:
    """Yields the records of a row group in batches, and the error at which they end, if any."""
    group = file.metadata.row_group(index)
    average = max(group.total_byte_size // max(group.num_rows, 1), 1)
    size = min(max(options.batch_bytes // average, 1), options.batch_rows)
    try:
        batches = file.iter_batches(size, row_groups=[index], use_threads=False)
    except _UNREADABLE as error:
        yield error
        return
    while True:
        try:
            batch = next(batches, None)
            records = None if batch is None else _records(batch, options.keys.text)
        except _UNREADABLE as error:
            yield error
            return
        if records is None:
            return
        yield records


def _records(batch: pa.RecordBatch, text_key: str) -> list[dict[str, Any] | str]:
    """Returns the rows of a batch, or for a row that is not UTF-8 the message that says so."""
    names = batch.schema.names
    columns = [_values(column) for column in batch.columns]
    if text_key in names and pa.types.is_binary(_json_type(batch.schema.field(text_key).type)):
        index = names.index(text_key)
        columns[index] = [_decoded(value) for value in columns[index]]
    records: list[dict[str, Any] | str] = [
        dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)
    ]
    for name, values in zip(names, columns, strict=True):
        for row, value in enumerate(values):
            if value is _UNDECODABLE:
                records[row] = f"the column {name!r} is not UTF-8 in this row"
    return records


def _decoded(value: bytes | None) -> Any:
    try:
        return value if value is None else value.decode()
    except UnicodeDecodeError:
        return _UNDECODABLE


def _values(column: pa.Array) -> list[Any]:
    """Returns a column as values that JSON can hold."""
    kind = _json_type(column.type)
    if kind != column.type:
        column = column.cast(kind, safe=False)
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        values = [_value(scalar) for scalar in column]
    rebuild = _rebuilder(kind)
    if rebuild is None:
        return values
    return [value if value is _UNDECODABLE else rebuild(value) for value in values]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return _UNDECODABLE
    except (ValueError, OverflowError):
        return None  # a time beyond the year 9999, or an object with two fields of one name


def _json_type(kind: pa.DataType) -> pa.DataType:
    """Returns the type to which a column is cast, so that its values do not depend on pandas."""
    if isinstance(kind, pa.BaseExtensionType):
        return _json_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _json_type(kind.value_type)
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", None if kind.tz is None else "UTC")
    if pa.types.is_duration(kind):
        return pa.duration("us")
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_json_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_json_type(kind.key_type), _json_type(kind.item_type))
    if pa.types.is_list(kind):
        return pa.list_(_json_type(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_json_type(kind.value_type))
    return kind


def _rebuilder(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """Returns what turns the pairs of maps into objects, or None where there are no maps."""
    if pa.types.is_map(kind):
        item = _rebuilder(kind.item_type) or _same
        return lambda pairs: (
            None if pairs is None else {_name(key): item(value) for key, value in pairs}
        )
    if pa.types.is_struct(kind):
        fields = {field.name: _rebuilder(field.type) for field in kind}
        if any(fields.values()):
            return lambda value: (
                value and {name: (fields[name] or _same)(inner) for name, inner in value.items()}
            )
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = _rebuilder(kind.value_type)
        if inner is not None:
            return lambda values: values and [inner(value) for value in values]
    return None


def _same(value: Any) -> Any:
    return value


def _name(key: Any) -> str:
    return as_text(key) or "null"
