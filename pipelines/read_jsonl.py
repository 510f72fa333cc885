"""Reads JSON Lines: plain (also in ranges of bytes), gzip and zstd.

Lines are split on bytes and decoded one by one, so a bad line costs itself alone.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any, BinaryIO, NamedTuple

import orjson

from raicurate.pipelines.decompress import Damage, decoded, plain, sniff
from raicurate.pipelines.reading import (
    FileRange,
    Opener,
    ReadBatch,
    ReadOptions,
    compression_suffix,
    register,
)
from raicurate.pipelines.records import BatchBuilder, oversized

_BOM = b"\xef\xbb\xbf"
_JSON_NAMES = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


class _Oversized(NamedTuple):
    """A line that was skipped because it is too long."""

    bytes: int


class _Unfinished(NamedTuple):
    """The bytes of a line before, or behind, a damage."""

    line: bytes


@register("jsonl", (".jsonl", ".ndjson", ".json"), splittable=True)
def read_jsonl(part: FileRange, opener: Opener, options: ReadOptions) -> Iterator[ReadBatch]:
    """Reads a JSON Lines file, or the lines that begin in a range of its bytes.

    `src_row` counts lines from 0, blank ones as well. In a range that does not start the file
    they are counted from its first line, and `src_file` is `name#<start>`.
    """
    start = part.start or 0
    builder = BatchBuilder(part, options, f"{part.name}#{start}" if start else None)
    with closing(opener(part.path)) as stream:
        head = stream.read(64)
        stream.seek(0)
        if part.whole:
            named = compression_suffix(part.path)
            if not head:
                builder.empty_file(compressed=named is not None)
            events = decoded(stream, named, options.max_expansion, is_plain=_is_plain)
        elif sniff(head) is None:
            events = _range(stream, start, part.end)
        else:
            events = iter(())
            if not start:
                builder.error(
                    None,
                    "unreadable_file",
                    "the file is compressed, but its name does not say so, and it cannot be read "
                    "in ranges; end its name with .gz or .zst",
                    damage=True,
                )
        yield from _documents(events, builder, options, at_start=not start)
    yield from builder.close()


def _is_plain(head: bytes) -> bool:
    return head.removeprefix(_BOM).lstrip()[:1] == b"{"


def _documents(
    events: Iterator[bytes | Damage], builder: BatchBuilder, options: ReadOptions, at_start: bool
) -> Iterator[ReadBatch]:
    loads, add = orjson.loads, builder.add_record
    row = 0
    for item in _lines(events, options.record_limit):
        if isinstance(item, list):
            if row == 0 and at_start and item:
                item[0] = item[0].removeprefix(_BOM)
            for line in item:
                try:
                    record = loads(line)
                except orjson.JSONDecodeError:
                    _add_line(builder, row, line)
                else:
                    if type(record) is dict:
                        add(row, record, len(line))
                    else:
                        _add_line(builder, row, line)
                row += 1
                if builder.ready:
                    yield from builder.drain()
            continue
        if isinstance(item, Damage):
            lines_lost = item.error_type != "checksum_mismatch"
            builder.damage(row if lines_lost else None, item)
            if not lines_lost:
                continue
        elif isinstance(item, _Oversized):
            builder.error(
                row, "oversized_document", oversized(options.max_document_bytes), item.bytes
            )
        elif isinstance(record := _parse(item.line), dict):
            # The beginning or the end of an object is never an object itself: this one is whole.
            add(row, record, len(item.line))
        else:
            continue
        row += 1
        yield from builder.drain()


def _add_line(builder: BatchBuilder, row: int, line: bytes) -> None:
    """Adds a line that is blank (which is nothing), unusual or wrong."""
    if not line.strip():
        return
    record = _parse(line)
    if isinstance(record, dict):
        builder.add_record(row, record, len(line))
        return
    error_type, message = record
    if row == 0 and (line.lstrip()[:1] == b"[" or line.strip() == b"{"):
        message += "; a file that is one JSON document is not read: write one object a line"
    builder.error(row, error_type, message, len(line))


def _parse(line: bytes) -> dict[str, Any] | tuple[str, str]:
    """Returns the object that a line holds, or error type and message."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            text = line.decode()
        except UnicodeDecodeError as undecodable:
            return "invalid_utf8", f"the line is not UTF-8 from its byte {undecodable.start} on"
        try:
            # Python writes NaN and Infinity, which JSON does not have; they become null. What
            # orjson cannot write again, such as half a surrogate pair, is not rescued.
            record = orjson.loads(orjson.dumps(json.loads(text, parse_constant=_null)))
        except (ValueError, TypeError, RecursionError):
            return "invalid_json", f"the line is not JSON from its character {error.pos} on"
    if not isinstance(record, dict):
        return "not_an_object", f"the line holds {_JSON_NAMES[type(record)]}, not an object"
    return record


def _null(_: str) -> None:
    return None


def _range(stream: BinaryIO, start: int, end: int | None) -> Iterator[bytes]:
    """Yields the bytes of the lines whose first byte lies in a range."""
    if start:
        start = _behind_newline(stream, start - 1)
    if end is not None and start >= end:
        return
    position = start
    stream.seek(start)
    for piece in plain(stream):
        if end is not None and position + len(piece) >= end:
            newline = piece.find(b"\n", max(end - 1 - position, 0))
            if newline >= 0:
                yield piece[: newline + 1]
                return
        yield piece
        position += len(piece)


def _behind_newline(stream: BinaryIO, position: int) -> int:
    """Returns the place behind the first newline at or after `position`, or the end of file."""
    stream.seek(position)
    for piece in plain(stream):
        newline = piece.find(b"\n")
        if newline >= 0:
            return position + newline + 1
        position += len(piece)
    return position


def _lines(
    events: Iterator[bytes | Damage], limit: int
) -> Iterator[list[bytes] | _Oversized | _Unfinished | Damage]:
    """Splits pieces into lines; holds no line beyond `limit` bytes.

    A line that a damage interrupts comes as `_Unfinished`, and so does the first one behind it,
    which may be the end of a lost line. A checksum mismatch interrupts nothing.
    """
    begun: list[bytes] = []
    size = 0
    torn = False
    for event in events:
        if isinstance(event, Damage):
            if event.error_type != "checksum_mismatch":
                if size > limit:
                    yield _Oversized(size)
                elif size:
                    yield _Unfinished(b"".join(begun))
                begun, size, torn = [], 0, True
            yield event
            continue
        lines = event.split(b"\n")
        if len(lines) > 1:
            if size + len(lines[0]) > limit:
                yield _Oversized(size + len(lines[0]))
                del lines[0]
            else:
                if begun:
                    begun.append(lines[0])
                    lines[0] = b"".join(begun)
                if torn:
                    yield _Unfinished(lines[0])
                    del lines[0]
            torn = False
            begun, size = [], 0
            rest = lines.pop()
            yield from _within(lines, limit)
        else:
            rest = lines[0]
        size += len(rest)
        if size <= limit:
            if rest:
                begun.append(rest)
        else:
            begun = []
    if size > limit:
        yield _Oversized(size)
    elif size and torn:
        yield _Unfinished(b"".join(begun))
    elif size:
        yield [b"".join(begun)]


def _within(lines: list[bytes], limit: int) -> Iterator[list[bytes] | _Oversized]:
    if not lines or max(map(len, lines)) <= limit:
        yield lines
        return
    for line in lines:
        yield [line] if len(line) <= limit else _Oversized(len(line))
