import hashlib
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from damage import COMPRESS, flip, read_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.manifest import Keys
from raicurate.pipelines import reading
from raicurate.pipelines.reading import FileRange, ReadOptions

FORMATS = ["markdown", "text", "html"]
formats = pytest.mark.parametrize("format", FORMATS)
suffixes = pytest.mark.parametrize("suffix", ["", *COMPRESS])

MARKDOWN = "---\ntitle: Regeln\n---\n\n# Grüße\r\n\n* one\n"


@pytest.mark.parametrize("format", ["markdown", "text"])
@suffixes
def test_text_is_taken_as_it_is(format: str, suffix: str) -> None:
    """Markdown and text are one document a file, unchanged but for a byte order mark."""
    for mark in (b"", b"\xef\xbb\xbf"):
        data = mark + MARKDOWN.encode()
        data = COMPRESS[suffix](data) if suffix else data
        (row,), errors = read_bytes(data, format, path=f"x{suffix}", added="2026", lang="de")
        assert errors == []
        assert row == {
            "id": hashlib.sha256(MARKDOWN.encode()).hexdigest()[:32],
            "text": MARKDOWN,
            "source": "test",
            "added": "2026",
            "created": None,
            "url": None,
            "declared_lang": "de",
            "metadata": "{}",
            "text_sha256": hashlib.sha256(MARKDOWN.encode()).hexdigest(),
            "src_file": "name",
            "src_row": 0,
        }


@suffixes
def test_html(suffix: str) -> None:
    """Of a page all that is visible is the document, lists as well, but no navigation."""
    html = (
        "<html><head><title>T</title><style>x{}</style></head><body><nav>Menu</nav>"
        "<main><h1>Grüße</h1><p>One two.</p><ul><li>a<li>b</ul></main><script>y()</script>"
    ).encode("latin-1")
    data = COMPRESS[suffix](html) if suffix else html
    (row,), errors = read_bytes(data, "html", path=f"x{suffix}")
    assert errors == []
    assert row["text"] == "Grüße\n\nOne two.\n\n  • a\n  • b"
    assert json.loads(row["metadata"]) == {"encoding": "cp1252"}


@formats
@pytest.mark.parametrize(
    ("data", "error_type"),
    [
        (b"", "empty_file"),
        (b" \n\t\r\n", "empty_text"),
        ("\u3000".encode(), "empty_text"),
        (b"x" * 1001, "oversized_document"),
        (b"x" * 3_000_000, "oversized_document"),
        (b"\x80\xfd\x00\x01\x02" * 20, "invalid_utf8"),
    ],
)
def test_no_document(format: str, data: bytes, error_type: str) -> None:
    """A file that gives no text is one error, and no damage."""
    rows, errors = read_bytes(data, format, max_document_bytes=1000)
    assert rows == []
    (error,) = errors
    if format == "html" and error_type == "invalid_utf8":
        error_type = "wrong_encoding"
    assert (error.error_type, error.damage) == (error_type, False)
    assert error.bytes == len(data)


@formats
@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_damage(format: str, suffix: str) -> None:
    """Half a document is none; one with a wrong checksum is delivered and reported."""
    data = COMPRESS[suffix](b"<p>word</p> " * 1000)
    path = f"x{suffix}"
    rows, errors = read_bytes(data[:-10], format, path=path)
    assert rows == []
    assert [(error.error_type, error.row, error.damage) for error in errors] == [
        ("lost_tail", 0, True)
    ]
    wrong = flip(data, len(data) - (8 if suffix == ".gz" else 1))
    rows, errors = read_bytes(wrong, format, path=path)
    assert len(rows) == 1
    assert [(error.error_type, error.damage) for error in errors] == [("checksum_mismatch", True)]
    _, errors = read_bytes(b"", format, path=path)
    assert [(error.error_type, error.damage) for error in errors] == [("empty_file", True)]
    _, errors = read_bytes(b"not an archive", format, path=path)
    assert [(error.error_type, error.damage) for error in errors] == [("unreadable_file", True)]


@formats
@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_huge_file_takes_no_memory(format: str, suffix: str) -> None:
    """A file of any size is one error, in bounded memory."""
    data = COMPRESS[suffix](b"0123456789abcdef" * (4 << 20))
    options = ReadOptions(Keys(), "s", max_document_bytes=1000)
    tracemalloc.start()
    stream = io.BytesIO(data)
    (batch,) = reading.read(FileRange(f"x{suffix}", "n"), format, lambda _: stream, options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [error.error_type for error in batch.errors] == ["oversized_document"]
    assert peak < 12 << 20


@formats
@suffixes
@settings(max_examples=100, deadline=None)
@given(data=st.one_of(st.binary(max_size=200), st.text(alphabet="<>/ap \"'=&;é\n", max_size=60)))
def test_any_bytes(format: str, suffix: str, data: bytes | str) -> None:
    """Whatever a file holds, it is one document or one error."""
    content = data if isinstance(data, bytes) else data.encode()
    rows, errors = read_bytes(content, format, path=f"x{suffix}")
    assert len(rows) + len(errors) == 1 or (rows and errors[0].error_type == "checksum_mismatch")


def test_formats_by_suffix(tmp_path: Path) -> None:
    """A tree of mixed files is read file by file, each by its suffix."""
    files: dict[str, Any] = {"a.md": "# A", "b/c.txt": "B", "d.html": "<p>C</p>"}
    texts = []
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
        path = str(tmp_path / name)
        for batch in reading.read(
            FileRange(path, name),
            reading.detect_format(name),
            lambda path: io.BytesIO(Path(path).read_bytes()),
            ReadOptions(Keys(), "s"),
        ):
            texts += batch.documents.column("text").to_pylist()
    assert texts == ["# A", "B", "C"]
