"""Divides the words of a block into sentences."""

import re
from collections.abc import Collection, Iterator

_END = re.compile(r"[.!?…]+[\"”’»)\]]*(?=\s|$)|[。！？]+[」』）)]*|[।؟]+[\"”»)]*")
_LAST_WORD = re.compile(r"[\w.]+$")
_OPENING = "\"“„«‹「『(['‘¿¡*"


def sentences(text: str, lower: str, abbreviations: Collection[str]) -> Iterator[tuple[int, int]]:
    """Yields where each sentence begins and ends, its full stop included.

    A full stop ends no sentence after an abbreviation, a single letter or a number at the
    beginning, nor before a word in lower case.

    Args:
        text: The words of a block, with single spaces.
        lower: The same in lower case, of the same length.
        abbreviations: In lower case, without their last full stop.
    """
    start = 0
    length = len(text)
    for stop in _END.finditer(text):
        end = stop.end()
        if end >= length:
            break
        if text[stop.start()] == ".":
            following = text[end + 1 : end + 3].lstrip(_OPENING)
            if following[:1].islower():
                continue
            word = _LAST_WORD.search(lower, start, stop.start())
            if word is not None and (
                word[0] in abbreviations
                or (len(word[0]) == 1 and word[0].isalpha())
                or (word.start() == start and word[0].replace(".", "").isdigit())
            ):
                continue
        yield start, end
        start = end
        while start < length and text[start] == " ":
            start += 1
    if start < length:
        yield start, length
