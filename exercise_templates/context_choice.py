"""How a document gets its own among several variants: rendezvous hashing, by table.

Nothing is chosen at random: every choice is a rendezvous hash of the document id and the variant,
so all workers agree, and a new variant moves only the documents that it wins.
"""

import functools
import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

# A hash of 64 bytes gives 32 draws of 16 bits. The first three are for style, frame and withheld
# passages, then come the facts, then the slots of the frame.
STYLE, FRAME, WITHHELD, FIRST_FACT, FIRST_SLOT = 0, 1, 2, 3, 6
_UNPACK = struct.Struct("<32H").unpack
_BUCKET_BITS = 12
_BUCKETS = 1 << _BUCKET_BITS
SHIFT = 16 - _BUCKET_BITS
"""A draw, shifted so far to the right, is a bucket of a table."""

# The multipliers of the 64-bit finalizer of MurmurHash3 (A. Appleby, public domain).
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_BUCKET_HASHES = np.arange(1, _BUCKETS + 1, dtype=np.uint64) * _MIX_1


class Piece(NamedTuple):
    """A wording that can be chosen, and its reference with version."""

    text: str
    ref: str


class Choices(NamedTuple):
    """Wordings to choose among, and for each bucket the index of the one that wins it."""

    table: bytes
    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, pieces: Iterable[Piece], hashes: Sequence[int]) -> "Choices":
        """Returns the choice among wordings with these hashes."""
        return cls(table_of(tuple(hashes)) if hashes else b"", tuple(pieces))


def draws_of(document_id: str, attempt: int) -> tuple[int, ...]:
    """Returns independent draws of 16 bits for a document, all from one hash."""
    name = f"{document_id}\0{attempt}" if attempt else document_id
    return _UNPACK(hashlib.blake2b(name.encode()).digest())


def _weights(hashes: tuple[int, ...]) -> np.ndarray:
    """Returns the weight of each variant in each bucket, as uint64 (buckets, variants)."""
    mixed = (_BUCKET_HASHES[:, None] ^ np.array(hashes, dtype=np.uint64)[None, :]) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(33))) * _MIX_2
    return np.asarray(mixed ^ (mixed >> np.uint64(33)))


@functools.lru_cache(maxsize=100_000)
def table_of(hashes: tuple[int, ...]) -> bytes:
    """Returns for each bucket the index of the variant that weighs most in it.

    Choosing by rendezvous for buckets, and not for documents, keeps its virtue (a new variant takes
    only the buckets that it wins) and leaves one look-up for a document.
    """
    return np.argmax(_weights(hashes), axis=1).astype(np.uint8).tobytes()


def tables_by_rank(hashes: tuple[int, ...]) -> tuple[bytes, ...]:
    """Returns such tables for the variant that weighs most, second most, and so on."""
    ranks = np.argsort(_weights(hashes), axis=1, kind="stable")[:, ::-1].astype(np.uint8)
    return tuple(ranks[:, rank].tobytes() for rank in range(len(hashes)))
