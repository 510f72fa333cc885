import datetime
import decimal
import hashlib
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damage import flip, parquet, read_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.manifest import Keys
from raicurate.pipelines import reading
from raicurate.pipelines.reading import FileRange, ReadOptions


def read(data: bytes, **options: Any) -> tuple[list[dict[str, Any]], list[reading.ReadError]]:
    return read_bytes(data, "parquet", **options)


def texts(count: int) -> list[str]:
    return [f"text {n} {n * 7919 % 99991} {n * 104729 % 99991}" for n in range(count)]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.string_view()],
    ids=str,
)
def test_text_types(kind: pa.DataType) -> None:
    """Text is read from every type that can hold it, and from dictionaries."""
    column = pa.array(["ä", "b", "ä"], pa.string()).cast(kind)
    rows, errors = read(parquet({"text": column, "id": [1, 2, 3]}))
    assert [(row["text"], row["id"]) for row in rows] == [("ä", "1"), ("b", "2"), ("ä", "3")]
    assert errors == []


def test_dictionary_text() -> None:
    """Columns that Arrow stored as dictionaries are text as well."""
    rows, _ = read(parquet({"text": pa.array(["a", "b", "a"]).dictionary_encode()}))
    assert [row["text"] for row in rows] == ["a", "b", "a"]


def test_fields_and_metadata() -> None:
    """Fields are found by the same names as in JSON Lines; the rest is metadata."""
    data = parquet(
        {
            "text": ["a"],
            "id": ["i"],
            "url": ["u"],
            "created": [datetime.datetime(2024, 1, 2, 3, 4, 5)],
            "source": ["s"],
            "n": [1],
            "lang": ["de"],
        }
    )
    (row,), errors = read(data)
    assert errors == []
    assert (row["id"], row["url"], row["created"]) == ("i", "u", "2024-01-02T03:04:05")
    assert json.loads(row["metadata"]) == {"n": 1, "lang": "de", "source": "s"}
    assert row["text_sha256"] == hashlib.sha256(b"a").hexdigest()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([{"url": "u", "k": [1, 2]}]),
        pa.array(['{"url": "u", "k": [1, 2]}']),
        pa.array([[("url", "u"), ("k", "[1, 2]")]], pa.map_(pa.string(), pa.string())),
    ],
    ids=["struct", "string", "map"],
)
def test_metadata_column(column: pa.Array) -> None:
    """Metadata may be a struct, a map or JSON in a string."""
    (row,), _ = read(parquet({"text": ["a"], "metadata": column}))
    metadata = json.loads(row["metadata"])
    assert row["url"] == metadata["url"] == "u"
    assert metadata["k"] in ([1, 2], "[1, 2]")


def test_types_that_json_lacks() -> None:
    """Times, decimals, bytes, maps and NaN become JSON, the same whatever is installed."""
    utc = datetime.UTC
    data = parquet(
        {
            "text": ["a"],
            "nanoseconds": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
            "zoned": pa.array(
                [datetime.datetime(2024, 1, 1, tzinfo=utc)], pa.timestamp("us", "Europe/Berlin")
            ),
            "date": [datetime.date(2024, 1, 2)],
            "time": pa.array([1_000_000_001], pa.time64("ns")),
            "duration": pa.array([1_500_000_001], pa.duration("ns")),
            "decimal": [decimal.Decimal("1.10")],
            "bytes": [b"\xff\x00"],
            "nan": [float("nan")],
            "nested": pa.array(
                [[{"m": [(1, 2**62)]}]],
                pa.list_(pa.struct([("m", pa.map_(pa.int64(), pa.timestamp("us")))])),
            ),
            "big": pa.array([2**64 - 1], pa.uint64()),
            "half": pa.array([1.5], pa.float16()),
        }
    )
    (row,), errors = read(data)
    assert errors == []
    assert json.loads(row["metadata"]) == {
        "nanoseconds": "2023-11-14T22:13:20.123456",
        "zoned": "2024-01-01T00:00:00+00:00",
        "date": "2024-01-02",
        "time": "00:00:01",
        "duration": "0:00:01.500000",
        "decimal": "1.10",
        "bytes": "/wA=",
        "nan": None,
        "nested": None,
        "big": 2**64 - 1,
        "half": 1.5,
    }


def test_map_with_other_keys() -> None:
    """Keys of maps become strings; the last of two equal ones holds."""
    kind = pa.map_(pa.int64(), pa.string())
    data = parquet({"text": ["a"], "x": pa.array([[(1, "a"), (2, "b"), (1, "c")]], kind)})
    (row,), _ = read(data)
    assert json.loads(row["metadata"]) == {"x": {"1": "c", "2": "b"}}


def test_bad_rows() -> None:
    """Null, empty and oversized texts are errors of their own row."""
    data = parquet({"text": ["a", None, " \n", "x" * 1001, "b"], "id": list("vwxyz")})
    rows, errors = read(data, max_document_bytes=1000)
    assert [(row["text"], row["src_row"]) for row in rows] == [("a", 0), ("b", 4)]
    assert [(error.row, error.id, error.error_type, error.damage) for error in errors] == [
        (1, "w", "null_text", False),
        (2, "x", "empty_text", False),
        (3, "y", "oversized_document", False),
    ]


