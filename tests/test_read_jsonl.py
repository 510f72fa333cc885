import gzip
import hashlib
import io
import itertools
import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from damage import COMPRESS, flip, json_lines, numbered, read_bytes
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.manifest import Keys
from raicurate.pipelines import reading
from raicurate.pipelines.reading import FileRange, ReadOptions

SUFFIXES = ["", *COMPRESS]
suffixes = pytest.mark.parametrize("suffix", SUFFIXES)


def read(data: bytes, **options: Any) -> tuple[list[dict[str, Any]], list[reading.ReadError]]:
    return read_bytes(data, "jsonl", **options)


def stored(data: bytes, suffix: str) -> tuple[bytes, str]:
    return (COMPRESS[suffix](data) if suffix else data), f"x.jsonl{suffix}"


def test_dolma_record() -> None:
    """A record of Dolma keeps its fields; its own source stays beside that of the manifest."""
    record = {
        "id": "a1",
        "text": "Grüße 😀",
        "source": "common-crawl",
        "added": "2024-01-02",
        "created": "2023-05-06T07:08:09Z",
        "metadata": {"url": "https://example.org/", "n": [1, None, {"x": 0.5}]},
        "version": 3,
    }
    (row,), errors = read(json_lines([record]))
    assert errors == []
    assert json.loads(row.pop("metadata")) == {
        "url": "https://example.org/",
        "n": [1, None, {"x": 0.5}],
        "version": 3,
        "source": "common-crawl",
    }
    assert row == {
        "id": "a1",
        "text": "Grüße 😀",
        "source": "test",
        "added": "2024-01-02",
        "created": "2023-05-06T07:08:09Z",
        "url": "https://example.org/",
        "declared_lang": None,
        "text_sha256": hashlib.sha256("Grüße 😀".encode()).hexdigest(),
        "src_file": "name",
        "src_row": 0,
    }


def test_datatrove_record() -> None:
    """A record of datatrove keeps its metadata, also where that is JSON in a string."""
    metadata = {"url": "https://example.org/", "date": "2024-01-01", "score": 1}
    for form in (metadata, json.dumps(metadata)):
        record = {"text": "a", "id": "<urn:uuid:1>", "media": [], "metadata": form}
        (row,), errors = read(json_lines([record]))
        assert errors == []
        assert row["id"] == "<urn:uuid:1>"
        assert row["url"] == "https://example.org/"
        assert json.loads(row["metadata"]) == metadata


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ("not JSON", {"metadata": "not JSON"}),
        ([1, 2], {"metadata": [1, 2]}),
        ("[1]", {"metadata": [1]}),
        (None, {}),
        ({}, {}),
        ("", {"metadata": ""}),
    ],
)
def test_other_metadata(metadata: object, kept: object) -> None:
    """What stands as metadata and is no object stays under its own name."""
    (row,), _ = read(json_lines([{"text": "a", "metadata": metadata}]))
    assert json.loads(row["metadata"]) == kept


def test_fields_beat_metadata() -> None:
    """A field of the record goes before one of its metadata, as in datatrove."""
    record = {"text": "a", "x": 1, "url": "u", "metadata": {"x": 2, "url": "v", "source": "s"}}
    (row,), _ = read(json_lines([record]))
    assert row["url"] == "u"
    assert json.loads(row["metadata"]) == {"x": 1, "url": "v", "source": "s"}


def test_manifest_beats_record() -> None:
    """Source, date and language of the manifest hold; what they replace stays in the metadata."""
    record = {"text": "a", "source": "r", "added": "2020", "lang": "de"}
    keys = Keys(lang="lang")
    (row,), _ = read(json_lines([record]), keys=keys, source="m", added="2026", lang="en")
    assert (row["source"], row["added"], row["declared_lang"]) == ("m", "2026", "en")
    assert json.loads(row["metadata"]) == {"source": "r", "added": "2020", "lang": "de"}
    (row,), _ = read(json_lines([record]), keys=keys, source="r")
    assert (row["source"], row["added"], row["declared_lang"]) == ("r", "2020", "de")
    assert row["metadata"] == "{}"


