import gzip
import io
import json
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from damage import COMPRESS, flip, page, read_bytes, warc_record
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.manifest import Keys
from raicurate.pipelines import reading
from raicurate.pipelines.reading import FileRange, ReadOptions

storages = pytest.mark.parametrize("suffix", ["", *COMPRESS])


def read(data: bytes, **options: Any) -> tuple[list[dict[str, Any]], list[reading.ReadError]]:
    return read_bytes(data, "warc", **options)


def words(number: int) -> str:
    return " ".join(f"word{(number * 7919 + k * 104729) % 99991}" for k in range(40))


def records(count: int, first: int = 0) -> list[bytes]:
    return [warc_record("response", page(words(n)), n) for n in range(first, first + count)]


def stored(parts: list[bytes], suffix: str) -> tuple[bytes, str]:
    """Returns an archive with a member for each record."""
    compress = COMPRESS.get(suffix, bytes)
    return b"".join(map(compress, parts)), f"x.warc{suffix}"


@storages
def test_pages(suffix: str) -> None:
    """Each page is a document with identifier, address and date of its record."""
    other = [
        warc_record("warcinfo", b"software: x\r\n", 100, "application/warc-fields"),
        warc_record("request", b"GET / HTTP/1.1\r\n\r\n", 101, "application/http; msgtype=request"),
        warc_record("metadata", b"a: b\r\n", 102, "application/warc-fields"),
        warc_record("revisit", b"HTTP/1.1 200 OK\r\n\r\n", 103),
        warc_record("response", page("x", "Content-Type: image/png"), 104),
        warc_record("response", page("x").replace(b"200 OK", b"404 Not Found"), 105),
        warc_record("response", b"127.0.0.1", 106, "text/dns"),
        warc_record("resource", b"<p>x</p>", 107, "text/html"),
    ]
    data, path = stored([*other, *records(2)], suffix)
    rows, errors = read(data, path=path, added="2026-02-01", lang="en")
    assert errors == []
    assert [row["text"] for row in rows] == [words(0), words(1)]
    row = rows[1]
    assert row["id"] == "urn:uuid:00000000-0000-0000-0000-000000000001"
    assert (row["url"], row["created"]) == ("https://example.org/1", "2026-01-31T00:00:00Z")
    assert (row["src_file"], row["src_row"]) == ("name", len(other) + 1)
    assert (row["added"], row["declared_lang"]) == ("2026-02-01", "en")
    assert json.loads(row["metadata"]) == {"content_type": "text/html", "encoding": "utf-8"}


@pytest.mark.parametrize("format", ["warc", "wet"])
def test_extracted_text(format: str) -> None:
    """Conversions to plain text are documents as they are, other conversions are none."""
    parts = [
        warc_record(
            "conversion",
            "Grüße\n".encode(),
            1,
            "text/plain",
            WARC_Identified_Content_Language="deu",
        ),
        warc_record("conversion", b"{}", 2, "application/json"),
        warc_record("conversion", b"\xff", 3, "text/plain"),
    ]
    rows, errors = read_bytes(b"".join(parts), format)
    assert [(row["text"], row["src_row"]) for row in rows] == [("Grüße\n", 0)]
    assert json.loads(rows[0]["metadata"]) == {"warc_languages": "deu"}
    assert [(error.error_type, error.row, error.damage) for error in errors] == [
        ("invalid_utf8", 2, False)
    ]


def test_record_without_identifier() -> None:
    """A record without an identifier gets one from its text."""
    record = warc_record("conversion", b"abc", 1, "text/plain")
    record = b"\r\n".join(line for line in record.split(b"\r\n") if b"Record-ID" not in line)
    (row,), _ = read(record)
    assert row["id"] == row["text_sha256"][:32]


@pytest.mark.parametrize("html_type", ["text/html", "Application/XHTML+XML; charset=utf-8", None])
def test_html_types(html_type: str | None) -> None:
    """Pages are known by their type, or where there is none, by how they begin."""
    head = "Server: x" if html_type is None else f"Content-Type: {html_type}"
    rows, errors = read(warc_record("response", page("abc", head), 1))
    assert [row["text"] for row in rows] == ["abc"]
    assert errors == []


