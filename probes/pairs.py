"""Minimal pairs of outside sets: which of two versions a model finds likelier, with its sign.

The margin is `ll(first) - ll(second)`, where the first version follows the stereotype, is written
in the dialect or has the male pronoun. Versions differ in words whose frequency alone moves a
margin, so margins are compared between checkpoints, or between the two conditions of a set, rather
than with 0.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from raicurate.probes.backend import Request
from raicurate.probes.items import PairItem
from raicurate.probes.records import Ask, by_item, measure_table

MEASURES = ("margin", "margin_bits_per_byte", "first_preferred", "fits")

UNRELATED = 2
"""The `continuation` of a version that fits nowhere."""


def asks(suite: str, items: Iterable[PairItem]) -> Iterator[Ask]:
    """Yields the versions of each pair; `condition` holds the group and the set's own condition."""
    for item in items:
        texts = [*zip(item.versions, item.roles, strict=True)]
        if item.unrelated is not None:
            texts.append((item.unrelated, "unrelated"))
        for number, (text, role) in enumerate(texts):
            yield Ask(
                suite,
                item.id,
                "pair",
                item.language,
                Request(item.context, text),
                source=item.source,
                cluster=item.cluster,
                dimension=item.dimension,
                condition=_condition(item),
                continuation=number,
                role=role,
            )


def measures(samples: pa.Table) -> pa.Table:
    """Returns the measures of each pair.

    `margin` is in nats; `margin_bits_per_byte` is the difference of the bits for each byte of the
    two versions (positive: the first one is cheaper); `first_preferred` is 1 where the first
    version is the likelier one, and one half where both are alike; `fits` is the share of the two
    that are likelier for their bytes than the unrelated version, null where there is none.
    """
    return measure_table(
        ((rows[0], _measures(rows)) for rows in by_item(samples, "pair")), MEASURES
    )


def _measures(rows: list[dict[str, Any]]) -> Mapping[str, float | None]:
    by_place = {row["continuation"]: row for row in rows}
    first, second = (by_place[place]["sum_nll_nats"] for place in (0, 1))
    bits = {
        place: row["sum_nll_nats"] / row["n_utf8_bytes"] / math.log(2)
        for place, row in by_place.items()
    }
    unrelated = bits.get(UNRELATED)
    return {
        "margin": second - first,
        "margin_bits_per_byte": bits[1] - bits[0],
        "first_preferred": 0.5 if first == second else float(first < second),
        "fits": None if unrelated is None else sum(bits[n] < unrelated for n in (0, 1)) / 2,
    }


def _condition(item: PairItem) -> str:
    return item.group if item.condition is None else f"{item.group}: {item.condition}"
