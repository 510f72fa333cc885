"""N-grams of texts as sparse rows, by arithmetic over one array of code points.

The features are those of a TF-IDF vectoriser: runs of one or two words, and runs of three to five
characters within words, hashed into a fixed number of buckets. A Han or kana character, like a mark
of punctuation, is a word of its own, so Chinese and Japanese need no other code than English.
"""

import functools
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

WORD_RUNS = 2
"""Longest run of words."""

CHARACTER_RUNS = (3, 4, 5)

_SPACE, _LETTER, _SINGLE = 0, 1, 2
_SINGLE_SCRIPTS = ((0x2E80, 0x31FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF))
_PLANE = 0x10000
"""Beyond the basic plane stand emoji and rare ideographs: each is a word of its own."""

# Odd constants of splitmix64 (Steele, Lea and Flood 2014), by which hashes are mixed.
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_STEP = 0x9E3779B97F4A7C15
_INVERSE_STEP = pow(_STEP, -1, 1 << 64)


class Sparse(NamedTuple):
    """Compressed sparse rows.

    Attributes:
        starts: Where each row starts in the other arrays, with the total at the end.
        buckets: Bucket of each entry, ascending within a row.
        values: Number of occurrences, or after `weighted` the weight.
    """

    starts: np.ndarray
    buckets: np.ndarray
    values: np.ndarray

    def take(self, chosen: np.ndarray) -> "Sparse":
        """Returns the rows at the positions `chosen`, in that order."""
        lengths = np.diff(self.starts)[chosen]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        entries = np.repeat(self.starts[:-1][chosen] - starts[:-1], lengths) + np.arange(starts[-1])
        return Sparse(starts, self.buckets[entries], self.values[entries])


