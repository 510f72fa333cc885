"""One member of a gzip file, or one frame of a zstd file, followed to its end and its checksum.

A decoder does not notice damage at once: where a member is cut and the next one follows, it goes
on through the foreign bytes for some kilobytes. So the last pieces of output are held back until
the decoder has passed on, and can be cut at the next member if one turns out to begin inside them.
"""

import zlib
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import zstandard

GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = range(0x184D2A50, 0x184D2A60)
"""The first four bytes, little endian, of a zstd frame that holds no content."""

READ_BYTES = 1 << 20

_FIRST_FEED_BYTES = 4 << 10
_FEED_BYTES = 256 << 10
_PIECE_BYTES = 1 << 20
_HELD_PIECES = 4
_TRIAL_BYTES = 256 << 10
# The frame header allows windows up to this; archives made with `zstd --long=31` need it.
_MAX_WINDOW_BYTES = 1 << 31
_MAX_BLOCK_BYTES = 128 << 10


class Source:
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
            while there < size and (more := self._stream.read(max(READ_BYTES, size))):
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


class BrokenMemberError(Exception):
    """A member cannot be decoded further.

    Attributes:
        kind: `cut` (the file ends), `data`, or `checksum` (all is decoded, but differs).
        position: First stored byte that gave nothing; for `checksum`, the end of the member.
        held: Pieces that were decoded and not yet delivered.
        reason: What the decoder said.
    """

    def __init__(self, kind: str, position: int, held: "list[Piece]", reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.position = position
        self.held = held
        self.reason = reason


class Piece(NamedTuple):
    """Decoded `output` of stored `data` at `start`; `decoder` is the state before it."""

    start: int
    data: bytes
    output: bytes
    decoder: Any


class Gzip:
    """Decodes one gzip member at a time."""

    magic = GZIP_MAGIC

    def member(self, source: Source) -> Iterator[bytes]:
        """Yields what the member at the position of `source` holds, and moves behind it.

        Raises:
            BrokenMemberError: It cannot be decoded to its end.
        """
        decoder = zlib.decompressobj(wbits=31)
        held: deque[Piece] = deque()
        feed = _FIRST_FEED_BYTES
        while not decoder.eof:
            start = source.position
            data = source.peek(feed)
            if not data:
                raise BrokenMemberError("cut", start, list(held), "the file ends inside of it")
            before = decoder.copy() if held else None
            try:
                output = decoder.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise self._broken(start, data, before, held, str(error)) from error
            used = _used(decoder, data)
            source.skip(used)
            held.append(Piece(start, data[:used], output, before))
            feed = min(4 * feed, _FEED_BYTES)
            if len(held) > _HELD_PIECES:
                yield held.popleft().output
        yield from (piece.output for piece in held)

    def _broken(
        self, start: int, data: bytes, before: Any, held: deque[Piece], reason: str
    ) -> BrokenMemberError:
        # zlib raises instead of returning what it decoded before the error, so the stretch is
        # decoded again, up to the byte that it stumbles over.
        output, used = _decode_until_error(_fresh(before), data)
        pieces = [*held, Piece(start, data[:used], output, before)]
        position = start + used
        if "incorrect data check" in reason:
            return BrokenMemberError("checksum", position + 1 + 4, pieces, "its CRC-32 differs")
        if "incorrect length check" in reason:
            return BrokenMemberError("checksum", position + 1, pieces, "its length differs")
        return BrokenMemberError("data", position, pieces, reason.rpartition(": ")[2])

    def cut(self, piece: Piece, size: int) -> bytes:
        """Returns what the first `size` stored bytes of a piece decode to."""
        return _decode_until_error(_fresh(piece.decoder), piece.data[:size])[0]

    def trial(self, source: Source) -> tuple[bytes, str]:
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

    def skippable(self, source: Source) -> int:
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


class Zstd:
    """Decodes one zstd frame at a time, block by block, since the format tells their sizes.

    Frame layout: RFC 8878, section 3.1.1.
    """

    magic = ZSTD_MAGIC

    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)

    def member(self, source: Source) -> Iterator[bytes]:
        """Yields what the frame at the position of `source` holds, and moves behind it.

        Raises:
            BrokenMemberError: It cannot be decoded to its end.
        """
        held: deque[Piece] = deque()
        for piece in self._pieces(source, held):
            held.append(piece)
            if len(held) > _HELD_PIECES:
                yield held.popleft().output
        yield from (piece.output for piece in held)

    def _pieces(self, source: Source, held: deque[Piece]) -> Iterator[Piece]:
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
                raise BrokenMemberError("cut", start, list(held), "the file ends inside of it")
            value = int.from_bytes(head, "little")
            last, kind, size = bool(value & 1), value >> 1 & 3, value >> 3
            if kind == 3 or size > _MAX_BLOCK_BYTES:
                raise BrokenMemberError("data", start, list(held), "a block header is not valid")
            size = 3 + (1 if kind == 1 else size)
            data = source.peek(size)
            if len(data) < size:
                raise BrokenMemberError("cut", start, list(held), "the file ends inside of it")
            output = self._decode(decoder, data, start, held)
            source.skip(size)
            yield Piece(start, data, output, None)
        if checked:
            start = source.position
            data = source.peek(4)
            if len(data) < 4:
                raise BrokenMemberError(
                    "cut", start, list(held), "the file ends before its checksum"
                )
            try:
                decoder.decompress(data)
            except zstandard.ZstdError as error:
                raise BrokenMemberError(
                    "checksum", start + 4, list(held), "its checksum differs"
                ) from error
            source.skip(4)

    @staticmethod
    def _decode(decoder: Any, data: bytes, start: int, held: deque[Piece]) -> bytes:
        try:
            output: bytes = decoder.decompress(data)
        except zstandard.ZstdError as error:
            reason = str(error).rpartition(": ")[2].lower()
            if "dictionary" in reason:
                reason = "it needs a dictionary, and frames with one are not read"
            raise BrokenMemberError("data", start, list(held), reason) from error
        return output

    def cut(self, piece: Piece, size: int) -> bytes:
        """Returns what the first `size` stored bytes of a block decode to: raw ones themselves."""
        raw = not piece.data[0] >> 1 & 3
        return piece.output[: max(size - 3, 0)] if raw else b""

    def trial(self, source: Source) -> tuple[bytes, str]:
        """Decodes up to `_TRIAL_BYTES`; returns them and `end`, `cut`, `long` or `bad`."""
        output = b""
        try:
            for piece in self._pieces(source, deque()):
                output += piece.output
                if len(output) >= _TRIAL_BYTES:
                    return output, "long"
        except BrokenMemberError as broken:
            return output, "cut" if broken.kind == "cut" else "bad"
        return output, "end"

    def skippable(self, source: Source) -> int:
        """Returns the size of the skippable frame at the position, or 0."""
        head = source.peek(8)
        if len(head) == 8 and int.from_bytes(head[:4], "little") in SKIPPABLE:
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