def test_declared_language_needs_a_key() -> None:
    """A language that a record declares is metadata unless the manifest names its field."""
    (row,), _ = read(json_lines([{"text": "a", "lang": "de"}]))
    assert row["declared_lang"] is None
    assert json.loads(row["metadata"]) == {"lang": "de"}


def test_other_keys() -> None:
    """Fields under other names are found, also inside of objects, and leave the metadata."""
    keys = Keys(text="doc.body", id="doc_id", url="metadata.link", created="t", lang="doc.l.code")
    record = {
        "doc": {"body": "a", "l": {"code": "fr", "p": 1}, "title": "T"},
        "doc_id": 7,
        "id": "other",
        "t": 1700000000,
        "metadata": {"link": "u", "k": 1},
    }
    for form in (record, {**record, "metadata": json.dumps(record["metadata"])}):
        (row,), errors = read(json_lines([form]), keys=keys)
        assert errors == []
        assert (row["text"], row["id"], row["url"]) == ("a", "7", "u")
        assert (row["created"], row["declared_lang"]) == ("1700000000", "fr")
        assert json.loads(row["metadata"]) == {
            "doc": {"l": {"p": 1}, "title": "T"},
            "id": "other",
            "k": 1,
        }


def test_dotted_key_that_is_a_name() -> None:
    """A field whose own name holds a dot is found before one inside of an object."""
    (row,), _ = read(json_lines([{"a.b": "x", "a": {"b": "y"}}]), keys=Keys(text="a.b"))
    assert row["text"] == "x"
    assert json.loads(row["metadata"]) == {"a": {"b": "y"}}


def test_dotted_key_that_is_missing() -> None:
    """A dotted name that leads nowhere is a missing text."""
    lines = json_lines([{"a": 1}, {"a": {}}, {"b": "x"}, {"a": {"b": None}}])
    _, errors = read(lines, keys=Keys(text="a.b"))
    assert [error.error_type for error in errors] == ["missing_text"] * 3 + ["null_text"]


@pytest.mark.parametrize(
    ("identifier", "id"),
    [(7, "7"), (1.5, "1.5"), (True, "true"), (2**63, "9223372036854775808"), ("x", "x")],
)
def test_identifiers(identifier: object, id: str) -> None:
    """Identifiers that are no strings are written as JSON writes them."""
    (row,), _ = read(json_lines([{"id": identifier, "text": "a"}]))
    assert row["id"] == id


@pytest.mark.parametrize("record", [{}, {"id": None}, {"id": ""}])
def test_derived_identifier(record: dict[str, Any]) -> None:
    """Without an identifier it comes from the text."""
    (row,), _ = read(json_lines([{**record, "text": "ä"}]))
    assert row["id"] == hashlib.sha256("ä".encode()).hexdigest()[:32]


BAD_LINES = {
    b'{"text": "a"': "invalid_json",
    b"nonsense": "invalid_json",
    b'{"text": "\\ud800"}': "invalid_json",
    b'{"text": "a", "x": ' + b"[" * 2000 + b"]" * 2000 + b"}": "invalid_json",
    b'{"text": "a", "x": ' + b"[" * 400 + b"]" * 400 + b"}": "invalid_json",
    b"[1]": "not_an_object",
    b'"text"': "not_an_object",
    b"null": "not_an_object",
    b"NaN": "not_an_object",
    b'{"id": "i"}': "missing_text",
    b'{"id": "i", "text": null}': "null_text",
    b'{"id": "i", "text": NaN}': "null_text",
    b'{"id": "i", "text": 5}': "wrong_type_text",
    b'{"id": "i", "text": ["a"]}': "wrong_type_text",
    b'{"id": "i", "text": ""}': "empty_text",
    b'{"id": "i", "text": " \\n\\u00a0\\t"}': "empty_text",
    b'{"id": "i", "text": "\xff"}': "invalid_utf8",
    b'{"id": "i", "text": "\xed\xa0\x80"}': "invalid_utf8",
    b'{"id": "i", "text": "' + b"x" * 1001 + b'"}': "oversized_document",
}


