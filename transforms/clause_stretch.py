"""A sentence within a block, the parts that may be found in it, and how their edges are told."""

from dataclasses import dataclass
from typing import NamedTuple

from raicurate.transforms.clause import Modality
from raicurate.transforms.clause_packs import ClausePack

Bounds = tuple[int, int]

COMMAS = (",", "،", "、", "，", ";", "；", "؛")
"""Marks that part one stretch of a sentence from the next."""

_EDGE = ' ,;.:!?،؛؟。、；：!？।"”»'
_CLOSING = ' "”»)]*_'
_QUESTION_MARKS = ("?", "？", "؟")


class Stretch(NamedTuple):
    """A sentence within the words of a block."""

    text: str
    lower: str
    start: int
    end: int

    @property
    def bounds(self) -> Bounds:
        """Where it begins and ends."""
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class Fields:
    """The parts of a clause, as offsets into the words of its block. See `Clause`."""

    modality: Modality
    negated: bool = False
    restricted: bool = False
    actor: Bounds | None = None
    modal: Bounds | None = None
    negation: Bounds | None = None
    action: Bounds | None = None
    object: Bounds | None = None
    condition: Bounds | None = None
    exception: Bounds | None = None
    quantity: Bounds | None = None
    rationale: Bounds | None = None


def is_question(stretch: Stretch) -> bool:
    """Returns whether a sentence asks, and so states nothing."""
    return stretch.lower[: stretch.end].rstrip(_CLOSING).endswith(_QUESTION_MARKS)


def quantity_in(pack: ClausePack, stretch: Stretch) -> Bounds | None:
    """Returns the first number with its unit, or None."""
    found = pack.quantity.search(stretch.lower, *stretch.bounds)
    return None if found is None else found.span()


def trim(lower: str, start: int, end: int) -> Bounds | None:
    """Returns the bounds without spaces and marks at the edges, or None if nothing is left."""
    while start < end and lower[start] in _EDGE:
        start += 1
    while start < end and lower[end - 1] in _EDGE:
        end -= 1
    return (start, end) if start < end else None
