"""Words of many texts as 64-bit hashes, and rolling hashes of runs of them, by array arithmetic.

Words are folded first, so that case, accents, width, typographic signs and punctuation do not hide
that two texts are the same. A sign of a script that puts no spaces between words (Han, kana, Thai,
Lao, Khmer, Burmese) is a word of its own.
"""

import functools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

VERSION = "1"
"""Raised when the same text has other words or hashes."""

Hashes = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.uint32]
Integers = npt.NDArray[np.int64]

_POINTS = 0x110000
_IGNORED = np.uint32(0xFFFFFFFF)
_ALONE = np.uint32(1 << 30)
"""Flag of a sign that is a word of its own."""
_MARK = np.uint32(1 << 31)

_ALONE_RANGES = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3041, 0x30FF), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x323AF),
)  # fmt: skip
_AS_THEY_ARE = ((0x3400, 0x9FFF), (0xAC00, 0xD7A3), (0x17000, 0x18CFF), (0x20000, 0x323AF))
"""Ideographs and syllables, which folding leaves alone (spared for speed)."""

_SPARED_MARKS = (
    (0x0300, 0x036F), (0x0591, 0x05C7), (0x0610, 0x061A), (0x0640, 0x0640), (0x064B, 0x065F),
    (0x0670, 0x0670), (0x06D6, 0x06ED), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF),
    (0xFE00, 0xFE0F), (0xFE20, 0xFE2F),
)  # fmt: skip
"""Accents, vowel points of Hebrew and Arabic, and the Arabic stretch: often left out in writing.
The vowel signs of Indic scripts are not: they are letters of the word."""

# Odd constants of splitmix64 (Steele, Lea and Flood 2014), by which hashes are mixed.
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)


@dataclass(frozen=True, slots=True)
class Words:
    """The folded words of many texts, one after the other.

    Attributes:
        codes: Folded code points of all texts, 0 where no word stands, shape [characters].
        starts: Where each word begins in `codes`, shape [words].
        ends: Where it ends, exclusive.
        texts: Number of the text in which it stands, never falling.
        hashes: Its hash.
    """

    codes: Codes
    starts: Integers
    ends: Integers
    texts: Integers
    hashes: Hashes

    def letters(self, first: int, count: int) -> Codes:
        """Returns the letters of `count` words from `first` on, the first of each word marked."""
        start, end = self.starts[first], self.ends[first + count - 1]
        codes = self.codes[start:end].copy()
        codes[self.starts[first : first + count] - start] |= _MARK
        return codes[codes > 0]


def words_of(texts: Sequence[str]) -> Words:
    """Returns the words of texts; characters that say nothing (joiners, accents) are left out."""
    # A line feed is in no word, so none reaches from one text into the next.
    joined = "\n".join(texts)
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    codes = _folding()[points]
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    bounds = np.cumsum(lengths + 1)
    ignored = codes == _IGNORED
    if ignored.any():
        kept = np.concatenate([[0], np.cumsum(~ignored)])
        bounds = kept[np.minimum(bounds, len(codes))]
        codes = codes[~ignored]
    alone = codes >= _ALONE
    word = codes > 0
    parted = np.zeros(len(codes) + 1, bool)
    parted[0] = parted[-1] = True
    parted[1:-1] = ~word[1:] | ~word[:-1] | alone[1:] | alone[:-1]
    starts = np.flatnonzero(word & parted[:-1])
    ends = np.flatnonzero(word & parted[1:]) + 1
    values = _mixed(codes.astype(np.uint64)) * word
    hashes = _mixed(_ranges(values, starts, ends))
    return Words(codes, starts, ends, np.searchsorted(bounds, starts, side="right"), hashes)


def run_hashes(words: Words, length: int) -> tuple[Integers, Hashes]:
    """Returns where runs of `length` words begin, none across two texts, and their hashes."""
    count = len(words.hashes) - length + 1
    if count <= 0:
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    first = np.flatnonzero(words.texts[:count] == words.texts[length - 1 :])
    return first, _mixed(_ranges(words.hashes, first, first + length))


def _ranges(values: Hashes, starts: Integers, ends: Integers) -> Hashes:
    """Returns the hash of each range of values: a polynomial modulo 2^64, whatever its place.

    The powers rise with the place, and the power of the range's start is divided out again, which
    an odd base allows.
    """
    powers, inverse = _powers(1 << int(len(values) + 1).bit_length())
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values * powers[: len(values)], out=sums[1:])
    return (sums[ends] - sums[starts]) * inverse[starts]


def _mixed(values: Any) -> Hashes:
    """Returns values whose every bit depends on all bits (the end of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * _MIX_A
    values = (values ^ (values >> np.uint64(27))) * _MIX_B
    mixed: Hashes = values ^ (values >> np.uint64(31))
    return mixed


@functools.lru_cache(maxsize=2)
def _powers(count: int) -> tuple[Hashes, Hashes]:
    def powers(base: int) -> Hashes:
        steps = np.full(count, base, np.uint64)
        steps[0] = 1
        return np.cumprod(steps)

    return powers(_BASE), powers(_INVERSE)


@functools.cache
def _folding() -> Codes:
    """Returns what each code point becomes: a folded letter, 0 for a gap, or `_IGNORED`."""
    table = np.zeros(_POINTS, np.uint32)
    spared = np.zeros(_POINTS, bool)
    for start, end in _AS_THEY_ARE:
        table[start : end + 1] = np.arange(start, end + 1, dtype=np.uint32)
        spared[start : end + 1] = True
    spared[0xD800:0xF900] = True
    spared[0x32400:] = True
    for point in np.flatnonzero(~spared).tolist():
        character = chr(point)
        category = unicodedata.category(character)
        if category == "Cf" or any(start <= point <= end for start, end in _SPARED_MARKS):
            table[point] = _IGNORED
        elif category[0] in "LNM":
            table[point] = _folded(character)
    table[0xFE00:0xFE10] = table[0xE0100:0xE01F0] = _IGNORED  # variation selectors
    for start, end in _ALONE_RANGES:
        signs = table[start : end + 1]
        signs[(signs > 0) & (signs != _IGNORED)] |= _ALONE
    return table


def _folded(character: str) -> int:
    apart = unicodedata.normalize("NFKD", character.lower())
    bare = "".join(c for c in apart if not 0x0300 <= ord(c) <= 0x036F)
    whole = unicodedata.normalize("NFC", bare)
    # What folds to several letters, such as a ligature, stays as it is.
    return ord(whole) if len(whole) == 1 else ord(character)
