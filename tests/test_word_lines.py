"""Lines of words: what they hold, and that they are what regular expressions would give."""

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import example, given
from hypothesis import strategies as st

from raicurate.transforms.word_lines import word_lines


def reference(texts):
    lines = pc.replace_substring_regex(pa.array(texts, pa.string()), r"[^\pL\pM\pN]+", " ")
    lines = pc.replace_substring_regex(lines, r"([\p{Han}\p{Hiragana}\p{Katakana}])", r" \1 ")
    return [line.split() for line in pc.utf8_lower(lines).to_pylist()]


@given(st.lists(st.text(), max_size=6))
@example(["Don’t — “stop”…", "plain A_b1", ""])
@example(["漢字かなカナ mixed 한국어", "⺀〇々", "²³ ª\u00a0b\u2003c\u200dd\u2070"])
def test_words_are_those_of_the_regular_expressions(texts):
    """Letters, marks and numbers in lower case, every Han or kana character by itself."""
    found = word_lines(pa.array(texts, pa.string()))
    assert [line.split() for line in found.to_pylist()] == reference(texts)


def test_slices():
    """A slice of a column, and a column of large strings, give the same lines."""
    texts = pa.array(["One, two", "Über—all", "漢字"])
    whole = word_lines(texts).to_pylist()
    assert word_lines(texts.slice(1)).to_pylist() == whole[1:]
    assert word_lines(texts.cast(pa.large_string())).to_pylist() == whole
