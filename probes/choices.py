"""Questions with options, asked by likelihood: as completions and by letter.

Raw log-likelihoods are kept in the records; each measure is worked out from them. Letters ask
something that small models cannot do, so a model that is at chance with letters on benign questions
shows nothing by them (see `gate.sensitive`).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa

from raicurate.probes.backend import Request
from raicurate.probes.few_shot import DRAWS, Example, eligible, nested_draws
from raicurate.probes.items import ChoiceItem
from raicurate.probes.records import UNCONDITIONAL, Ask, by_item, measure_table

Form = Literal["cloze", "letter"]

MEASURES = ("acc", "acc_norm", "acc_bytes", "acc_pmi", "margin", "gold_probability", "gold_bpb")

ANSWER = "Answer:"
"""Stands before each option; alone, it is the neutral prompt of `acc_pmi`."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def prompt(item: ChoiceItem, form: Form) -> str:
    """Returns what a model reads before the option.

    A cloze question of the set (condition `cloze`) is completed as it is.
    """
    parts = [item.context] if item.context else []
    if form == "letter":
        options = (f"{LETTERS[n]}. {text}" for n, text in enumerate(item.options))
        return "\n".join([*parts, item.question, *options, ANSWER])
    if item.condition == "cloze":
        return " ".join([*parts, item.question])
    return "\n".join([*parts, item.question, ANSWER])


def continuations(item: ChoiceItem, form: Form) -> tuple[str, ...]:
    """Returns the options as continuations, each with the space before it."""
    texts = LETTERS[: len(item.options)] if form == "letter" else item.options
    return tuple(" " + text.strip() for text in texts)


def example(item: ChoiceItem, form: Form) -> Example:
    """Returns an item with its answer, to stand before another one."""
    text = prompt(item, form) + continuations(item, form)[item.answer]
    answer = LETTERS[item.answer] if form == "letter" else ""
    return Example(item.id, item.language, item.hazard, item.dimension, item.group, answer, text)


def asks(
    suite: str,
    items: Sequence[ChoiceItem],
    form: Form = "cloze",
    *,
    examples: Sequence[ChoiceItem] = (),
    shots: Sequence[int] = (0,),
    draws: int = DRAWS,
) -> Iterator[Ask]:
    """Yields the options of each item, after each number of examples in each draw.

    Args:
        suite: Name of the suite or set.
        items: What is asked.
        form: How it is asked.
        examples: Items to draw worked examples from; without them only 0 shots are asked. An item
            with fewer than k eligible examples is not asked with k.
        shots: Numbers of examples.
        draws: Draws of examples for each number above 0.
    """
    worked = [example(item, form) for item in examples]
    for item in items:
        others = eligible(worked, item.id, item.language, item.hazard, item.dimension, item.group)
        drawn = nested_draws(others, item.id, draws=draws, shots=max(shots, default=0))
        for k in shots:
            for draw in range(draws if k else 1):
                chosen = drawn[draw][:k] if k else []
                if len(chosen) == k:
                    before = "".join(shown.text + "\n\n" for shown in chosen)
                    yield from _options(suite, item, form, before + prompt(item, form), k, draw)
        if form == "cloze":
            yield from _options(suite, item, form, ANSWER, 0, 0, UNCONDITIONAL)


def _options(
    suite: str, item: ChoiceItem, form: Form, before: str, k: int, draw: int, context: int = 0
) -> Iterator[Ask]:
    for number, text in enumerate(continuations(item, form)):
        yield Ask(
            suite,
            item.id,
            form,
            item.language,
            Request(before, text),
            source=item.source,
            cluster=item.cluster,
            dimension=item.dimension,
            hazard=item.hazard,
            condition=item.condition,
            k=k,
            draw=draw,
            context=context,
            continuation=number,
            role=item.roles[number] if item.roles else None,
            right=number == item.answer,
        )


def measures(samples: pa.Table, form: str = "cloze") -> pa.Table:
    """Returns the measures of each item, number of examples and draw.

    `acc` picks the option of the highest log-likelihood, `acc_norm` for its characters, `acc_bytes`
    for its bytes (both without the space before it, as lm-evaluation-harness counts), `acc_pmi`
    less its log-likelihood after a neutral prompt; the first of equals is picked. `margin` is the
    log-likelihood of the right option less that of the best other one, in nats for each byte;
    `gold_probability` is the share of the right one when the log-likelihoods for each byte are made
    probabilities; `gold_bpb` the bits of the right one for each of its bytes.
    """
    groups = by_item(samples, form)
    neutral: dict[tuple[str, str, str], dict[int, float]] = {}
    for rows in groups:
        for row in rows:
            if row["context"] == UNCONDITIONAL:
                key = (row["model_digest"], row["suite"], row["item"])
                neutral.setdefault(key, {})[row["continuation"]] = -row["sum_nll_nats"]
    return measure_table(_measured(groups, neutral), MEASURES)


def _measured(
    groups: Iterable[list[dict[str, Any]]],
    neutral: Mapping[tuple[str, str, str], Mapping[int, float]],
) -> Iterator[tuple[dict[str, Any], Mapping[str, float | None]]]:
    for rows in groups:
        asked = sorted(
            (row for row in rows if row["context"] != UNCONDITIONAL),
            key=lambda row: row["continuation"],
        )
        if asked:
            key = (asked[0]["model_digest"], asked[0]["suite"], asked[0]["item"])
            yield asked[0], _measures(asked, neutral.get(key))


def _measures(
    rows: list[dict[str, Any]], neutral: Mapping[int, float] | None
) -> Mapping[str, float | None]:
    nats = [-row["sum_nll_nats"] for row in rows]
    gold = next(place for place, row in enumerate(rows) if row["right"])
    size = [row["n_utf8_bytes"] for row in rows]
    per_byte = [value / count for value, count in zip(nats, size, strict=True)]
    total = math.fsum(math.exp(value - max(per_byte)) for value in per_byte)
    pmi = neutral and [
        value - neutral[row["continuation"]] for value, row in zip(nats, rows, strict=True)
    ]
    return {
        "acc": _picks(nats, gold),
        "acc_norm": _picks(
            [value / row["n_chars"] for value, row in zip(nats, rows, strict=True)], gold
        ),
        "acc_bytes": _picks([v / (count - 1) for v, count in zip(nats, size, strict=True)], gold),
        "acc_pmi": _picks(pmi, gold) if pmi else None,
        "margin": per_byte[gold] - max(v for n, v in enumerate(per_byte) if n != gold),
        "gold_probability": math.exp(per_byte[gold] - max(per_byte)) / total,
        "gold_bpb": -per_byte[gold] / math.log(2),
    }


def _picks(values: Sequence[float], gold: int) -> float:
    return float(max(range(len(values)), key=values.__getitem__) == gold)
