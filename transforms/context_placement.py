"""Where in a text its context goes, and what can be said of where the harm stands."""

import re
from collections.abc import Sequence

from raicurate.transforms.context_rows import Hazard

LONG_TEXT_CHARS = 3000
"""From this length on, context stands at the paragraph that it speaks of and not at the margin of
the text: about a screen and a half, so that a note is never a page away from the harm."""

_MIN_CHARS_FOR_POSITION = 600
_SEVERAL_PASSAGES = 3
# A blank line further away than this does not end the paragraph in a useful sense; then a line
# break does.
_MAX_PARAGRAPH_CHARS = 1500
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")


def position_of(length: int, passages: Sequence[Hazard]) -> str:
    """Returns where the worst passage stands in a text that is long enough to say it.

    Args:
        length: Length of the text in code points.
        passages: Its flagged passages.

    Returns:
        `beginning`, `middle`, `end`, `several`, or nothing.
    """
    if length < _MIN_CHARS_FOR_POSITION:
        return ""
    intended = [passage for passage in passages if passage.stance == "intent"]
    if not intended:
        return ""
    if len({(passage.start, passage.end) for passage in intended}) >= _SEVERAL_PASSAGES:
        return "several"
    worst = max(intended, key=lambda passage: (passage.severity, passage.score))
    if worst.end - worst.start > length / 2:
        return ""
    middle = (worst.start + worst.end) / 2 / length
    return "beginning" if middle < 1 / 3 else "end" if middle > 2 / 3 else "middle"


def insertion(
    text: str, passages: Sequence[Hazard], removed: Sequence[tuple[int, int]], before: bool
) -> int:
    """Returns where in a text its context goes.

    Args:
        text: The original text.
        passages: Its flagged passages; at least one.
        removed: Stretches of the original that will not stand any more; never split.
        before: Whether the context leads.
    """
    if len(text) <= LONG_TEXT_CHARS:
        return 0 if before else len(text)
    if before:
        at = _paragraph_start(text, min(passage.start for passage in passages))
    else:
        at = _paragraph_end(text, max(passage.end for passage in passages))
    for start, end in removed:
        if start < at < end:
            return start if before else end
    return at


def _paragraph_end(text: str, passage_end: int) -> int:
    # A passage may end in the line break that closes its paragraph.
    start = max(0, min(passage_end, len(text)) - 1)
    # Blank lines are sought only as far as they count, or a long line would be searched in vain.
    blank = _BLANK_LINE.search(text, start, start + _MAX_PARAGRAPH_CHARS + 2)
    if blank:
        return blank.start()
    line = text.find("\n", start)
    return line if line >= 0 else len(text)


def _paragraph_start(text: str, passage_start: int) -> int:
    low = max(0, passage_start - _MAX_PARAGRAPH_CHARS)
    blanks = list(_BLANK_LINE.finditer(text, low, passage_start + 1))
    if blanks:
        return blanks[-1].end()
    return text.rfind("\n", 0, passage_start + 1) + 1
