"""Phrases of language packs are found where they stand as words."""

import pytest

from raicurate.transforms.phrases import PhraseFinder


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("it shall also ask", "shall also"),
        ("it shall, if asked, answer", "shall"),
        ("it shall ask", "shall"),
        ("it shall", "shall"),
        ("the shallow end", None),
        ("it may not often ask", "may not often"),
        ("it may often ask", "may often"),
        ("it may, it says", "may"),
        ("we do all we can", "do all we can"),
    ],
)
def test_words_that_may_be_missing_at_the_end(text: str, found: str | None) -> None:
    """A phrase is found without them before any mark, and with as many of them as stand there."""
    finder = PhraseFinder(
        [("shall [also|always]", 0), ("may [not] [often]", 1), ("do … can", 2)], spaces=True
    )
    hit = finder.first(text, 0, len(text))
    assert (None if hit is None else text[hit.start : hit.end].rstrip()) == found


def test_words_around_a_gap_outweigh_a_word_alone() -> None:
    """Of phrases that begin at one place, the one with most words counts."""
    finder = PhraseFinder([("may [also]", "short"), ("may … fines", "long")], spaces=True)
    hit = finder.first("who may be liable to fines", 0, 26)
    assert hit is not None
    assert hit.value == "long"
