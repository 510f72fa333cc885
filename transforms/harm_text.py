"""How texts are cut into passages and written as lines for the harm models.

Training and annotation share these functions, so a model always sees what it was trained on.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

CELL_CHARS = 300
"""Length of the stretches that texts are cut into, in code points; two of them are a passage."""

DENSE_SHARE = 0.35
"""A Han, kana or Hangul character says about as much as three letters, so where the language is
one of `DENSE_LANGUAGES`, lengths are multiplied by this."""

DENSE_LANGUAGES = frozenset({"zh", "ja", "ko"})


def cell_size(lang: str | None) -> int:
    """Returns the length of cells in a language, in code points."""
    return int(CELL_CHARS * DENSE_SHARE) if lang in DENSE_LANGUAGES else CELL_CHARS


def is_long(text: str, lang: str | None) -> bool:
    """Whether a text is longer than a passage, and so has several."""
    return len(text) > 2 * cell_size(lang)


def cells(text: str, size: int) -> Iterator[tuple[int, int]]:
    """Yields consecutive stretches of at most `size` code points that together are the text.

    A stretch ends at white space where its last eighth holds some.
    """
    start, length, slack = 0, len(text), size // 8
    while length - start > size:
        low, high = start + size - slack, start + size
        end = max(text.rfind(" ", low, high), text.rfind("\n", low, high)) + 1 or high
        yield start, end
        start = end
    if length > start:
        yield start, length


def reading_lines(texts: Sequence[str]) -> list[str]:
    """Returns texts in one spelling: lower case, single white space, no numbers or addresses."""
    lines = pc.utf8_normalize(pa.array(texts, pa.large_string()), form="NFKC")
    lines = pc.utf8_lower(lines)
    lines = pc.replace_substring_regex(lines, r"https?://\S+", " xurl ")
    lines = pc.replace_substring_regex(lines, r"@\w+", "xuser")
    lines = pc.replace_substring_regex(lines, r"\pN+", "0")
    lines = pc.replace_substring_regex(lines, r"[\s\pZ\pC]+", " ")
    return pc.utf8_trim_whitespace(lines).to_pylist()