@suffixes
@pytest.mark.parametrize(("line", "error_type"), BAD_LINES.items(), ids=range(len(BAD_LINES)))
def test_bad_line(line: bytes, error_type: str, suffix: str) -> None:
    """A bad line is one error with its row and size, and costs no other line."""
    good = json_lines(numbered(3))
    data, path = stored(good + line + b"\n" + good, suffix)
    rows, errors = read(data, path=path, max_document_bytes=1000)
    assert [row["src_row"] for row in rows] == [0, 1, 2, 4, 5, 6]
    (error,) = errors
    assert (error.error_type, error.row, error.bytes) == (error_type, 3, len(line))
    assert (error.file, error.damage) == ("name", False)
    assert error.id == ("i" if b'"id": "i"' in line and error_type != "invalid_utf8" else None)


def test_errors_quote_no_text() -> None:
    """No message holds what stands in the documents."""
    lines = [line.replace(b"nonsense", b"SECRET") for line in BAD_LINES]
    lines += [b'{"text": "a", "SECRET"', b'{"text": {"SECRET": 1}}', b'["SECRET', b'{"SECRET":1}']
    _, errors = read(b"\n".join(lines))
    assert len(errors) >= len(lines) - 1
    assert not any("SECRET" in error.message for error in errors)


def test_text_of_exactly_the_limit() -> None:
    """The limit is on the bytes of the text, however JSON writes it."""
    text = "ä" * 500
    for line in (json.dumps({"text": text}), json.dumps({"text": text}, ensure_ascii=False)):
        rows, _ = read(line.encode(), max_document_bytes=1000)
        assert [row["text"] for row in rows] == [text]
        _, errors = read(line.encode(), max_document_bytes=999)
        assert [error.error_type for error in errors] == ["oversized_document"]


def test_numbers_that_python_writes() -> None:
    """NaN and Infinity, which Python writes and JSON lacks, become null in the metadata."""
    (row,), errors = read(b'{"text": "a", "score": NaN, "x": [-Infinity, 1]}')
    assert errors == []
    assert json.loads(row["metadata"]) == {"score": None, "x": [None, 1]}


def test_blank_lines_and_line_ends() -> None:
    """Blank lines are counted and are nothing; CRLF, a BOM and a missing last newline are fine."""
    data = b'\xef\xbb\xbf{"text":"a"}\r\n\r\n \t\n\n{"text":"b"}\r\n{"text":"c"}'
    rows, errors = read(data)
    assert [(row["text"], row["src_row"]) for row in rows] == [("a", 0), ("b", 4), ("c", 5)]
    assert errors == []


@pytest.mark.parametrize(
    "data", [b'[\n{"text": "a"}\n]\n', b'[{"text": "a"}]', b'{\n"text": "a"\n}']
)
def test_one_document(data: bytes) -> None:
    """A file that is one JSON document is told apart from one that is broken."""
    _, errors = read(data)
    assert "one object a line" in errors[0].message


@pytest.mark.parametrize(("suffix", "damage"), [("", False), (".gz", True), (".zst", True)])
def test_file_of_no_bytes(suffix: str, damage: bool) -> None:
    """A file of no bytes is one error; an archive cannot be so, hence is damaged."""
    rows, errors = read(b"", path=f"x.jsonl{suffix}")
    assert rows == []
    assert [(error.error_type, error.row, error.damage) for error in errors] == [
        ("empty_file", None, damage)
    ]


