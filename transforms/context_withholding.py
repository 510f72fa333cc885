"""What gives way in a text: passages to notes that say what is missing, personal data to masks."""

import functools
import re
from collections.abc import Callable, Iterable, Sequence

from raicurate.corpora_manifests.context_policy import Slurs
from raicurate.corpora_manifests.policy import PersonalData
from raicurate.transforms.context_assembly import Edit
from raicurate.transforms.context_rows import Hazard

Note = Callable[[str, str], str | None]
"""Returns the note for a hazard and a kind (`detail` or `passage`), None without words for it."""


def masks(length: int, data: Iterable[tuple[int, int, str]], wanted: PersonalData) -> list[Edit]:
    """Returns the placeholders for personal data, in order and apart.

    Args:
        length: Length of the text in code points.
        data: Start, end and kind of each item.
        wanted: Which kinds are masked, and by what.
    """
    edits: list[Edit] = []
    # Of two that overlap, the one that begins first and reaches further names what is masked.
    for start, last, kind in sorted(data, key=lambda item: (item[0], -item[1], item[2])):
        end = min(last, length)
        if kind not in wanted.mask or start >= end:
            continue
        if edits and start < edits[-1].end:
            edits[-1] = edits[-1]._replace(end=max(end, edits[-1].end))
            continue
        placeholder = wanted.placeholder.replace("{kind}", kind)
        edits.append(Edit(start, end, "pii", kind, placeholder))
    return edits


def withheld(
    length: int, hazards: Sequence[Hazard], withhold: str, note_for: Note
) -> list[Edit] | None:
    """Returns the notes in place of withheld passages, in order; None where words are missing.

    Args:
        length: Length of the text in code points.
        hazards: Its hazards.
        withhold: Which passages: `operational`, `worst`, `all` that are meant, or `nothing`.
        note_for: Writes the notes.
    """
    if withhold == "nothing":
        return []
    notes = []
    for start, end, hazard in _passages(length, _chosen(hazards, withhold)):
        note = note_for(hazard.hazard, "detail" if hazard.operational else "passage")
        if note is None:
            return None
        notes.append(Edit(start, end, "withheld", hazard.hazard, note))
    return notes


def _chosen(hazards: Sequence[Hazard], withhold: str) -> list[Hazard]:
    if withhold == "operational":
        return [hazard for hazard in hazards if hazard.operational]
    if withhold == "worst":
        worst = max(hazard.severity for hazard in hazards)
        return [hazard for hazard in hazards if hazard.severity == worst]
    return [hazard for hazard in hazards if hazard.stance == "intent"]


def _passages(length: int, chosen: Iterable[Hazard]) -> list[tuple[int, int, Hazard]]:
    """Returns passages in order and apart, each with the gravest hazard in it."""
    passages: list[tuple[int, int, Hazard]] = []
    for hazard in sorted(chosen, key=lambda h: (h.start, -h.end, -h.severity, h.hazard)):
        start, end = max(hazard.start, 0), min(hazard.end, length)
        if start >= end:
            continue
        if passages and start <= passages[-1][1]:
            first, last, named = passages[-1]
            graver = hazard if hazard.severity > named.severity else named
            passages[-1] = (first, max(last, end), graver)
        else:
            passages.append((start, end, hazard))
    return passages


def placed(notes: list[Edit], over: list[Edit]) -> list[Edit]:
    """Returns notes and placeholders in order; of a placeholder, only what no note covers."""
    if not notes or not over:
        return notes or over
    edits = list(notes)
    for mask in over:
        start = mask.start
        for note in notes:
            if note.end <= start or note.start >= mask.end:
                continue
            if start < note.start:
                edits.append(mask._replace(start=start, end=note.start))
            start = note.end
        if start < mask.end:
            edits.append(mask._replace(start=start))
    return sorted(edits)


@functools.lru_cache(maxsize=64)
def _slur_pattern(terms: tuple[str, ...]) -> re.Pattern[str]:
    # The longest first, so that a term is masked whole where another begins like it.
    longest = sorted(terms, key=lambda term: (-len(term), term))
    forms = (
        re.escape(term[:-1]) + r"\w*" if term.endswith("*") else re.escape(term) for term in longest
    )
    return re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?!\w)", re.IGNORECASE)


def slur_masks(
    text: str, lang: str | None, hazards: Sequence[Hazard], wanted: Slurs | None
) -> list[Edit]:
    """Returns the placeholders for slurs in passages flagged as hate, in order and apart.

    Args:
        text: The original text.
        lang: Its language.
        hazards: Its hazards.
        wanted: Which words are slurs, and what stands in their place; None to mask none.
    """
    terms = wanted.terms.get(lang or "", ()) if wanted is not None else ()
    if wanted is None or not terms:
        return []
    found = {
        match.span()
        for hazard in hazards
        if hazard.hazard == "hate"
        for match in _slur_pattern(terms).finditer(text, hazard.start, hazard.end)
    }
    edits: list[Edit] = []
    for start, end in sorted(found):
        if not edits or start >= edits[-1].end:
            edits.append(Edit(start, end, "withheld", "slur", wanted.placeholder))
    return edits
