"""Reads web archives: WARC (the text of HTML pages) and WET (text that was extracted already).

The records are framed here, by their `Content-Length`, so that a broken one costs itself alone:
fastwarc 2.0 and warcio 1.8 end at the first. Decoding what HTTP did to a page (chunks, gzip,
brotli) is fastwarc's.

Documents are responses of status 200 that hold HTML, and conversions to plain text. Requests,
metadata, images, redirects and the like are no documents and are not counted.
"""

import io
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Literal, NamedTuple

import orjson
from fastwarc.warc import ArchiveIterator, WarcRecord

from raicurate.corpora_manifests.errors import DocumentError
from raicurate.pipelines.decompress import Damage, decoded
from raicurate.pipelines.reading import (
    FileRange,
    Opener,
    ReadBatch,
    ReadOptions,
    compression_suffix,
    register,
)
from raicurate.pipelines.records import BatchBuilder, oversized
from raicurate.transforms.html_text import decode_page, html_text

_VERSION = b"WARC/"
_ARC = b"filedesc://"
_START = re.compile(rb"(?:^|\n)(?=WARC/[01]\.[0-9]{1,2}\r?\n)")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_START_BYTES = len(b"\nWARC/0.18\r\n")
_LENGTH = re.compile(rb"^content-length:[^\r\n]*", re.I | re.M)
_MAX_HEAD_BYTES = 256 << 10
_HTTP_HEAD_BYTES = 64 << 10
_PIECE_BYTES = 1 << 20
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_HTML_START = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)


class _Bytes:
    """Decoded bytes to take from the front, up to the next damage.

    Attributes:
        buffer: What was read and not yet taken.
        damage: The damage before which the bytes end, until `resume` is called.
        mismatches: Members whose checksum differs; the bytes go on behind them.
    """

    def __init__(self, events: Iterator[bytes | Damage]) -> None:
        self._events = events
        self.buffer = bytearray()
        self.damage: Damage | None = None
        self.mismatches: list[Damage] = []

    def more(self) -> bool:
        """Reads on; returns whether there was more before a damage or the end."""
        if self.damage is not None:
            return False
        event = next(self._events, None)
        if event is None:
            return False
        if isinstance(event, bytes):
            self.buffer += event
        elif event.error_type == "checksum_mismatch":
            self.mismatches.append(event)
        else:
            self.damage = event
        return self.damage is None

    def fill(self, size: int) -> bool:
        """Reads until `size` bytes are there; returns whether they are."""
        while len(self.buffer) < size:
            if not self.more():
                return False
        return True

    def take(self, size: int) -> bytes:
        """Takes bytes that are there."""
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def skip(self, size: int) -> int:
        """Throws `size` bytes away, stops before a record that starts in them, and counts them."""
        left = size
        while True:
            start = _START.search(self.buffer, 0, left)
            if start is not None:
                return size - left + len(self.take(start.end()))
            there = min(left, max(len(self.buffer) - _START_BYTES, 0))
            left -= len(self.take(there))
            if len(self.buffer) >= left or not self.more():
                left -= len(self.take(left))
                return size - left

    def resume(self) -> Damage | None:
        """Returns the damage that was reached, if any, and lets `more` go on behind it."""
        damage, self.damage = self.damage, None
        return damage


class _Record(NamedTuple):
    """A record of an archive.

    Attributes:
        fields: Its header fields, with names in lower case.
        head: The bytes of its header.
        block: Its content, or the beginning of it.
        size: Bytes of the whole content.
    """

    fields: dict[str, str]
    head: bytes
    block: bytes
    size: int


class _Unreadable(NamedTuple):
    """Bytes that are no record."""

    error_type: str
    message: str
    bytes: int


def _starts_record(decoded_bytes: bytes) -> bool:
    return decoded_bytes.lstrip(b"\r\n").startswith(_VERSION)