def test_column_of_nulls() -> None:
    """A column of nothing but nulls, as some writers type it, is a null in each row."""
    _, errors = read(parquet({"text": pa.nulls(3)}))
    assert [error.error_type for error in errors] == ["null_text"] * 3


@pytest.mark.parametrize("kind", [pa.binary(), pa.string()], ids=str)
@pytest.mark.parametrize("column", ["text", "other"])
def test_invalid_utf8(kind: pa.DataType, column: str) -> None:
    """A row whose text is not UTF-8 is one error; bytes elsewhere are kept as Base64."""
    values = pa.array([b"a", b"\xff\xfe", b"c"], pa.binary())
    values = pa.Array.from_buffers(kind, 3, values.buffers())
    columns = {"text": pa.array(["x", "y", "z"]), column: values}
    rows, errors = read(parquet(columns))
    if column == "other" and kind == pa.binary():
        assert json.loads(rows[1]["metadata"]) == {"other": "//4="}
        assert errors == []
    else:
        assert [row["src_row"] for row in rows] == [0, 2]
        assert [(error.error_type, error.row) for error in errors] == [("invalid_utf8", 1)]


@pytest.mark.parametrize(
    ("columns", "key", "says"),
    [
        ({"content": ["a"], "n": [1]}, "text", "content (string), n (int64)"),
        ({"text": [5]}, "text", "int64, not text"),
        ({"doc": [{"a": "b"}]}, "doc.body", "holds no field"),
        ({"doc": ["a"]}, "doc.body", "holds no field"),
    ],
)
def test_no_text_column(columns: dict[str, Any], key: str, says: str) -> None:
    """A file without the text column is one damage that names its columns and the cure."""
    rows, errors = read(parquet(columns), keys=Keys(text=key))
    assert rows == []
    (error,) = errors
    assert (error.error_type, error.damage) == ("unreadable_file", True)
    assert "keys: {text: ...}" in error.message
    assert says in error.message


def test_text_inside_of_a_struct() -> None:
    """A dotted name reaches into a struct; its other fields stay metadata."""
    data = parquet({"doc": [{"body": "a", "n": 1}, None]})
    rows, errors = read(data, keys=Keys(text="doc.body"))
    assert [(row["text"], json.loads(row["metadata"])) for row in rows] == [
        ("a", {"doc": {"n": 1}})
    ]
    assert [(error.error_type, error.row) for error in errors] == [("missing_text", 1)]


@pytest.mark.parametrize("range_", [(None, None), (0, 2), (2, 3), (3, None), (5, 9)])
def test_ranges_of_row_groups(range_: tuple[int | None, int | None]) -> None:
    """A range holds its row groups; rows are numbered through the file."""
    data = parquet({"text": texts(50)}, row_group_rows=10)
    start, end = range_
    rows, errors = read(data, start=start, end=end)
    numbers = list(range(50))[(start or 0) * 10 : None if end is None else end * 10]
    assert [row["src_row"] for row in rows] == numbers
    assert [row["text"] for row in rows] == [texts(50)[number] for number in numbers]
    assert {row["src_file"] for row in rows} <= {"name"}
    assert errors == []


def test_row_groups() -> None:
    """The planner learns rows and decoded bytes of each row group, or nothing of a broken file."""
    data = parquet({"text": texts(25)}, row_group_rows=10)
    groups = reading.parquet_row_groups(lambda _: io.BytesIO(data), "x")
    assert [rows for rows, _ in groups] == [10, 10, 5]
    assert all(size > 100 for _, size in groups)
    for broken in (b"", b"PAR1", data[:-10]):
        assert reading.parquet_row_groups(lambda _, b=broken: io.BytesIO(b), "x") == []


def test_no_rows() -> None:
    """A file without rows holds no documents, and is sound."""
    assert read(parquet({"text": pa.array([], pa.string())})) == ([], [])


@pytest.mark.parametrize("data", [b"", b"PAR1", b'{"text": "a"}\n' * 100])
def test_no_parquet(data: bytes) -> None:
    """A file that is not Parquet, or has no bytes, is one damage."""
    rows, errors = read(data)
    assert rows == []
    expected = "unreadable_file" if data else "empty_file"
    assert [(error.error_type, error.damage) for error in errors] == [(expected, True)]


