"""The texts of a suite's items, as they would stand in training data that gives an answer away."""

from collections.abc import Iterable, Iterator
from typing import Any

from raicurate.probes.contamination import ProbeText


def probe_texts(items: Iterable[Any]) -> Iterator[ProbeText]:
    """Yields what to look for of each item or document, in order."""
    for item in items:
        for part, text in enumerate(_texts(item)):
            yield ProbeText(item.id, part, text)


def _texts(item: Any) -> Iterator[str]:
    kind = getattr(item, "kind", "document")
    if kind == "document":
        yield item.text
    elif kind == "crossed":
        for context, continuation in zip(item.contexts, item.continuations, strict=True):
            yield context + continuation
    elif kind == "refusal":
        yield item.harmful
        yield item.benign
    elif kind == "pair":
        for version in item.versions:
            yield item.context + version
    elif kind == "choice":
        yield f"{item.context} {item.question} {item.options[item.answer]}"
    elif kind == "prompt":
        yield f"{item.prompt} {item.reference or ''}"
    else:
        raise ValueError(f"nothing is known of the texts of items of kind {kind!r}")
