"""How texts are cut into passages and written as lines for the harm models.

Training and annotation share these functions, so a model always sees what it was trained on.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

WINDOW_CHARS = 1000
"""Length of the stretches that the word-level model sees, in code points."""

PASSAGE_CHARS = 600
"""Length of the overlapping passages that the passage-level model sees, in code points."""

DENSE_SHARE = 0.35
"""A Han, kana or Hangul character says about as much as three letters, so where the language is
one of `DENSE_LANGUAGES`, lengths are multiplied by this."""

DENSE_LANGUAGES = frozenset({"zh", "ja", "ko"})

# Characters that stand for syllables or words become tokens of their own, so that n-grams of words
# are n-grams of characters there; punctuation is kept as tokens, since quotation marks tell speech
# from report.
_DENSE = r"([\p{Han}\p{Hiragana}\p{Katakana}])"
_MARKS = r"([\pP\pS])"
_DIGITS = r"\pN+"


def lengths_of(lang: str | None) -> tuple[int, int]:
    """Returns the length of windows and of passages in a language, in code points."""
    if lang in DENSE_LANGUAGES:
        return int(WINDOW_CHARS * DENSE_SHARE), int(PASSAGE_CHARS * DENSE_SHARE)
    return WINDOW_CHARS, PASSAGE_CHARS


def windows(text: str, size: int) -> Iterator[tuple[int, int]]:
    """Yields consecutive stretches of at most `size` code points that together are the text.

    A stretch ends at white space where its last eighth holds some.
    """
    start, length = 0, len(text)
    while length - start > size:
        end = _cut(text, start, start + size, size // 8)
        yield start, end
        start = end
    if length > start:
        yield start, length


def passages(text: str, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Yields stretches of at most `size` code points of `text[start:end]`, each half overlapping.

    Every point but those near the ends lies in two passages, so that no passage is only seen
    in halves.
    """
    while end - start > size:
        stop = _cut(text, start, start + size, size // 8)
        yield start, stop
        start = _cut(text, start, start + size // 2, size // 8)
    if end > start:
        yield start, end


def _cut(text: str, start: int, end: int, slack: int) -> int:
    low = max(start + 1, end - slack)
    return max(text.rfind(" ", low, end), text.rfind("\n", low, end)) + 1 or end


def word_lines(texts: Sequence[str]) -> list[str]:
    """Returns texts as lines of lower-case words, for the word-level model."""
    lines = pa.array(texts, pa.large_string())
    lines = pc.replace_substring_regex(lines, r"[^\pL\pM\pN]+", " ")
    lines = pc.replace_substring_regex(lines, _DENSE, r" \1 ")
    return pc.utf8_lower(lines).to_pylist()


def passage_lines(texts: Sequence[str]) -> list[str]:
    """Returns texts as lines of tokens, for the model with subwords."""
    lines = pc.utf8_normalize(pa.array(texts, pa.large_string()), form="NFKC")
    lines = pc.replace_substring_regex(lines, r"\s+", " ")
    lines = pc.replace_substring_regex(lines, r"https?://\S+", " <url> ")
    lines = pc.replace_substring_regex(lines, _DIGITS, "0")
    lines = pc.replace_substring_regex(lines, _MARKS, r" \1 ")
    lines = pc.replace_substring_regex(lines, _DENSE, r" \1 ")
    return pc.utf8_lower(lines).to_pylist()