def test_cut_file() -> None:
    """A cut file has no footer, hence no rows that could be found."""
    data = parquet({"text": texts(100)})
    _, errors = read(data[: len(data) // 2])
    assert [(error.error_type, error.damage) for error in errors] == [("unreadable_file", True)]


def test_footer_that_contradicts_itself() -> None:
    """A footer whose counts of rows differ is not believed."""
    data = parquet({"text": texts(50)}, row_group_rows=10)
    contradictions = 0
    for position in range(len(data) - 700, len(data) - 8):
        changed = data[:position] + bytes([data[position] ^ 2]) + data[position + 1 :]
        try:
            metadata = pq.ParquetFile(io.BytesIO(changed)).metadata
        except (OSError, ValueError):
            continue
        groups = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
        if metadata.num_rows != sum(groups):
            contradictions += 1
            rows, errors = read(changed)
            assert rows == []
            assert [error.error_type for error in errors] == ["unreadable_file"]
    assert contradictions


def test_broken_row_group() -> None:
    """A broken row group is one error for each of its rows; the others are read."""
    data = parquet({"text": texts(300)}, row_group_rows=100, use_dictionary=False)
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    offset = metadata.row_group(1).column(0).data_page_offset
    data = data[: offset + 5] + bytes(200) + data[offset + 205 :]
    rows, errors = read(data, batch_rows=30)
    assert [row["src_row"] for row in rows] == [*range(100), *range(200, 300)]
    assert [error.row for error in errors] == list(range(100, 200))
    assert {(error.error_type, error.damage) for error in errors} == {
        ("unreadable_row_group", True)
    }


def test_page_checksums() -> None:
    """Where pages carry checksums, changed content does not pass as sound."""
    data = parquet(
        {"text": texts(100)}, compression="none", write_page_checksum=True, use_dictionary=False
    )
    position = data.index(b"text 50")
    assert len(read(data)[0]) == 100
    rows, errors = read(flip(data, position))
    assert len(rows) + len(errors) == 100
    assert errors[0].error_type == "unreadable_row_group"


def test_bomb() -> None:
    """A row group that grows beyond the allowed ratio is not decoded."""
    big = pa.array(["x" * (1 << 20)] * 70)
    data = parquet({"text": big}, compression="zstd", use_dictionary=False)
    rows, errors = read(data)
    assert rows == []
    assert [(error.error_type, error.damage) for error in errors] == [("decompression_bomb", True)]
    assert len(read(data, max_expansion=10_000_000)[0]) == 70


def test_large_rows_in_small_batches() -> None:
    """Memory follows the size of a batch, not that of a row group."""
    column = pa.array([f"{n} " + "x" * 100_000 for n in range(500)])
    data = parquet(
        {"text": column},
        row_group_rows=500,
        use_dictionary=False,
        compression="none",
        write_batch_size=10,
    )
    options = ReadOptions(Keys(), "s", batch_bytes=1 << 20)
    tracemalloc.start()
    count = 0
    for batch in reading.read(FileRange("x", "x"), "parquet", lambda _: io.BytesIO(data), options):
        assert batch.documents.nbytes < 3 << 20
        count += batch.documents.num_rows
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 500
    assert peak < len(data) // 2


def test_storage_error_is_raised() -> None:
    """An error of the storage while reading is raised, and not taken for damage."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() == broken:
                raise OSError("connection lost")
            return super().read(size)

    data = parquet({"text": texts(300)}, row_group_rows=100)
    column = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(1).column(0)
    broken = column.dictionary_page_offset
    options = ReadOptions(Keys(), "s")
    batches = reading.read(FileRange("x", "x"), "parquet", lambda _: Failing(data), options)
    with pytest.raises(OSError, match="connection lost"):
        list(batches)


DATA = parquet(
    {
        "text": texts(60),
        "id": list(range(60)),
        "metadata": [{"url": f"u{n}", "k": [n]} for n in range(60)],
    },
    row_group_rows=20,
)


@settings(max_examples=400, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.binary(min_size=1, max_size=8))))
def test_any_damage(edits: list[tuple[int, bytes]]) -> None:
    """Whatever is overwritten, each row is a row or an error, or the file is called unreadable."""
    data = DATA
    for position, new in edits:
        data = (data[:position] + new + data[position + len(new) :])[: len(DATA)]
    rows, errors = read(data)
    if not any(error.row is None for error in errors):
        assert len(rows) + len(errors) == 60
        numbers = [row["src_row"] for row in rows] + [error.row for error in errors]
        assert sorted(number for number in numbers if number is not None) == list(range(60))


def test_each_byte() -> None:
    """One wrong byte anywhere raises nothing."""
    for position in range(0, len(DATA), 7):
        read(flip(DATA, position))


def test_written_by_others(tmp_path: Path) -> None:
    """The output of datatrove's Parquet writer is read with all it holds."""
    from datatrove.data import Document
    from datatrove.pipeline.writers import ParquetWriter

    with ParquetWriter(str(tmp_path), output_filename="${rank}.parquet") as writer:
        for number in range(3):
            writer.write(
                Document(text=f"text {number}", id=f"i{number}", metadata={"url": "u", "n": number})
            )
    (path,) = tmp_path.iterdir()
    rows, errors = read(path.read_bytes())
    assert errors == []
    assert [(row["id"], row["url"], json.loads(row["metadata"])["n"]) for row in rows] == [
        ("i0", "u", 0),
        ("i1", "u", 1),
        ("i2", "u", 2),
    ]
