"""Control tokens: marks around harmful passages, or before their words, as spans of their own."""

import re
from collections.abc import Iterator, Sequence

from raicurate.corpora_manifests.context_policy import ControlTokens
from raicurate.corpora_manifests.digests import draw_of
from raicurate.transforms.context_assembly import Edit
from raicurate.transforms.context_rows import Hazard

_WORD = re.compile(r"\S+")


def token_edits(
    document_id: str,
    text: str,
    hazards: Sequence[Hazard],
    taken: Sequence[Edit],
    wanted: ControlTokens,
) -> tuple[list[Edit], list[Edit]]:
    """Returns the tokens of a document: those that close a passage, and those that open something.

    Args:
        document_id: Decides whether the document gets tokens at all, and which words do.
        text: The original text.
        hazards: Its hazards; those that are meant are marked.
        taken: What stands in place of stretches of the text, in order and apart; no token goes
            inside of one.
        wanted: What the policy asks for.
    """
    if draw_of("tag", document_id, "dropout") < wanted.dropout:
        return [], []
    closings: list[Edit] = []
    openings: list[Edit] = []
    for start, end, hazard in _passages(text, hazards):
        opening = Edit(start, start, "tag", hazard, wanted.opening.replace("{hazard}", hazard))
        if wanted.scope == "segments":
            closing = wanted.closing.replace("{hazard}", hazard)
            openings.append(_outside(opening, taken))
            closings.append(_outside(Edit(end, end, "tag", hazard, closing), taken))
            continue
        for word in _WORD.finditer(text, start, end):
            at = word.start()
            gone = any(edit.start <= at < edit.end for edit in taken)
            if not gone and draw_of("tag", document_id, at) < wanted.rate:
                openings.append(opening._replace(start=at, end=at))
    return closings, openings


def _passages(text: str, hazards: Sequence[Hazard]) -> Iterator[tuple[int, int, str]]:
    """Yields the passages that are meant, in order and apart, each with its gravest hazard."""
    done = 0
    for hazard in sorted(hazards, key=lambda h: (h.start, -h.severity, -h.end, h.hazard)):
        start, end = max(hazard.start, done), min(hazard.end, len(text))
        if hazard.stance == "intent" and start < end:
            yield start, end, hazard.hazard
            done = end


def _outside(edit: Edit, taken: Sequence[Edit]) -> Edit:
    """Returns a token behind what would otherwise be cut in two by it."""
    for other in taken:
        if other.start < edit.start < other.end:
            return edit._replace(start=other.end, end=other.end)
    return edit