def test_payload_without_type_that_is_no_page() -> None:
    """What has no type and does not begin like a page is no document."""
    block = b"HTTP/1.1 200 OK\r\n\r\n\x89PNG\r\n"
    assert read(warc_record("response", block, 1)) == ([], [])


def chunked(data: bytes, size: int = 50) -> bytes:
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


HTML = f"<html><body><p>{words(0)}</p></body></html>".encode()


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Transfer-Encoding: chunked", chunked(HTML)),
        ("Content-Encoding: gzip", gzip.compress(HTML)),
        ("Content-Encoding: deflate", zlib.compress(HTML)),
        ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip", chunked(gzip.compress(HTML))),
        # Crawlers store pages decoded, but leave the header as it was.
        ("Transfer-Encoding: chunked", HTML),
        ("Content-Encoding: gzip", HTML),
        ("Content-Encoding: br", HTML),
        ("Content-Encoding: unheard-of", HTML),
    ],
)
def test_encoded_payload(head: str, body: bytes) -> None:
    """What HTTP did to a page is undone, and a header that claims too much does no harm."""
    block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{head}\r\n\r\n".encode() + body
    rows, errors = read(warc_record("response", block, 1))
    assert [row["text"] for row in rows] == [words(0)]
    assert errors == []


def test_bomb_inside_of_a_record() -> None:
    """A payload that decodes to more than is allowed is one error, in bounded memory."""
    body = gzip.compress(b"<p>" + b"x" * (300 << 20), 9)
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n" + body
    data = warc_record("response", block, 1) + records(1)[0]
    tracemalloc.start()
    rows, errors = read(data, max_document_bytes=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(rows) == 1
    assert [(error.error_type, error.row) for error in errors] == [("oversized_document", 0)]
    assert peak < 30 << 20


@pytest.mark.parametrize(
    ("html", "head", "text"),
    [
        ("Grüße".encode("latin-1"), "Content-Type: text/html; charset=iso-8859-1", "Grüße"),
        ("Grüße".encode(), "Content-Type: text/html; charset=iso-8859-1", "Grüße"),
        (
            b'<meta charset="windows-1251">' + "Привет".encode("cp1251"),
            "Content-Type: text/html",
            "Привет",
        ),
        (
            "日本語のテキスト".encode("shift_jis"),
            "Content-Type: text/html; charset=x-sjis",
            "日本語のテキスト",
        ),
    ],
)
def test_charsets(html: bytes, head: str, text: str) -> None:
    """The charset comes from the bytes if they are UTF-8, else from the server or the page."""
    block = b"HTTP/1.1 200 OK\r\n" + head.encode() + b"\r\n\r\n" + html
    (row,), errors = read(warc_record("response", block, 1))
    assert row["text"] == text
    assert errors == []


@pytest.mark.parametrize(
    ("block", "error_type"),
    [
        (page(""), "empty_text"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + bytes(range(256)) * 9,
            "wrong_encoding",
        ),
        (b"<html>no header", "invalid_record"),
        (page("x" * 2000), "oversized_document"),
    ],
)
def test_bad_page(block: bytes, error_type: str) -> None:
    """A page that gives no text is one error with its identifier, and no damage."""
    data = records(1)[0] + warc_record("response", block, 7) + records(1)[0]
    rows, errors = read(data, max_document_bytes=1000)
    assert [row["src_row"] for row in rows] == [0, 2]
    (error,) = errors
    assert (error.error_type, error.row, error.damage) == (error_type, 1, False)
    assert (error.id, error.bytes) == ("urn:uuid:00000000-0000-0000-0000-000000000007", len(block))


@storages
def test_oversized_record(suffix: str) -> None:
    """A record of any size is one error if it is a page, and nothing if it is something else."""
    size = 8 << 20
    parts = [
        records(1)[0],
        warc_record("response", page("x" * size), 1),
        warc_record("response", page("x" * size, "Content-Type: video/mp4"), 2),
        warc_record("metadata", b"x" * size, 3),
        records(1)[0],
    ]
    data, path = stored(parts, suffix)
    options = ReadOptions(Keys(), "s", max_document_bytes=1000)
    tracemalloc.start()
    stream = io.BytesIO(data)
    batches = list(reading.read(FileRange(path, "n"), "warc", lambda _: stream, options))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    rows = [row for batch in batches for row in batch.documents.column("src_row").to_pylist()]
    errors = [error for batch in batches for error in batch.errors]
    assert rows == [0, 4]
    assert [(error.error_type, error.row) for error in errors] == [("oversized_document", 1)]
    assert peak < 12 << 20


@pytest.mark.parametrize("suffix", list(COMPRESS))
@pytest.mark.parametrize("whole", [True, False], ids=["one_member", "member_each"])
def test_cut_archive(suffix: str, whole: bool) -> None:
    """A cut archive gives the pages before the cut, then one lost tail."""
    parts = records(200)
    data, path = stored([b"".join(parts)] if whole else parts, suffix)
    rows, errors = read(data[: len(data) // 2], path=path)
    assert [row["text"] for row in rows] == [words(n) for n in range(len(rows))]
    # A frame of zstd is decoded in blocks of up to 128 KiB, which hold these records together.
    assert whole or len(rows) in {99, 100}
    assert [(error.error_type, error.row, error.damage) for error in errors] == [
        ("lost_tail", len(rows), True)
    ]


@pytest.mark.parametrize("suffix", list(COMPRESS))
@pytest.mark.parametrize("kind", ["destroyed", "cut", "head"])
def test_damaged_member(suffix: str, kind: str) -> None:
    """A broken member costs its own record; all others are read."""
    members = list(map(COMPRESS[suffix], records(9)))
    bad = members[4]
    members[4] = {
        "destroyed": bad[:40] + bytes(100) + bad[140:],
        "cut": bad[: len(bad) // 2],
        "head": flip(bad, 2),
    }[kind]
    rows, errors = read(b"".join(members), path=f"x{suffix}")
    texts = {row["text"] for row in rows}
    assert {words(n) for n in range(9) if n != 4} <= texts
    assert len(errors) >= 1
    assert all(error.damage for error in errors)
    assert {error.error_type for error in errors} <= {
        "lost_tail",
        "checksum_mismatch",
        "invalid_record",
    }


def test_cut_plain_file() -> None:
    """A plain file that ends inside a record loses it, with its bytes counted."""
    parts = records(3)
    data = b"".join(parts)
    rows, errors = read(data[:-100])
    assert len(rows) == 2
    assert [(error.error_type, error.row, error.bytes, error.damage) for error in errors] == [
        ("lost_tail", 2, len(parts[2]) - 100, True)
    ]


def changed(record: bytes, old: bytes, new: bytes) -> bytes:
    assert old in record
    return record.replace(old, new)


@storages
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Content-Length: ", b"Content-Length: 1"),
        (b"Content-Length: ", b"Content-Length: x"),
        (b"Content-Length: ", b"Content-Length: -"),
        (b"Content-Length: ", b"Content-Length: 999999"),
        (b"Content-Length", b"Content-Height"),
        (b"WARC/1.0", b"WORC/1.0"),
        (b"\r\n\r\n", b"\r\n"),
    ],
)
def test_broken_record(suffix: str, old: bytes, new: bytes) -> None:
    """A record that is framed wrongly is damage, and the next one is found."""
    parts = records(5)
    parts[2] = changed(parts[2], old, new)
    parts[3] = changed(parts[3], b"WARC/1.0", b"WARC/0.18")
    data, path = stored(parts, suffix)
    rows, errors = read(data, path=path)
    assert [row["text"] for row in rows] == [words(n) for n in (0, 1, 3, 4)]
    assert [(error.error_type, error.row, error.damage) for error in errors] == [
        ("invalid_record", 2, True)
    ]


def test_field_that_stands_twice() -> None:
    """Of two header fields of one name the first holds."""
    record = warc_record("conversion", b"abc", 1, "text/plain")
    twice = record.replace(b"\r\n\r\nabc", b"\r\nContent-Length: 1\r\nWARC-Type: x\r\n\r\nabc")
    rows, errors = read(twice + record)
    assert ([row["text"] for row in rows], errors) == (["abc", "abc"], [])


def test_bytes_between_records() -> None:
    """A record with something behind it is read, and that something is reported."""
    first, second = records(2)
    rows, errors = read(first[:-4] + b"\0\0\r\n\r\n" + second)
    assert len(rows) == 2
    assert [(error.error_type, error.bytes) for error in errors] == [("invalid_record", 6)]


@pytest.mark.parametrize(
    ("data", "error_type", "says"),
    [
        (b"filedesc://x 0.0.0.0 20080101000000 text/plain 76\n1 0 x\n", "unreadable_file", "WARC"),
        (b"<html>" * 1000, "unreadable_file", "record"),
        (b"", "empty_file", "no bytes"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_other_files(data: bytes, error_type: str, says: str, compressed: bool) -> None:
    """ARC and other files are one damage each, compressed or not."""
    if compressed and data:
        data = gzip.compress(data)
    rows, errors = read(data, path="x.warc.gz" if compressed else "x.warc")
    assert rows == []
    assert [(error.error_type, error.damage) for error in errors] == [(error_type, True)]
    assert says in errors[0].message


def test_members_cut_anywhere() -> None:
    """Members need not end with a record."""
    data = b"".join(records(20))
    parts = [data[start : start + 777] for start in range(0, len(data), 777)]
    rows, errors = read(b"".join(map(gzip.compress, parts)), path="x.warc.gz")
    assert (len(rows), errors) == (20, [])


@storages
@settings(max_examples=150, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 100_000), st.binary(max_size=20), st.booleans())),
    cut=st.integers(0, 100_000),
)
def test_any_damage(suffix: str, edits: list[tuple[int, bytes, bool]], cut: int) -> None:
    """Whatever is done to an archive, reading raises nothing, and rows keep their order."""
    data, path = stored(records(4), suffix)
    for place, new, insert in edits:
        position = place % (len(data) + 1)
        data = data[:position] + new + data[position + (0 if insert else len(new)) :]
    data = data[: len(data) - cut % 200 if cut % 2 else len(data)]
    rows, errors = read(data, path=path)
    numbers = [row["src_row"] for row in rows]
    assert numbers == sorted(set(numbers))
    assert not set(numbers) & {error.row for error in errors}


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name", ["archive-org-example", "dolma-sample-0000", "warcio-example", "whirlwind"]
)
def test_real_archives(shared_data: Path, name: str) -> None:
    """Of real archives every page is a row or an error, as many as fastwarc counts."""
    path = shared_data / "general" / "warc" / f"{name}.warc.gz"
    expected = Counter(
        record.record_id.strip("<>")
        for record in ArchiveIterator(path.open("rb"), record_types=WarcRecordType.response)
        if record.http_headers is not None
        and record.http_headers.status_code == 200
        and (record.http_content_type or "").lower() in {"text/html", "application/xhtml+xml"}
    )
    rows, errors = read(path.read_bytes(), path=path.name)
    assert {error.error_type for error in errors} <= {"empty_text"}
    assert Counter([row["id"] for row in rows] + [error.id for error in errors]) == expected


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "pages", "damage"),
    [
        ("warcio-example-bad.warc.gz.bad", 1, []),
        ("warcio-example-trunc.warc", 1, ["invalid_record"]),
        ("warcio-example-iana.org-chunked.warc", 1, []),
        ("warcio-example.arc.gz", 0, ["unreadable_file"]),
        ("whirlwind.warc.wet.gz", 1, []),
        ("whirlwind.warc.wat.gz", 0, []),
    ],
)
def test_real_oddities(shared_data: Path, name: str, pages: int, damage: list[str]) -> None:
    """The odd files of other projects' tests are read as far as they can be."""
    rows, errors = read((shared_data / "general" / "warc" / name).read_bytes(), path=name)
    assert len(rows) == pages
    assert [error.error_type for error in errors] == damage


@pytest.mark.shared_data
def test_real_archive_with_destroyed_member(shared_data: Path) -> None:
    """In a real archive one destroyed member costs one record."""
    data = (shared_data / "general" / "warc" / "dolma-sample-0000.warc.gz").read_bytes()
    whole, _ = read(data, path="x.warc.gz")
    middle = len(data) // 2
    rows, errors = read(data[:middle] + bytes(50) + data[middle + 50 :], path="x.warc.gz")
    assert len(rows) >= len(whole) - 1
    assert errors
    assert all(error.damage for error in errors)
