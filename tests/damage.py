"""Archives with several members, and ways to damage them, for tests of readers and runs."""

import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from raicurate.corpora_manifests.manifest import Keys
from raicurate.pipelines import reading
from raicurate.pipelines.reading import FileRange, ReadError, ReadOptions
from raicurate.transforms.schema import SOURCE


def json_lines(records: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def numbered(count: int, first: int = 0, words: int = 20) -> list[dict[str, str]]:
    """Returns records of distinct text that does not compress to nothing."""
    return [
        {
            "id": f"d{n}",
            "text": " ".join(str((n * 7919 + k * 104729) % 99991) for k in range(words)),
        }
        for n in range(first, first + count)
    ]


def gzip_member(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)


def zstd_frame(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(3, write_checksum=True).compress(content)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip_member, ".zst": zstd_frame}
"""How a member of an archive is made, by suffix."""


def flip(data: bytes, position: int) -> bytes:
    """Inverts one byte."""
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


def parquet(columns: dict[str, Any], row_group_rows: int = 100, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, row_group_size=row_group_rows, **options)
    return file.getvalue()


def warc_record(
    kind: str,
    block: bytes,
    number: int = 0,
    content_type: str = "application/http; msgtype=response",
    **fields: str,
) -> bytes:
    head = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:00000000-0000-0000-0000-{number:012d}>",
        "WARC-Target-URI": f"https://example.org/{number}",
        "WARC-Date": "2026-01-31T00:00:00Z",
        "Content-Type": content_type,
        "Content-Length": str(len(block)),
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"WARC/1.0\r\n{lines}\r\n".encode() + block + b"\r\n\r\n"


def page(text: str, head: str = "Content-Type: text/html; charset=utf-8") -> bytes:
    """Returns the HTTP response that holds a page with one paragraph."""
    html = f"<html><body><main><p>{text}</p></main></body></html>"
    return f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n{html}".encode()


def read_bytes(
    data: bytes,
    format: str,
    path: str = "x",
    start: int | None = None,
    end: int | None = None,
    keys: Keys | None = None,
    **options: Any,
) -> tuple[list[dict[str, Any]], list[ReadError]]:
    """Returns rows and errors of a file that holds `data`, having checked each batch."""
    given = ReadOptions(keys or Keys(), options.pop("source", "test"), **options)
    rows, errors = [], []
    for batch in reading.read(
        FileRange(path, "name", start, end), format, lambda _: io.BytesIO(data), given
    ):
        batch.documents.validate(full=True)
        assert batch.documents.schema == SOURCE
        assert batch.documents.num_rows or batch.errors
        assert batch.documents.num_rows <= given.batch_rows
        rows.extend(batch.documents.to_pylist())
        errors.extend(batch.errors)
    return rows, errors


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
