"""Puts edits into a text: what stands in place of a stretch of it, and what is added between.

Everything that is added or replaced is a span of its own, so the spans marked `original` give back,
byte for byte, what was neither withheld nor masked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Span = tuple[int, int, str, str | None]
"""Start, end, kind and reference, as in `schema.SPAN`."""


class Edit(NamedTuple):
    """A stretch of the original and what stands in its place; an empty one where text is added.

    Context is set off by blank lines, everything else stands as it is.
    """

    start: int
    end: int
    kind: str
    ref: str
    text: str


def assemble(original: str, edits: Sequence[Edit]) -> tuple[str, list[Span]]:
    """Returns the text to publish and its spans; no spans where nothing was done to it.

    Args:
        original: The original text.
        edits: What is done to it, in order and apart.
    """
    pieces: list[str] = []
    spans: list[Span] = []
    length = done = 0
    for number, edit in enumerate(edits):
        start, end, kind, ref, text = edit
        if start > done:
            pieces.append(original[done:start])
            spans.append((length, length + start - done, "original", None))
            length += start - done
        if kind == "context":
            text = _set_off(text, pieces, original, edits, number)
        if text:
            pieces.append(text)
            spans.append((length, length + len(text), kind, ref))
            length += len(text)
        done = end
    if edits and done < len(original):
        pieces.append(original[done:])
        spans.append((length, length + len(original) - done, "original", None))
    return ("".join(pieces), spans) if edits else (original, [])


def recover_original(text: str, spans: Sequence[Mapping[str, Any]]) -> str:
    """Returns what of `text` is original: all of it where nothing was withheld or masked.

    Args:
        text: A published text.
        spans: Its spans, as dicts with `start`, `end` and `kind`; empty where all is original.
    """
    if not spans:
        return text
    return "".join(
        text[span["start"] : span["end"]] for span in spans if span["kind"] == "original"
    )


def _set_off(
    text: str, pieces: Sequence[str], original: str, edits: Sequence[Edit], number: int
) -> str:
    """Returns a context with the line breaks that are missing around it."""
    left = pieces[-1] if pieces else ""
    at = edits[number].end
    right = original[at : at + 2]
    if number + 1 < len(edits) and edits[number + 1].start == at:
        right = edits[number + 1].text
    opening = ""
    if left and left[-2:] != "\n\n":
        opening = "\n" if left[-1] == "\n" else "\n\n"
    closing = ""
    if right and right[:2] != "\n\n":
        closing = "\n" if right[0] == "\n" else "\n\n"
    return f"{opening}{text}{closing}"
