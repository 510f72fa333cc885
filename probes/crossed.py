"""Crossed margins: does a model know which continuation belongs to which context?

The margin of an item with contexts c and their right continuations g is
`[ll(g1|c1) + ll(g2|c2) - ll(g2|c1) - ll(g1|c2)] / 2` in nats: what makes a continuation likely by
itself, or a context easy, stands on both sides and cancels. Against ordinary minimal pairs, which
move with the words and the form of the training data alone, it is the measure of what was acquired.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from raicurate.probes.backend import Request
from raicurate.probes.items import CrossedItem
from raicurate.probes.records import Ask, by_item, measure_table

MEASURES = ("margin", "margin_bits_per_byte", "acc", "acc_contexts")


def asks(suite: str, items: Iterable[CrossedItem]) -> Iterator[Ask]:
    """Yields the four continuations of each item: each one after each context."""
    for item in items:
        for context, before in enumerate(item.contexts):
            for continuation, text in enumerate(item.continuations):
                yield Ask(
                    suite,
                    item.id,
                    "crossed",
                    item.language,
                    Request(before, text),
                    source=item.source,
                    dimension=item.dimension,
                    hazard=item.hazard,
                    tier=item.tier,
                    context=context,
                    continuation=continuation,
                    right=context == continuation,
                )


def measures(samples: pa.Table, kind: str = "crossed") -> pa.Table:
    """Returns the measures of each crossed item, as `records.measure_table` has them.

    `margin` is in nats; `margin_bits_per_byte` divides it by the bytes of both continuations;
    `acc` is 1 where the margin is above 0, and one half at 0; `acc_contexts` is the share of
    contexts after which the right continuation is the likelier one for its bytes.
    """
    return measure_table(((rows[0], _measures(rows)) for rows in by_item(samples, kind)), MEASURES)


def _measures(rows: list[dict[str, Any]]) -> Mapping[str, float]:
    nats = {(row["context"], row["continuation"]): -row["sum_nll_nats"] for row in rows}
    size = {row["continuation"]: row["n_utf8_bytes"] for row in rows}
    margin = crossed_margin(nats[0, 0], nats[1, 1], nats[0, 1], nats[1, 0])
    contexts = [
        nats[own, own] / size[own] - nats[own, other] / size[other]
        for own, other in ((0, 1), (1, 0))
    ]
    return {
        "margin": margin,
        "margin_bits_per_byte": 2 * margin / math.log(2) / (size[0] + size[1]),
        "acc": _half_at_zero(margin),
        "acc_contexts": sum(map(_half_at_zero, contexts)) / 2,
    }


def crossed_margin(own_1: float, own_2: float, other_1: float, other_2: float) -> float:
    """Returns the margin from log-likelihoods: right ones first, then each after the other context.

    Summed so that the same model in another order, or no difference at all, gives exactly 0.
    """
    return math.fsum((own_1, own_2, -other_1, -other_2)) / 2


def _half_at_zero(value: float) -> float:
    return 0.5 if value == 0 else float(value > 0)