@register("wet", (".wet",))
@register("warc", (".warc",))
def read_warc(part: FileRange, opener: Opener, options: ReadOptions) -> Iterator[ReadBatch]:
    """Reads a web archive.

    `src_row` counts its records from 0, documents or not. The id is the record's, without angle
    brackets, `url` its target, and `created` its date.
    """
    builder = BatchBuilder(part, options)
    with closing(opener(part.path)) as stream:
        head = stream.read(16)
        stream.seek(0)
        named = compression_suffix(part.path)
        if not head:
            builder.empty_file(compressed=True)
        source = _Bytes(
            decoded(
                stream,
                named,
                options.max_expansion,
                is_start=_starts_record,
                is_plain=lambda first: first.startswith((_VERSION, _ARC)),
            )
        )
        for row, item in enumerate(_records(source, options.record_limit)):
            if isinstance(item, Damage):
                builder.damage(row, item)
            elif isinstance(item, _Unreadable):
                builder.error(row, *item, damage=True)
            else:
                _add(builder, row, item, options)
            yield from builder.drain()
    yield from builder.close()


def _records(source: _Bytes, limit: int) -> Iterator[_Record | _Unreadable | Damage]:
    """Yields what an archive consists of; holds no record beyond `limit` bytes."""
    found = False
    while True:
        item = _next_record(source, limit)
        yield from source.mismatches
        source.mismatches.clear()
        if item is None:
            return
        if isinstance(item, _Unreadable) and item.error_type == "invalid_record":
            # Where no record is found up to the end, the file is something else.
            if not found and not source.buffer and not source.more() and source.damage is None:
                item = item._replace(error_type="unreadable_file")
        else:
            found = True
        yield item


def _next_record(source: _Bytes, limit: int) -> _Record | _Unreadable | Damage | None:
    while not source.buffer.strip(b"\r\n"):
        source.buffer.clear()
        if not source.more():
            return source.resume()
    del source.buffer[: len(source.buffer) - len(source.buffer.lstrip(b"\r\n"))]
    source.fill(len(_ARC))
    if source.buffer.startswith(_ARC):
        size = source.skip(1 << 62)
        return _Unreadable("unreadable_file", "ARC files are not read; convert it to WARC", size)
    if not source.buffer.startswith(_VERSION):
        return _resume(source, 0, "it does not begin with a version line")

    head_end = _HEAD_END.search(source.buffer)
    while head_end is None:
        if len(source.buffer) > _MAX_HEAD_BYTES:
            return _resume(source, 1, "its header does not end")
        if not source.more():
            return _cut(source)
        head_end = _HEAD_END.search(source.buffer)
    start = head_end.end()
    if _START.search(source.buffer, 1, start) is not None:
        return _resume(source, 1, "the next one begins inside of its header")
    fields = _fields(bytes(source.buffer[:start]))
    length = fields.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        return _resume(source, start, "its header does not tell its length")
    size = int(length)
    if size > limit:
        source.fill(start + _HTTP_HEAD_BYTES)
        head = source.take(start)
        record = _Record(fields, head, bytes(source.buffer[:_HTTP_HEAD_BYTES]), size)
        skipped = source.skip(size)
        if skipped == size:
            return record
        if not source.buffer:
            return _cut(source)
        return _Unreadable(
            "invalid_record", _skipped("the next one begins inside of it", skipped), skipped
        )
    if not source.fill(start + size):
        if _START.search(source.buffer, start) is not None:
            return _resume(source, start, "the next one begins inside of it")
        return _cut(source)
    end = start + size
    source.fill(end + 16)
    behind = bytes(source.buffer[end : end + 16]).lstrip(b"\r\n")[: len(_VERSION)]
    if not _VERSION.startswith(behind) and _START.search(source.buffer, start, end):
        return _resume(source, start, "it is longer than its place")
    return _Record(fields, source.take(start), source.take(size), size)


def _fields(head: bytes) -> dict[str, str]:
    lines = re.sub(rb"\r?\n[ \t]+", b" ", head).splitlines()[1:]
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode("utf-8", "replace").partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    return fields


def _cut(source: _Bytes) -> _Unreadable | Damage:
    """Returns why a record ends too early: a damage of the archive, or the end of the file."""
    size = len(source.buffer)
    source.buffer.clear()
    return source.resume() or _Unreadable(
        "lost_tail",
        "the file ends inside a record; what followed was never in it: fetch it again",
        size,
    )


def _resume(source: _Bytes, start: int, reason: str) -> _Unreadable:
    """Goes on at the next record behind `start`, and returns what is said about the bytes until."""
    skipped = len(source.take(start)) + source.skip(1 << 62)
    return _Unreadable("invalid_record", _skipped(reason, skipped), skipped)


def _skipped(reason: str, size: int) -> str:
    return (
        f"a record cannot be read, since {reason}; the {size} bytes before the next one were "
        "skipped, whatever they held: fetch the file again"
    )


