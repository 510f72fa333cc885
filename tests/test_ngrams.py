import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raicurate.transforms.ngrams import (
    code_points,
    concatenated,
    count_ngrams,
    inverse_frequencies,
    kinds_of,
    weighted,
    words_of,
)

BITS = 14
lines = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")) | st.just(" ")).map(
        lambda text: " ".join(text.split())
    ),
    max_size=5,
)


def row(counts, number):
    part = slice(counts.starts[number], counts.starts[number + 1])
    return dict(zip(counts.buckets[part].tolist(), counts.values[part].tolist(), strict=True))


@given(lines)
def test_a_line_has_the_same_ngrams_alone_and_among_others(texts):
    """What stands around a line does not change what it is made of."""
    together = count_ngrams(texts, BITS)
    for number, text in enumerate(texts):
        assert row(count_ngrams([text], BITS), 0) == row(together, number)


@given(lines, lines)
def test_parts_join_up(one, other):
    """Counting in parts gives what counting at once gives."""
    whole = count_ngrams([*one, *other], BITS)
    parts = concatenated([count_ngrams(one, BITS), count_ngrams(other, BITS)])
    for left, right in zip(whole, parts, strict=True):
        assert np.array_equal(left, right)


def test_words_are_found_wherever_they_stand():
    """Equal words have equal hashes at every place, other words have others."""
    _, hashes = words_of(code_points("river mill river, the mill: river"))
    assert hashes[0] == hashes[2] == hashes[7]
    assert hashes[1] == hashes[5]
    assert len(set(hashes.tolist())) == 5


def test_a_han_character_is_a_word():
    """Scripts without spaces need no other code: each of their characters is a word."""
    first, _ = words_of(code_points("山と川 river"))
    assert first.tolist() == [0, 1, 2, 4]
    assert kinds_of(code_points("한a1 .😀")).tolist() == [1, 1, 1, 0, 2, 2]


def test_rows_can_be_taken():
    """Rows are taken in the order asked for, whatever their length."""
    counts = count_ngrams(["a b", "", "a b c a"], BITS)
    taken = counts.take(np.array([2, 1, 0]))
    assert [row(taken, number) for number in range(3)] == [row(counts, n) for n in (2, 1, 0)]


@given(lines)
def test_weighted_rows_have_two_parts_of_length_one(texts):
    """Words and characters weigh the same, however long the text."""
    counts = count_ngrams(texts, BITS)
    rows = weighted(counts, inverse_frequencies(counts, BITS, 1))
    for number in range(len(texts)):
        part = slice(rows.starts[number], rows.starts[number + 1])
        is_word = rows.buckets[part] < 1 << (BITS - 1)
        for chosen in (is_word, ~is_word):
            length = np.sum(rows.values[part][chosen] ** 2)
            assert not chosen.any() or abs(length - 1) < 1e-4
