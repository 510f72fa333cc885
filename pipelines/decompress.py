"""Gzip and zstd, member by member, delivering everything that a damaged file still holds.

The usual readers either end quietly where an archive is cut (`zstandard.stream_reader`, Beam) or
raise and lose what came before and after (`gzip`, `pyarrow.input_stream`). Here each member
(gzip) or frame (zstd) is followed to its end and its checksum. Where one cannot be decoded, all
that came before is delivered, the next member that can be decoded is searched, and the stretch
between is reported.

A decoder does not notice damage at once: where a member is cut and the next one follows, it goes
on through the foreign bytes for some kilobytes. So the last pieces of output are held back until
the decoder has passed on, and are cut at the next member if one turns out to begin inside them.
A file that is cut exactly between two members looks whole; only its promised size or digest
tells.
"""

import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Literal, NamedTuple

import zstandard

Compression = Literal["gzip", "zstd"]

GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_READ_BYTES = 1 << 20
_FIRST_FEED_BYTES = 4 << 10
_FEED_BYTES = 256 << 10
_PIECE_BYTES = 1 << 20
_HELD_PIECES = 4
_TRIAL_BYTES = 256 << 10
# Bytes that decode from what is no beginning of a member are few: their first back reference
# mostly points to before the start.
_ENOUGH_BYTES = 4096
# Bytes that may be decoded in vain in search of a next member, over a whole file: bounds the
# time that a file can cost which was made to hold many false beginnings.
_SEARCH_BUDGET = 1 << 30
_BOMB_FROM_BYTES = 64 << 20
# The frame header allows windows up to this; archives made with `zstd --long=31` need it.
_MAX_WINDOW_BYTES = 1 << 31
_MAX_BLOCK_BYTES = 128 << 10
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)


class Damage(NamedTuple):
    """A stretch of a compressed file that gave nothing, or gave something unsure.

    Attributes:
        error_type: `lost_tail`, `checksum_mismatch`, `decompression_bomb` or `unreadable_file`.
        message: What is wrong, where, in bytes as stored.
        bytes: Stored bytes that could not be decoded; 0 where the file simply ends too early.
    """

    error_type: str
    message: str
    bytes: int