def _add(builder: BatchBuilder, row: int, record: _Record, options: ReadOptions) -> None:
    """Adds a record, if it is a document."""
    fields = record.fields
    kind = fields.get("warc-type", "").lower()
    name = fields.get("warc-record-id", "").strip("<>") or None
    try:
        if kind == "conversion":
            document = _conversion(record)
        elif kind == "response":
            document = _response(record, options)
        else:
            return
        if document is None:
            return
    except DocumentError as error:
        builder.error(row, error.error_type, str(error), record.size, name)
        return
    text, metadata = document
    if "warc-truncated" in fields:
        metadata["warc_truncated"] = fields["warc-truncated"]
    builder.add_document(
        row,
        text,
        name,
        record.size,
        orjson.dumps(metadata),
        added=options.added,
        created=fields.get("warc-date"),
        url=fields.get("warc-target-uri", "").strip("<>") or None,
        lang=options.lang,
    )


def _conversion(record: _Record) -> tuple[str, dict[str, str]] | None:
    """Returns text that a crawler extracted, or None where the record is something else."""
    if not record.fields.get("content-type", "text/plain").lower().startswith("text/plain"):
        return None
    _require_whole(record)
    try:
        text = record.block.decode()
    except UnicodeDecodeError as error:
        raise DocumentError(
            "invalid_utf8", f"the record is not UTF-8 from its byte {error.start} on"
        ) from error
    languages = record.fields.get("warc-identified-content-language")
    return text, {} if languages is None else {"warc_languages": languages}


def _response(record: _Record, options: ReadOptions) -> tuple[str, dict[str, str]] | None:
    """Returns the text of a page, or None where the record holds no page."""
    if (
        not record.fields.get("content-type", "application/http")
        .lower()
        .startswith("application/http")
    ):
        return None
    http = _http(record, "all") or _http(record, "none")
    if http is None:
        raise DocumentError("invalid_record", "the header of the record cannot be read")
    if http.http_headers is None or http.http_headers.status_code is None:
        raise DocumentError("invalid_record", "the response does not begin with a header of HTTP")
    if http.http_headers.status_code != 200:
        return None
    kind = http.http_content_type or record.fields.get("warc-identified-payload-type")
    kind = None if kind is None else kind.partition(";")[0].strip().lower()
    if kind is not None and kind not in _HTML_TYPES:
        return None
    _require_whole(record)
    data = _payload(record, http, options.record_limit)
    if kind is None and _HTML_START.match(data, 0, 1024) is None:
        return None
    if len(data) > options.record_limit:
        raise DocumentError("oversized_document", oversized(options.max_document_bytes))
    page = decode_page(data, http.http_charset)
    return html_text(page.html), {"content_type": kind or "text/html", "encoding": page.encoding}


def _require_whole(record: _Record) -> None:
    if len(record.block) < record.size:
        raise DocumentError(
            "oversized_document",
            f"the record has {record.size} bytes, too many to be held; raise "
            "`output.max_document_bytes` to read it",
        )


def _http(record: _Record, auto_decode: Literal["none", "all"]) -> WarcRecord | None:
    """Returns the record with its HTTP header parsed, or None where that cannot be done.

    Args:
        record: A response.
        auto_decode: Whether to undo the encodings that the header names, all of which must be
            known.
    """
    head = record.head
    if len(record.block) < record.size:
        head = _LENGTH.sub(b"Content-Length: %d" % len(record.block), head)
    data = io.BytesIO(b"".join((head, record.block, b"\r\n\r\n")))
    try:
        return next(ArchiveIterator(data, auto_decode=auto_decode, quirks_mode=True))
    except (OSError, StopIteration, ValueError):
        return None


def _payload(record: _Record, http: WarcRecord, limit: int) -> bytes:
    """Returns the decoded page, up to a little more than `limit` bytes.

    Crawlers often store pages decoded, but leave the header as it was. So where a page is not
    encoded as its header says, it is taken as it is; where it ends too early, what was decoded.
    """
    pieces: list[bytes] = []
    size = 0
    while size <= limit:
        try:
            piece = http.reader.read(_PIECE_BYTES)
        except OSError:
            stored = None if pieces else _http(record, "none")
            return b"".join(pieces) if stored is None else _payload(record, stored, limit)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