def concatenated(parts: Sequence[Sparse]) -> Sparse:
    """Returns the rows of all parts, one after the other."""
    ends = np.cumsum([0] + [int(part.starts[-1]) for part in parts])
    starts = [part.starts[:-1] + end for part, end in zip(parts, ends, strict=False)]
    return Sparse(
        np.concatenate([*starts, ends[-1:]]),
        np.concatenate([part.buckets for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def code_points(text: str) -> np.ndarray:
    """Returns the code points of a text as uint32; those that are not valid become `?`."""
    return np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32)


def words_of(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the words start, and their hashes.

    A hash does not depend on where the word stands: it is a polynomial in an odd number modulo
    2**64, which has an inverse, so that of any stretch follows from two prefix sums.
    """
    kinds = kinds_of(points)
    is_letter, is_single = kinds == _LETTER, kinds == _SINGLE
    edge = np.diff(is_letter.astype(np.int8), prepend=np.int8(0), append=np.int8(0))
    first = np.flatnonzero((edge[:-1] == 1) | is_single)
    last = np.flatnonzero((edge[1:] == -1) | is_single) + 1
    powers, inverses = _powers(1 << max(16, (len(points)).bit_length()))
    prefix = np.zeros(len(points) + 1, np.uint64)
    np.add.accumulate(_mixed(points) * powers[: len(points)], out=prefix[1:])
    return first, _mix((prefix[last] - prefix[first]) * inverses[first])


def pairs_of(hashes: np.ndarray) -> np.ndarray:
    """Returns the hashes of runs of two words from those of the words."""
    return _mix(hashes[:-1] * np.uint64(_STEP) + hashes[1:])


def bucket_of(hashes: np.ndarray, bits: int) -> np.ndarray:
    """Returns the bucket of each hash, among `2 ** bits`."""
    return (hashes >> np.uint64(64 - bits)).astype(np.int64)


def count_ngrams(lines: Sequence[str], bits: int, characters: bool = True) -> Sparse:
    """Returns how often each n-gram occurs in each line.

    Args:
        lines: Texts in which no newline stands and white space is single.
        bits: There are `2 ** bits` buckets; words have the lower half, characters the upper.
        characters: Whether to count runs of characters beside those of words.
    """
    if not lines:
        return Sparse(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    points = code_points(" " + " \n ".join(lines) + " ")
    line = np.cumsum(points == ord("\n"), dtype=np.int64)
    size, half = np.int64(1) << np.int64(bits), np.int64(1) << np.int64(bits - 1)
    first, hashes = words_of(points)
    keys = [line[first] * size + bucket_of(hashes, bits - 1)]
    inside = line[first[:-1]] == line[first[1:]]
    keys.append(line[first[:-1]][inside] * size + bucket_of(pairs_of(hashes)[inside], bits - 1))
    if characters:
        keys += [
            line[where] * size + half + bucket_of(found, bits - 1)
            for where, found in _character_runs(points)
        ]
    unique, counts = np.unique(np.concatenate(keys), return_counts=True)
    starts = np.searchsorted(unique, np.arange(len(lines) + 1, dtype=np.int64) * size)
    return Sparse(starts, (unique & (size - 1)).astype(np.int32), counts.astype(np.float32))


def _character_runs(points: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    is_space = kinds_of(points) == _SPACE
    hashes = _mixed(np.where(is_space, np.uint32(32), points))
    spaces = np.concatenate([[0], np.cumsum(is_space)])
    found = []
    run = hashes
    for length in range(2, max(CHARACTER_RUNS) + 1):
        if length > len(points):
            break
        run = _mix(run[: len(hashes) - length + 1] * np.uint64(_STEP) + hashes[length - 1 :])
        if length in CHARACTER_RUNS:
            start = np.arange(len(run))
            # White space may only stand at the ends, as the edge of a word.
            inside = spaces[start + length - 1] == spaces[start + 1]
            inside &= ~(is_space[start] & is_space[start + length - 1])
            chosen = start[inside]
            found.append((np.where(is_space[chosen], chosen + 1, chosen), run[chosen]))
    return found


def inverse_frequencies(counts: Sparse, bits: int, minimum: int) -> np.ndarray:
    """Returns the inverse document frequency of each bucket, 0 for those in too few lines."""
    frequency = np.bincount(counts.buckets, minlength=1 << bits)
    weights = np.log(len(counts.starts) / (1 + frequency)) + 1
    weights[frequency < minimum] = 0
    return weights.astype(np.float32)


def weighted(counts: Sparse, inverse_frequency: np.ndarray) -> Sparse:
    """Returns sublinear TF-IDF weights, with words and characters each scaled to length one."""
    idf = inverse_frequency[counts.buckets]
    used = idf > 0
    starts = np.concatenate([[0], np.cumsum(used)])[counts.starts]
    buckets = counts.buckets[used]
    values = (1 + np.log(counts.values[used])) * idf[used]
    lengths = np.diff(starts)
    # A row has two norms: of its words and of its characters.
    group = 2 * np.repeat(np.arange(len(lengths)), lengths) + (
        buckets >= len(inverse_frequency) // 2
    )
    squares = np.bincount(group, weights=values.astype(np.float64) ** 2, minlength=2 * len(lengths))
    norms = np.sqrt(np.maximum(squares, 1e-12)).astype(np.float32)
    return Sparse(starts, buckets, (values / norms[group]).astype(np.float32))


def kinds_of(points: np.ndarray) -> np.ndarray:
    """Returns for each code point whether it is white space, part of a word, or a word."""
    if len(points) and points.max() >= _PLANE:
        points = np.minimum(points, np.uint32(_PLANE))
    return _kinds()[points]


def _mix(values: np.ndarray) -> np.ndarray:
    values = values ^ (values >> np.uint64(30))
    values *= _MIX_A
    values ^= values >> np.uint64(27)
    values *= _MIX_B
    values ^= values >> np.uint64(31)
    return values


def _mixed(points: np.ndarray) -> np.ndarray:
    """Returns a hash of each code point."""
    if len(points) and points.max() >= _PLANE:
        return _mix(points.astype(np.uint64) + np.uint64(_STEP))
    return _point_hashes()[points]


@functools.cache
def _point_hashes() -> np.ndarray:
    return _mix(np.arange(_PLANE, dtype=np.uint64) + np.uint64(_STEP))


@functools.lru_cache(maxsize=4)
def _powers(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first powers of the step and of its inverse."""
    both = []
    for base in (_STEP, _INVERSE_STEP):
        factors = np.full(length, base, dtype=np.uint64)
        factors[0] = 1
        both.append(np.multiply.accumulate(factors))
    return both[0], both[1]


@functools.cache
def _kinds() -> np.ndarray:
    kinds = np.full(_PLANE + 1, _SINGLE, dtype=np.uint8)
    for point in range(_PLANE):
        category = unicodedata.category(chr(point))
        if category[0] in "LMN":
            kinds[point] = _LETTER
        elif category[0] in "ZC" and category != "Co":
            kinds[point] = _SPACE
    for low, high in _SINGLE_SCRIPTS:
        stretch = kinds[low : high + 1]
        stretch[stretch == _LETTER] = _SINGLE
    return kinds