class _Source:
    """A seekable stream with a look ahead."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._buffer = b""
        self._offset = 0
        self.position = stream.tell()
        self._end: int | None = None

    def peek(self, size: int) -> bytes:
        """Returns the next `size` bytes, fewer only at the end of the file, and stays."""
        there = len(self._buffer) - self._offset
        if there < size:
            pieces = [self._buffer[self._offset :]]
            while there < size and (more := self._stream.read(max(_READ_BYTES, size))):
                pieces.append(more)
                there += len(more)
            self._buffer = b"".join(pieces)
            self._offset = 0
        return self._buffer[self._offset : self._offset + size]

    def skip(self, size: int) -> None:
        """Moves on by bytes that were peeked at."""
        self._offset += size
        self.position += size

    def seek(self, position: int) -> None:
        """Moves to any place in the file."""
        start = self.position - self._offset
        if start <= position <= start + len(self._buffer):
            self._offset = position - start
        else:
            self._stream.seek(position)
            self._buffer, self._offset = b"", 0
        self.position = position

    def find(self, magic: bytes, start: int) -> int:
        """Returns where `magic` next stands at or after `start`, or -1."""
        self.seek(start)
        while True:
            window = self.peek(_FEED_BYTES)
            found = window.find(magic)
            if found >= 0:
                return self.position + found
            if len(window) < _FEED_BYTES:
                return -1
            self.skip(_FEED_BYTES - len(magic) + 1)

    def end(self) -> int:
        """Returns the size of the file."""
        if self._end is None:
            self._end = self._stream.seek(0, 2)
            self._buffer, self._offset = b"", 0
            self._stream.seek(self.position)
        return self._end


class _BrokenError(Exception):
    """A member cannot be decoded further.

    Attributes:
        kind: `cut` (the file ends), `data`, or `checksum` (all is decoded, but differs).
        position: First stored byte that gave nothing; for `checksum`, the end of the member.
        held: Pieces that were decoded and not yet delivered.
        reason: What the decoder said.
    """

    def __init__(self, kind: str, position: int, held: "list[_Piece]", reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.position = position
        self.held = held
        self.reason = reason


class _Piece(NamedTuple):
    """Decoded `output` of stored `data` at `start`; `decoder` is the state before it."""

    start: int
    data: bytes
    output: bytes
    decoder: Any


class _Gzip:
    """Decodes one gzip member at a time."""

    magic = GZIP_MAGIC

    def member(self, source: _Source) -> Iterator[bytes]:
        """Yields what the member at the position of `source` holds, and moves behind it.

        Raises:
            _BrokenError: It cannot be decoded to its end.
        """
        decoder = zlib.decompressobj(wbits=31)
        held: deque[_Piece] = deque()
        feed = _FIRST_FEED_BYTES
        while not decoder.eof:
            start = source.position
            data = source.peek(feed)
            if not data:
                raise _BrokenError("cut", start, list(held), "the file ends inside of it")
            before = decoder.copy() if held else None
            try:
                output = decoder.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise self._broken(start, data, before, held, str(error)) from error
            used = _used(decoder, data)
            source.skip(used)
            held.append(_Piece(start, data[:used], output, before))
            feed = min(4 * feed, _FEED_BYTES)
            if len(held) > _HELD_PIECES:
                yield held.popleft().output
        yield from (piece.output for piece in held)

    def _broken(
        self, start: int, data: bytes, before: Any, held: deque[_Piece], reason: str
    ) -> _BrokenError:
        # zlib raises instead of returning what it decoded before the error, so the stretch is
        # decoded again, up to the byte that it stumbles over.
        output, used = _decode_until_error(_fresh(before), data)
        pieces = [*held, _Piece(start, data[:used], output, before)]
        position = start + used
        if "incorrect data check" in reason:
            return _BrokenError("checksum", position + 1 + 4, pieces, "its CRC-32 differs")
        if "incorrect length check" in reason:
            return _BrokenError("checksum", position + 1, pieces, "its length differs")
        return _BrokenError("data", position, pieces, reason.rpartition(": ")[2])

    def cut(self, piece: _Piece, size: int) -> bytes:
        """Returns what the first `size` stored bytes of a piece decode to."""
        return _decode_until_error(_fresh(piece.decoder), piece.data[:size])[0]

    def trial(self, source: _Source) -> tuple[bytes, str]:
        """Decodes up to `_TRIAL_BYTES`; returns them and `end`, `cut`, `long` or `bad`."""
        decoder = zlib.decompressobj(wbits=31)
        output = b""
        feed = 64
        while not decoder.eof and len(output) < _TRIAL_BYTES:
            data = source.peek(feed)
            if not data:
                return output, "cut"
            try:
                output += decoder.decompress(data, _TRIAL_BYTES)
            except zlib.error:
                return output, "bad"
            source.skip(_used(decoder, data))
            feed = min(4 * feed, _FEED_BYTES)
        return output, "end" if decoder.eof else "long"

    def skippable(self, source: _Source) -> int:
        """Returns the number of zero bytes at the position, which pad archives behind a member."""
        head = source.peek(_FIRST_FEED_BYTES) if source.position else b""
        return len(head) - len(head.lstrip(b"\0"))


def _used(decoder: Any, data: bytes) -> int:
    """Returns how many bytes of `data` the last call took."""
    # At the end of a member, what is left may stand in both.
    left = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    return len(data) - len(left)


def _fresh(decoder: Any) -> Any:
    return zlib.decompressobj(wbits=31) if decoder is None else decoder.copy()


def _decode_until_error(decoder: Any, data: bytes) -> tuple[bytes, int]:
    """Returns what `data` decodes to before an error, and how many bytes were good."""
    output: list[bytes] = []
    good = 0
    for step in (4096, 64, 1):
        while good < len(data):
            before = decoder.copy()
            try:
                output.append(decoder.decompress(data[good : good + step]))
            except zlib.error:
                decoder = before
                break
            good = min(good + step, len(data))
    return b"".join(output), good


class _Zstd:
    """Decodes one zstd frame at a time, block by block, since the format tells their sizes.

    Frame layout: RFC 8878, section 3.1.1.
    """

    magic = ZSTD_MAGIC

    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)

    def member(self, source: _Source) -> Iterator[bytes]:
        """Yields what the frame at the position of `source` holds, and moves behind it.

        Raises:
            _BrokenError: It cannot be decoded to its end.
        """
        held: deque[_Piece] = deque()
        for piece in self._pieces(source, held):
            held.append(piece)
            if len(held) > _HELD_PIECES:
                yield held.popleft().output
        yield from (piece.output for piece in held)

    def _pieces(self, source: _Source, held: deque[_Piece]) -> Iterator[_Piece]:
        decoder = self._context.decompressobj()
        header = source.peek(_header_bytes(source.peek(5)))
        self._decode(decoder, header, source.position, held)
        checked = len(header) > 4 and bool(header[4] & 4)
        source.skip(len(header))
        last = False
        while not last:
            start = source.position
            head = source.peek(3)
            if len(head) < 3:
                raise _BrokenError("cut", start, list(held), "the file ends inside of it")
            value = int.from_bytes(head, "little")
            last, kind, size = bool(value & 1), value >> 1 & 3, value >> 3
            if kind == 3 or size > _MAX_BLOCK_BYTES:
                raise _BrokenError("data", start, list(held), "a block header is not valid")
            size = 3 + (1 if kind == 1 else size)
            data = source.peek(size)
            if len(data) < size:
                raise _BrokenError("cut", start, list(held), "the file ends inside of it")
            output = self._decode(decoder, data, start, held)
            source.skip(size)
            yield _Piece(start, data, output, None)
        if checked:
            start = source.position
            data = source.peek(4)
            if len(data) < 4:
                raise _BrokenError("cut", start, list(held), "the file ends before its checksum")
            try:
                decoder.decompress(data)
            except zstandard.ZstdError as error:
                raise _BrokenError(
                    "checksum", start + 4, list(held), "its checksum differs"
                ) from error
            source.skip(4)

    @staticmethod
    def _decode(decoder: Any, data: bytes, start: int, held: deque[_Piece]) -> bytes:
        try:
            output: bytes = decoder.decompress(data)
        except zstandard.ZstdError as error:
            reason = str(error).rpartition(": ")[2].lower()
            if "dictionary" in reason:
                reason = "it needs a dictionary, and frames with one are not read"
            raise _BrokenError("data", start, list(held), reason) from error
        return output

    def cut(self, piece: _Piece, size: int) -> bytes:
        """Returns what the first `size` stored bytes of a block decode to: raw ones themselves."""
        raw = not piece.data[0] >> 1 & 3
        return piece.output[: max(size - 3, 0)] if raw else b""

    def trial(self, source: _Source) -> tuple[bytes, str]:
        """Decodes up to `_TRIAL_BYTES`; returns them and `end`, `cut`, `long` or `bad`."""
        output = b""
        try:
            for piece in self._pieces(source, deque()):
                output += piece.output
                if len(output) >= _TRIAL_BYTES:
                    return output, "long"
        except _BrokenError as broken:
            return output, "cut" if broken.kind == "cut" else "bad"
        return output, "end"

    def skippable(self, source: _Source) -> int:
        """Returns the size of the skippable frame at the position, or 0."""
        head = source.peek(8)
        if len(head) == 8 and int.from_bytes(head[:4], "little") in _SKIPPABLE:
            return 8 + int.from_bytes(head[4:], "little")
        return 0


def _header_bytes(head: bytes) -> int:
    """Returns the size of a frame header, of which `head` are the first five bytes."""
    if len(head) < 5:
        return 5
    descriptor = head[4]
    single = descriptor >> 5 & 1
    content = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    return 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + content


def sniff(head: bytes) -> Compression | None:
    """Returns the compression that the first bytes of a file show, or None."""
    if head.startswith(GZIP_MAGIC):
        return "gzip"
    if head.startswith(ZSTD_MAGIC) or int.from_bytes(head[:4], "little") in _SKIPPABLE:
        return "zstd"
    return None


def plain(stream: BinaryIO) -> Iterator[bytes]:
    """Yields the bytes of a file that is not compressed, in pieces."""
    while data := stream.read(_READ_BYTES):
        yield data


def decoded(
    stream: BinaryIO,
    named: Compression | None,
    max_expansion: int = 1000,
    is_start: Callable[[bytes], bool] | None = None,
    is_plain: Callable[[bytes], bool] | None = None,
) -> Iterator[bytes | Damage]:
    """Yields what a file holds in pieces, decompressing it if its first bytes say so.

    Object stores may decompress what they serve, and files may be misnamed, so the bytes decide.
    Where they show no archive, but the name does, either the head is damaged, or the file is
    plain after all, which `is_plain` tells by the first bytes.

    Args:
        stream: The file as stored; seekable, at its start.
        named: The compression that its name shows.
        max_expansion: See `decompress`.
        is_start: See `decompress`.
        is_plain: Whether the first bytes of a file can be content that is not compressed.
    """
    head = stream.read(64)
    stream.seek(0)
    compression = sniff(head)
    if compression is None and not (is_plain is not None and is_plain(head)):
        compression = named
    if compression is None or not head:
        return plain(stream)
    return decompress(stream, compression, max_expansion, is_start)


def decompress(
    stream: BinaryIO,
    compression: Compression,
    max_expansion: int = 1000,
    is_start: Callable[[bytes], bool] | None = None,
) -> Iterator[bytes | Damage]:
    """Yields the decoded bytes of a file in pieces, and between them what is damaged.

    After a `Damage` the bytes go on at the next member that can be decoded. Only after a
    `checksum_mismatch` do they follow on what came before.

    Args:
        stream: The file as stored; seekable.
        compression: How it is stored.
        max_expansion: Ratio of decoded to stored bytes that ends the reading, from 64 MiB on.
        is_start: Whether decoded bytes can be the first of a member; asked only of a member that
            was found by searching behind a damage.
    """
    decoder: _Gzip | _Zstd = _Gzip() if compression == "gzip" else _Zstd()
    source = _Source(stream)
    search = _Search(decoder, source, is_start)
    produced = 0
    while source.peek(1):
        start = source.position
        if size := decoder.skippable(source):
            if start + size <= source.end():
                source.seek(start + size)
            else:
                yield from search.gap(start)
            continue
        if not source.peek(len(decoder.magic)).startswith(decoder.magic):
            yield from search.gap(start)
            continue
        try:
            for piece in decoder.member(source):
                produced += len(piece)
                yield piece
                if produced > _BOMB_FROM_BYTES and produced > max_expansion * source.position:
                    yield Damage(
                        "decompression_bomb",
                        f"{source.position} stored bytes became {produced}, more than "
                        f"{max_expansion} times as many, so the rest was not read; raise "
                        "`output.max_expansion` if the file is sound",
                        source.end() - source.position,
                    )
                    return
        except _BrokenError as broken:
            for event in search.behind(start, broken):
                if isinstance(event, bytes):
                    produced += len(event)
                yield event


def _cut_message(position: int) -> str:
    return (
        f"the file ends at byte {position}, inside a member; what followed was never in it: fetch "
        "it again"
    )


class _Search:
    """Finds where reading can go on behind a damage, and leaves the source there."""

    def __init__(
        self, decoder: _Gzip | _Zstd, source: _Source, is_start: Callable[[bytes], bool] | None
    ) -> None:
        self._decoder = decoder
        self._source = source
        self._is_start = is_start
        self._budget = _SEARCH_BUDGET

    def gap(self, start: int) -> Iterator[Damage]:
        """Reports bytes at `start`, where a member should begin and does not."""
        found = self._next(start + 1, start)
        end = self._source.end()
        if found is None and start == 0:
            yield Damage("unreadable_file", "no member of an archive was found in it", end)
        else:
            stop = end if found is None else found
            yield Damage(
                "lost_tail",
                f"bytes {start} to {stop} are no member of the archive: fetch the file again",
                stop - start,
            )
        self._source.seek(end if found is None else found)

    def behind(self, start: int, broken: _BrokenError) -> Iterator[bytes | Damage]:
        """Yields what is sure of the member at `start`, then reports how it broke."""
        lowest = broken.held[0].start if broken.held else start
        stop = broken.position if broken.kind == "checksum" else None
        found = self._next(max(start + 1, lowest), broken.position, stop)
        end = self._source.end()
        if found is not None and found <= broken.position:
            yield from self._before(broken.held, found)
            yield Damage(
                "lost_tail",
                f"the member at byte {start} ends too early, at byte {found}, where the next one "
                "begins; the rest of it is not in the file: fetch it again",
                0,
            )
            self._source.seek(found)
            return
        yield from (piece.output for piece in broken.held)
        if broken.kind == "checksum":
            yield Damage(
                "checksum_mismatch",
                f"the member at byte {start} was read, but {broken.reason}, so some of it is "
                "wrong: fetch the file again",
                0,
            )
            self._source.seek(min(broken.position, end))
            return
        stop = end if found is None else found
        if broken.kind == "cut":
            message = _cut_message(end)
        else:
            message = (
                f"the member at byte {start} cannot be decoded from byte {broken.position} on "
                f"({broken.reason}); "
                + ("nothing behind it can" if found is None else f"reading goes on at byte {stop}")
                + ": fetch the file again"
            )
        yield Damage("lost_tail", message, stop - broken.position)
        self._source.seek(stop)

    def _before(self, held: list[_Piece], position: int) -> Iterator[bytes]:
        for piece in held:
            if piece.start + len(piece.data) <= position:
                yield piece.output
            elif piece.start < position:
                yield self._decoder.cut(piece, position - piece.start)

    def _next(self, start: int, decoded_to: int, stop: int | None = None) -> int | None:
        """Returns where the next member begins at or after `start` and before `stop`, or None."""
        while self._budget > 0:
            found = self._source.find(self._decoder.magic, start)
            if found < 0 or (stop is not None and found >= stop):
                return None
            if self._plausible(found, decoded_to):
                return found
            start = found + 1
        return None

    def _plausible(self, position: int, decoded_to: int) -> bool:
        self._source.seek(position)
        output, end = self._decoder.trial(self._source)
        good = end != "bad" or len(output) >= _ENOUGH_BYTES
        good = good and (self._is_start is None or self._is_start(output))
        if good and position < decoded_to:
            # Inside what was decoded already, an archive within the archive looks like a member
            # as well, but is not followed by another one.
            after = self._source.peek(len(self._decoder.magic))
            good = end != "end" or not after or after == self._decoder.magic
        if not good:
            self._budget -= max(len(output), 4096)
        return good
