"""Gzip and zstd, member by member, delivering everything that a damaged file still holds.

The usual readers either end quietly where an archive is cut (`zstandard.stream_reader`, Beam) or
raise and lose what came before and after (`gzip`, `pyarrow.input_stream`). Here each member
(gzip) or frame (zstd) is followed to its end and its checksum. Where one cannot be decoded, all
that came before is delivered, the next member that can be decoded is searched, and the stretch
between is reported.

A file that is cut exactly between two members looks whole; only its promised size or digest
tells.
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal, NamedTuple

from raicurate.pipelines.compressed_members import (
    GZIP_MAGIC,
    READ_BYTES,
    SKIPPABLE,
    ZSTD_MAGIC,
    BrokenMemberError,
    Gzip,
    Piece,
    Source,
    Zstd,
)

Compression = Literal["gzip", "zstd"]

# Bytes that decode from what is no beginning of a member are few: their first back reference
# mostly points to before the start.
_ENOUGH_BYTES = 4096
# Bytes that may be decoded in vain in search of a next member, over a whole file: bounds the
# time that a file can cost which was made to hold many false beginnings.
_SEARCH_BUDGET = 1 << 30
_BOMB_FROM_BYTES = 64 << 20


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


def sniff(head: bytes) -> Compression | None:
    """Returns the compression that the first bytes of a file show, or None."""
    if head.startswith(GZIP_MAGIC):
        return "gzip"
    if head.startswith(ZSTD_MAGIC) or int.from_bytes(head[:4], "little") in SKIPPABLE:
        return "zstd"
    return None


def plain(stream: BinaryIO) -> Iterator[bytes]:
    """Yields the bytes of a file that is not compressed, in pieces."""
    while data := stream.read(READ_BYTES):
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
    decoder: Gzip | Zstd = Gzip() if compression == "gzip" else Zstd()
    source = Source(stream)
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
        except BrokenMemberError as broken:
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
        self, decoder: Gzip | Zstd, source: Source, is_start: Callable[[bytes], bool] | None
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

    def behind(self, start: int, broken: BrokenMemberError) -> Iterator[bytes | Damage]:
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

    def _before(self, held: list[Piece], position: int) -> Iterator[bytes]:
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
