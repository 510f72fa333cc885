"""Finds texts that are the same or nearly the same, by MinHash over shingles.

Broder, "On the resemblance and containment of documents" (1997); banding as in Leskovec, Rajaraman
and Ullman, "Mining of Massive Datasets", chapter 3. Candidates are verified on the shingles.
"""

import itertools
import re
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

_WORD = re.compile(r"\w+")
_SHINGLE_WORDS = 3
_SHINGLE_CHARS = 5
_BANDS = 16
_ROWS = 4
# Two texts are nearly the same from this share of common shingles on. With 16 bands of 4 rows a
# pair at the threshold is a candidate with probability 0.99.
SIMILARITY = 0.7
_PRIME = np.uint64((1 << 31) - 1)

Shingles = npt.NDArray[np.uint32]


def shingles(text: str, spaces: bool = True) -> Shingles:
    """Returns the hashed shingles of a text, sorted: three words, or five characters each.

    Args:
        text: The text.
        spaces: Whether its language puts spaces between words.
    """
    words = _WORD.findall(text.lower())
    if not spaces:
        words = list("".join(words))
    size = _SHINGLE_WORDS if spaces else _SHINGLE_CHARS
    joiner = " " if spaces else ""
    if len(words) <= size:
        parts = [joiner.join(words)]
    else:
        parts = [joiner.join(words[i : i + size]) for i in range(len(words) - size + 1)]
    return np.array(sorted({zlib.crc32(part.encode()) for part in parts}), dtype=np.uint32)


def near_duplicates(texts: Sequence[Shingles]) -> Iterator[tuple[int, int]]:
    """Yields pairs of indices of texts that are nearly the same.

    Of a cluster, each member is paired with at least one other, not each with each.
    """
    if not texts:
        return
    signatures = _signatures(texts)
    seen: set[tuple[int, int]] = set()
    for band in range(_BANDS):
        rows = np.ascontiguousarray(signatures[:, band * _ROWS : (band + 1) * _ROWS])
        keys = rows.view(f"V{rows.dtype.itemsize * _ROWS}").ravel()
        order = np.argsort(keys, kind="stable")
        for bucket in _runs(keys[order], order):
            # Against the first and the one before: a chain, so that large buckets stay linear.
            for before, here in itertools.pairwise(bucket):
                for other in {int(bucket[0]), int(before)}:
                    pair = (min(other, int(here)), max(other, int(here)))
                    if (
                        pair not in seen
                        and similarity(texts[pair[0]], texts[pair[1]]) >= SIMILARITY
                    ):
                        seen.add(pair)
                        yield pair


def similarity(one: Shingles, other: Shingles) -> float:
    """Returns the share of common shingles (Jaccard)."""
    common = np.intersect1d(one, other, assume_unique=True).size
    return float(common / max(one.size + other.size - common, 1))


def _signatures(texts: Sequence[Shingles]) -> npt.NDArray[np.uint32]:
    random = np.random.default_rng(0x5EED)
    factors = random.integers(1, int(_PRIME), _BANDS * _ROWS, dtype=np.uint64)
    offsets = random.integers(0, int(_PRIME), _BANDS * _ROWS, dtype=np.uint64)
    lengths = np.array([text.size for text in texts])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    every = np.concatenate(texts).astype(np.uint64) % _PRIME
    signatures = np.empty((len(texts), _BANDS * _ROWS), dtype=np.uint32)
    for column, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
        hashed = (every * factor + offset) % _PRIME
        signatures[:, column] = np.minimum.reduceat(hashed, starts).astype(np.uint32)
    return signatures


def _runs(keys: npt.NDArray[np.void], order: npt.NDArray[np.intp]) -> Iterator[list[int]]:
    """Yields the members of `order` whose keys are equal, where there are several."""
    change = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    for run in np.split(order, change):
        if run.size > 1:
            yield sorted(int(index) for index in run)
