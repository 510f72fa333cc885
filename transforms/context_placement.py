"""Where in a text its context goes, and what can be said of where the harm stands."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from raicurate.transforms.context_rows import Hazard

LONG_TEXT_CHARS = 3000
"""From this length on, context stands at the paragraph that it speaks of and not at the margin of
the text: about a screen and a half, so that a note is never a page away from the harm."""

_MIN_CHARS_FOR_POSITION = 600
_SEVERAL_PASSAGES = 3
_MAX_PLACES = 5
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


class Place(NamedTuple):
    """Where a context goes, and which passages it speaks of.

    Attributes:
        at: Position in the original text, in code points.
        hazards: The passages that it stands beside.
        leads: Whether it is the one that speaks of the whole document.
    """

    at: int
    hazards: Sequence[Hazard]
    leads: bool


def places(
    text: str, hazards: Sequence[Hazard], removed: Sequence[tuple[int, int]], placement: str
) -> list[Place]:
    """Returns where in a text its context goes.

    A long text of which passages stand pages apart gets a short note at each of them beside the
    context at the gravest, so that none is far from what it speaks of.

    Args:
        text: The original text.
        hazards: Its flagged passages; at least one.
        removed: Stretches of the original that will not stand any more; never split.
        placement: `after`, `before` or `between`, as in the policy.
    """
    long = len(text) > LONG_TEXT_CHARS
    if not long and placement != "between":
        return [Place(0 if placement == "before" else len(text), hazards, True)]
    groups = _groups(hazards) if long else [list(hazards)]
    worst = max(range(len(groups)), key=lambda number: _gravity(groups[number]))
    kept = sorted(
        sorted(range(len(groups)), key=lambda number: (number != worst, number))[:_MAX_PLACES]
    )
    found = [
        Place(_beside(text, groups[number], removed, placement), groups[number], number == worst)
        for number in kept
    ]
    # Two groups may end in the same paragraph; then the one that leads speaks for both.
    at = {place.at: place for place in sorted(found, key=lambda place: place.leads)}
    return [at[position] for position in sorted(at)]


def _groups(hazards: Sequence[Hazard]) -> list[list[Hazard]]:
    """Returns passages in groups that stand at least a page apart."""
    groups: list[list[Hazard]] = []
    end = 0
    for hazard in sorted(hazards, key=lambda h: (h.start, h.end, h.hazard, h.stance)):
        if groups and hazard.start - end <= LONG_TEXT_CHARS:
            groups[-1].append(hazard)
        else:
            groups.append([hazard])
        end = max(end, hazard.end)
    return groups


def _gravity(hazards: Sequence[Hazard]) -> tuple[bool, int, float]:
    return max((h.stance != "topical", h.severity, h.score) for h in hazards)


def _beside(
    text: str, hazards: Sequence[Hazard], removed: Sequence[tuple[int, int]], placement: str
) -> int:
    if placement == "before":
        at = _paragraph_start(text, min(hazard.start for hazard in hazards))
    elif placement == "between":
        worst = max(hazards, key=lambda h: (h.stance != "topical", h.severity, h.score, h.end))
        at = _paragraph_end(text, worst.end)
    else:
        at = _paragraph_end(text, max(hazard.end for hazard in hazards))
    for start, end in removed:
        if start < at < end:
            return start if placement == "before" else end
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
