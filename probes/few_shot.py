"""Worked examples before an item: which ones, and in which order.

Examples come from other hazards, dimensions and groups than the item, so that they show the form
and not the content; each draw of k examples holds those of the draw of fewer, so that a curve over
k shows what one more example does.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Thing = TypeVar("Thing")

SHOTS = (0, 1, 2, 4, 8)
DRAWS = 5


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example.

    Attributes:
        id: Of the item that it is made of.
        language: ISO 639 code.
        hazard: Of the item, where it has one.
        dimension: Of the item, where it has one.
        group: Subject or category, where the item has one.
        answer: What the answer is, such as the letter or the verdict, for balance.
        text: The item with its answer, as it stands before another item.
    """

    id: str
    language: str
    hazard: str | None
    dimension: str | None
    group: str | None
    answer: str
    text: str


def eligible(
    examples: Sequence[Example],
    item: str,
    language: str,
    hazard: str | None,
    dimension: str | None,
    group: str | None = None,
) -> list[Example]:
    """Returns the examples that may stand before an item.

    They are in its language, and have neither its hazard, nor its dimension, nor its group, where
    it has these.
    """
    return [
        example
        for example in examples
        if example.id != item
        and example.language == language
        and (hazard is None or example.hazard != hazard)
        and (dimension is None or example.dimension != dimension)
        and (group is None or example.group != group)
    ]


def nested_draws(
    examples: Sequence[Example], item: str, *, shots: int = max(SHOTS), draws: int = DRAWS
) -> list[list[Example]]:
    """Returns draws of examples for an item, of which the first k serve for k shots.

    Answers are balanced: the examples go round the different answers, in an order that is drawn
    anew, so that no answer is more than one ahead while there are examples of each.

    Args:
        examples: Those that may stand before the item, in any order.
        item: Id of the item, from which the draws derive.
        shots: Examples of a draw; fewer where there are not enough.
        draws: How many draws.
    """
    by_answer: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda example: example.id):
        by_answer.setdefault(example.answer, []).append(example)
    drawn = []
    for draw in range(draws):
        seeded = random.Random(f"{item}\x1f{draw}")
        piles = [_shuffled(pile, seeded) for _, pile in sorted(by_answer.items())]
        chosen: list[Example] = []
        while len(chosen) < shots and any(piles):
            for pile in _shuffled(piles, seeded):
                if pile and len(chosen) < shots:
                    chosen.append(pile.pop())
        drawn.append(chosen)
    return drawn


def _shuffled(things: Sequence[Thing], seeded: random.Random) -> list[Thing]:
    # By `random()` alone: what `shuffle` draws may change with the version of Python.
    keys = [seeded.random() for _ in things]
    return [things[place] for place in sorted(range(len(things)), key=keys.__getitem__)]