@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_archive_of_nothing(suffix: str) -> None:
    """An archive may hold no lines, as shards of large runs do."""
    assert read(COMPRESS[suffix](b""), path=f"x.jsonl{suffix}") == ([], [])


@pytest.mark.parametrize("suffix", list(COMPRESS))
@pytest.mark.parametrize("lines", [1, 7, 1000])
def test_members_cut_anywhere(suffix: str, lines: int) -> None:
    """Members need not end with a line."""
    data = json_lines(numbered(50))
    parts = [data[start : start + lines * 37] for start in range(0, len(data), lines * 37)]
    rows, errors = read(b"".join(map(COMPRESS[suffix], parts)), path=f"x{suffix}")
    assert [row["id"] for row in rows] == [record["id"] for record in numbered(50)]
    assert errors == []


@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_cut_archive(suffix: str) -> None:
    """A cut archive gives its whole lines; the half one is part of the lost tail."""
    records = numbered(30_000)
    data = COMPRESS[suffix](json_lines(records))
    for cut in (len(data) // 2, len(data) - 2):
        rows, errors = read(data[:cut], path=f"x{suffix}")
        assert [row["id"] for row in rows] == [record["id"] for record in records[: len(rows)]]
        assert len(rows) >= len(records) * cut // len(data) - 1500
        (error,) = errors
        assert (error.error_type, error.row, error.damage) == ("lost_tail", len(rows), True)


@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_damaged_member_between_others(suffix: str) -> None:
    """Lines before the damage and of later members are read, each under its own row number."""
    compress = COMPRESS[suffix]
    parts = [numbered(4000, first=4000 * n) for n in range(3)]
    members = [compress(json_lines(part)) for part in parts]
    # The archive ends a member in its middle.
    half = members[1][: len(members[1]) // 2]
    rows, errors = read(members[0] + half + members[2], path=f"x{suffix}")
    ids = [row["id"] for row in rows]
    assert ids[:4000] == [record["id"] for record in parts[0]]
    assert ids[-4000:] == [record["id"] for record in parts[2]]
    middle = ids[4000:-4000]
    assert middle == [record["id"] for record in parts[1][: len(middle)]]
    assert [error.error_type for error in errors] == ["lost_tail"]
    numbers = [row["src_row"] for row in rows]
    assert len(set(numbers)) == len(numbers)
    assert errors[0].row not in numbers


@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_line_that_is_whole_before_a_damage(suffix: str) -> None:
    """A last line without newline counts where it is whole, though damage follows."""
    data = COMPRESS[suffix](b'{"text": "a"}\n{"text": "b"}')
    rows, errors = read(data + b"garbage", path=f"x{suffix}")
    assert [row["text"] for row in rows] == ["a", "b"]
    assert [(error.error_type, error.bytes) for error in errors] == [("lost_tail", 7)]


@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_torn_line_behind_a_damage(suffix: str) -> None:
    """The rest of a lost line, with which a later member begins, is no error of its own."""
    compress = COMPRESS[suffix]
    whole, torn = b'{"text": "a"}\n', b'e lost"}\n{"text": "b"}\n'
    rows, errors = read(compress(whole) + b"garbage" + compress(torn), path=f"x{suffix}")
    assert [row["text"] for row in rows] == ["a", "b"]
    assert [error.error_type for error in errors] == ["lost_tail"]
    whole_behind = compress(whole) + b"garbage" + compress(whole)
    rows, errors = read(whole_behind, path=f"x{suffix}")
    assert len(rows) == 2
    assert [error.error_type for error in errors] == ["lost_tail"]


@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_checksum_mismatch(suffix: str) -> None:
    """Lines of a member with a wrong checksum stay, and one damage is reported."""
    member = COMPRESS[suffix](json_lines(numbered(5)))
    data = flip(member, len(member) - (8 if suffix == ".gz" else 1)) + member
    rows, errors = read(data, path=f"x{suffix}")
    assert [row["src_row"] for row in rows] == list(range(10))
    assert [(error.error_type, error.row, error.damage) for error in errors] == [
        ("checksum_mismatch", None, True)
    ]


@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_not_an_archive(suffix: str) -> None:
    """A file that only claims to be an archive is unreadable, unless it is plain JSON Lines."""
    rows, errors = read(bytes(range(256)), path=f"x.jsonl{suffix}")
    assert rows == []
    assert [(error.error_type, error.damage) for error in errors] == [("unreadable_file", True)]
    rows, errors = read(json_lines(numbered(3)), path=f"x.jsonl{suffix}")
    assert (len(rows), errors) == (3, [])


@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_bomb(suffix: str) -> None:
    """A decompression bomb ends with an error, holding little memory."""
    data = COMPRESS[suffix](b'{"text": "' + bytes(100 << 20))
    tracemalloc.start()
    rows, errors = read(data, path=f"x{suffix}", max_expansion=100, max_document_bytes=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == []
    assert [error.error_type for error in errors] == ["oversized_document", "decompression_bomb"]
    assert peak < 40 << 20


@suffixes
def test_oversized_line_takes_no_memory(suffix: str) -> None:
    """A line of any length is one error, and memory stays within the limit for a record."""
    good = json_lines(numbered(2))
    line = b'{"text": "' + b"0123456789abcdef" * (2 << 20) + b'"}\n'
    data, path = stored(good + line + good, suffix)
    source = io.BytesIO(data)
    options = ReadOptions(Keys(), "s", max_document_bytes=100_000)
    tracemalloc.start()
    batches = list(reading.read(FileRange(path, "n"), "jsonl", lambda _: source, options))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(batch.documents.num_rows for batch in batches) == 4
    errors = [error for batch in batches for error in batch.errors]
    assert [(error.error_type, error.row, error.bytes) for error in errors] == [
        ("oversized_document", 2, len(line) - 1)
    ]
    assert peak < 12 << 20


def test_batches_are_bounded() -> None:
    """Batches end by rows and by bytes; a larger document makes a batch of its own."""
    records = [{"text": "x" * size} for size in (10, 10, 5000, 10, 400, 400, 400, 400)]

    def sizes(**options: int) -> list[int]:
        given = ReadOptions(Keys(), "s", **options)
        batches = reading.read(
            FileRange("x", "x"), "jsonl", lambda _: io.BytesIO(json_lines(records)), given
        )
        return [batch.documents.num_rows for batch in batches]

    assert sizes() == [8]
    assert sizes(batch_rows=3) == [3, 3, 2]
    assert sizes(batch_bytes=1000) == [2, 1, 3, 2]


def test_errors_come_in_batches() -> None:
    """Files of nothing but errors are reported piece by piece as well."""
    options = ReadOptions(Keys(), "s", batch_rows=100)
    data = b"nonsense\n" * 1000
    batches = list(reading.read(FileRange("x", "x"), "jsonl", lambda _: io.BytesIO(data), options))
    assert [len(batch.errors) for batch in batches] == [100] * 10


def test_range_of_a_compressed_file() -> None:
    """A compressed file under the name of a plain one is one error in the first range."""
    data = COMPRESS[".gz"](json_lines(numbered(100)))
    assert len(read(data)[0]) == 100
    _, errors = read(data, start=0, end=100)
    assert [(error.error_type, error.damage) for error in errors] == [("unreadable_file", True)]
    assert read(data, start=100) == ([], [])


def test_range_names_its_rows() -> None:
    """A range counts rows from its first line, under a name of its own."""
    data = json_lines(numbered(10))
    start = len(json_lines(numbered(4)))
    rows, _ = read(data, start=start, end=None)
    assert [(row["src_file"], row["src_row"]) for row in rows] == [
        (f"name#{start}", number) for number in range(6)
    ]
    rows, _ = read(data, start=0, end=start)
    assert [(row["src_file"], row["src_row"]) for row in rows] == [
        ("name", number) for number in range(4)
    ]


LINES = st.lists(
    st.one_of(
        st.sampled_from([b"", b" ", b"bad", b"\xff", b"[1]", b'{"text": ""}', b"\r"]),
        st.text(min_size=1, max_size=30).map(
            lambda text: orjson.dumps({"text": "." + text.encode("utf-8", "replace").decode()})
        ),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(lines=LINES, cuts=st.lists(st.integers(1, 800), max_size=6), newline=st.booleans())
def test_ranges_partition_a_file(lines: list[bytes], cuts: list[int], newline: bool) -> None:
    """However a file is cut into ranges, each line is read exactly once."""
    data = b"\n".join(lines) + (b"\n" if newline else b"")
    rows, errors = read(data)
    edges = [0, *sorted({cut for cut in cuts if cut < len(data)}), None]
    parts = [read(data, start=a, end=b) for a, b in itertools.pairwise(edges)]
    assert [row["text"] for part, _ in parts for row in part] == [row["text"] for row in rows]
    if data:
        assert [error.error_type for _, part in parts for error in part] == [
            error.error_type for error in errors
        ]
    places = [(row["src_file"], row["src_row"]) for part, _ in parts for row in part]
    assert len(set(places)) == len(places)


@suffixes
@settings(max_examples=150, deadline=None)
@given(lines=LINES, piece=st.integers(1, 50))
def test_conservation(suffix: str, lines: list[bytes], piece: int) -> None:
    """Each line that is not blank is exactly one row or one error, whatever the storage."""

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size if size is not None and size >= 0 else piece, piece))

    data = b"\n".join(lines)
    compressed, path = stored(data, suffix)
    options = ReadOptions(Keys(), "s", batch_rows=4)
    batches = list(reading.read(FileRange(path, "n"), "jsonl", lambda _: Slow(compressed), options))
    rows = [row for batch in batches for row in batch.documents.column("src_row").to_pylist()]
    rows += [error.row for batch in batches for error in batch.errors if error.row is not None]
    expected = [number for number, line in enumerate(data.split(b"\n")) if line.strip()]
    assert sorted(rows) == expected


@suffixes
@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300))
@example(b'{"text": "a", "metadata": "\\ud800"}')
@example(b'{"text": "a", "id": {"x": NaN}, "url": [1]}')
def test_any_bytes(suffix: str, data: bytes) -> None:
    """Whatever bytes a file holds, reading it raises nothing."""
    read(data, path=f"x.jsonl{suffix}")
    compressed, path = stored(data, suffix)
    read(compressed, path=path)


@settings(max_examples=300, deadline=None)
@given(
    record=st.dictionaries(
        st.sampled_from(
            ["id", "text", "url", "created", "metadata", "source", "added", "x", "media"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["url", "text", "b"]), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    ),
    key=st.sampled_from(["text", "x", "metadata.text", "x.b"]),
)
def test_any_record(record: dict[str, Any], key: str) -> None:
    """Whatever an object holds, it is one row or one error, and metadata is an object."""
    rows, errors = read(json.dumps(record).encode(), keys=Keys(text=key))
    assert len(rows) + len(errors) == 1
    for row in rows:
        assert isinstance(orjson.loads(row["metadata"]), dict)
        assert row["text_sha256"] == hashlib.sha256(row["text"].encode()).hexdigest()


@pytest.mark.shared_data
def test_real_files(shared_data: Path) -> None:
    """Real compressed files are read without an error, each line once."""
    for path in sorted((shared_data / "general").glob("*.jsonl.gz")):
        lines = gzip.decompress(path.read_bytes()).split(b"\n")[:-1]
        rows, errors = read(path.read_bytes(), path=path.name)
        assert errors == []
        assert [row["text"] for row in rows] == [orjson.loads(line)["text"] for line in lines]
        assert Counter(row["src_row"] for row in rows) == Counter(range(len(lines)))
