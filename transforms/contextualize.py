"""Puts educational context beside a text, notes in place of withheld passages, and masks.

The original stays recoverable: everything added or replaced is a span of its own, and the spans
marked `original` give back, byte for byte, what was neither withheld nor masked.
"""

import datetime
import functools
import operator
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.context_policy import Context
from raicurate.corpora_manifests.policy import Policy
from raicurate.corpora_manifests.vocabulary import DATA_ACTIONS
from raicurate.transforms.context_assembly import Edit, assemble, recover_original
from raicurate.transforms.context_placement import Place, places, position_of
from raicurate.transforms.context_rows import (
    OUTPUT,
    Document,
    Hazard,
    Result,
    Results,
    documents_of,
)
from raicurate.transforms.context_withholding import masks, placed, slur_masks, withheld
from raicurate.transforms.control_tokens import token_edits
from raicurate.transforms.verify_context import Checks, Written, rejections

__all__ = ["FAILED_RULE", "OUTPUT", "ContextWriter", "contextualize", "recover_original"]

VERSION = "3"
"""Part of the keys of units: raised when the same words and labels would make another text."""

ATTEMPTS = 6
"""How often a document is written before it is restricted: once in each style that ships."""

FAILED_RULE = "context-not-accepted"
_MAX_FACTS = 3
NO_TEMPLATE = "no_template"
NO_HAZARD = "no_hazard"


class _Context(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def refs(self) -> tuple[str, ...]: ...
    @property
    def lang(self) -> str: ...
    @property
    def pieces(self) -> tuple[str, ...]: ...


class ContextWriter(Protocol):
    """What writes context; `exercise_templates.context.ContextLibrary` is one."""

    languages: tuple[str, ...]

    def request(
        self,
        *,
        document_id: str,
        lang: str,
        kind: Any,
        hazards: Any,
        role: Any,
        styles: tuple[str, ...],
        placement: Any,
        position: Any,
        group: str,
    ) -> Any:
        """Returns what `write` takes: the facts of one document."""

    def write(self, request: Any, attempt: int = 0) -> _Context | None:
        """Returns the context for a document, another one for each attempt, or None."""

    def facts(
        self, lang: str, hazards: Any, regions: Sequence[str], as_of: datetime.date
    ) -> Sequence[Any]:
        """Returns the facts for some hazards in some regions; each has a `text`."""

    def withheld_note(
        self, document_id: str, lang: str, hazard: str, kind: Any, attempt: int = 0
    ) -> str | None:
        """Returns the note in place of a withheld passage, or None without words for it."""


def contextualize(
    batch: pa.RecordBatch, policy: Policy, library: ContextWriter, checks: Checks
) -> pa.RecordBatch:
    """Applies context, withholding and masks to the rows that are published.

    A row without any of them passes unchanged and untouched. An empty list of spans means that all
    of `text` is original. A document whose context is not accepted after all attempts, or that
    has no words in its language, becomes `restrict` under the rule `context-not-accepted`, with its
    original text; one that is merely kept with a note stays kept without it. Either way
    `rejection` says why.

    Args:
        batch: Columns `id`, `text`, `lang`, `role`, `action`, `rule`, `context_kind`, `withhold`,
            `active_hazards` (list of struct: hazard, stance, operational, score, start, end,
            target, threat, severity; what the policy's thresholds let through),
            `personal_data` (list of struct: start, end, kind) and `target_group`. Offsets are code
            points of `text`.
        policy: Says where context stands, how much may be added and what is masked.
        library: Writes the context.
        checks: Models for the acceptance of what was written.

    Returns:
        As many rows, with the columns of `OUTPUT`.
    """
    results = Results()
    for documents in documents_of(batch, _rows_to_touch(batch, policy)):
        for result in _work(documents, policy, library, checks):
            results.add(result)
    return results.merged(batch)


def _rows_to_touch(batch: pa.RecordBatch, policy: Policy) -> np.ndarray:
    published = pc.is_in(batch["action"], pa.array(DATA_ACTIONS))
    wanted = pc.or_(
        pc.fill_null(pc.not_equal(batch["context_kind"], "none"), False),
        pc.fill_null(pc.not_equal(batch["withhold"], "nothing"), False),
    )
    if policy.personal_data.mask:
        wanted = pc.or_(wanted, _has_any(batch["personal_data"]))
    if policy.context.slurs is not None:
        wanted = pc.or_(wanted, _has_any(batch["active_hazards"]))
    rows: np.ndarray = np.flatnonzero(pc.and_(published, wanted).to_numpy(zero_copy_only=False))
    return rows


def _has_any(lists: pa.Array) -> pa.Array:
    return pc.greater(pc.fill_null(pc.list_value_length(lists), 0), 0)


def _work(
    documents: Sequence[Document], policy: Policy, library: ContextWriter, checks: Checks
) -> list[Result]:
    """Writes, checks and, where something is not accepted, writes again."""
    results: list[Result] = []
    pending: list[Document] = []
    for document in documents:
        if document.kind == "none" and document.withhold == "nothing":
            results.append(_without_context(document, policy))
        elif document.hazards:
            pending.append(document)
        else:
            results.append(_failed(document, policy, NO_HAZARD))
    for attempt in range(ATTEMPTS):
        tried: list[Document] = []
        written: list[Written] = []
        for document in pending:
            candidate = _write(document, policy, library, attempt)
            if candidate is None:
                results.append(_failed(document, policy, NO_TEMPLATE))
            else:
                tried.append(document)
                written.append(candidate)
        reasons = rejections(written, policy.context, checks)
        pending = []
        for document, candidate, reason in zip(tried, written, reasons, strict=True):
            if reason is None:
                results.append(Result(document.row, candidate.text, candidate.spans))
            elif attempt + 1 < ATTEMPTS:
                pending.append(document)
            else:
                results.append(_failed(document, policy, reason))
    results.sort(key=lambda result: result.row)
    return results


def _without_context(document: Document, policy: Policy) -> Result:
    """Returns a document with nothing but personal data and slurs masked."""
    return Result(document.row, *assemble(document.text, _masks(document, policy)))


def _masks(document: Document, policy: Policy) -> list[Edit]:
    text, wanted = document.text, policy.personal_data
    slurs = slur_masks(text, document.lang, document.hazards, policy.context.slurs)
    return placed(slurs, masks(len(text), document.personal_data, wanted))


def _failed(document: Document, policy: Policy, reason: str) -> Result:
    """Returns what becomes of a document whose context was not accepted."""
    if document.action == "contextualize":
        return Result(document.row, document.text, [], "restrict", FAILED_RULE, reason)
    return _without_context(document, policy)._replace(rejection=reason)


def _write(
    document: Document, policy: Policy, library: ContextWriter, attempt: int
) -> Written | None:
    """Returns one attempt at a document, or None where no language has words for it."""
    for lang in policy.context.languages_for(document.lang):
        if lang in library.languages:
            written = _write_in(lang, document, policy, library, attempt)
            if written is not None:
                return written
    return None


def _write_in(
    lang: str, document: Document, policy: Policy, library: ContextWriter, attempt: int
) -> Written | None:
    text, hazards, wanted = document.text, document.hazards, policy.context
    note_for = functools.partial(_note, library, document.id, lang, attempt)
    notes = withheld(len(text), hazards, document.withhold, note_for)
    if notes is None:
        return None
    replaced = placed(notes, _masks(document, policy))
    removed = [(edit.start, edit.end) for edit in replaced]
    pieces: tuple[str, ...] = tuple([note.text for note in notes])
    added = list(pieces)
    contexts: list[Edit] = []
    if document.kind != "none":
        for place in places(text, hazards, removed, wanted.placement):
            found = _context(lang, document, place, wanted, library, attempt)
            if found is None:
                return None
            contexts.append(Edit(place.at, place.at, "context", found.refs[0], found.text))
            added.append(found.text)
            # Wordings count only where all that is added is known to be made of some.
            pieces = (*pieces, *found.pieces) if found.pieces else ()
    edits = replaced
    if wanted.control_tokens is not None:
        closings, openings = token_edits(
            document.id, text, hazards, replaced, wanted.control_tokens
        )
        edits = _in_order(openings, edits)
        contexts = _in_order(closings, contexts)
    edits = _in_order(contexts, edits)
    passages = [text[hazard.start : hazard.end] for hazard in hazards]
    joined = "\n\n".join(added) if len(added) > 1 else added[0] if added else ""
    return Written(text, *assemble(text, edits), removed, joined, lang, passages, pieces)


def _context(
    lang: str,
    document: Document,
    place: Place,
    wanted: Context,
    library: ContextWriter,
    attempt: int,
) -> _Context | None:
    """Returns the context for a place: the one that leads speaks of all of the document."""
    hazards = document.hazards if place.leads else place.hazards
    found = library.write(
        library.request(
            # A note beside another passage is not worded like the context that leads.
            document_id=document.id if place.leads else f"{document.id}#{place.at}",
            lang=lang,
            kind=document.kind if place.leads else "note",
            hazards=_facts(hazards),
            role=document.role if place.leads else "web",
            styles=wanted.styles,
            placement="before" if wanted.placement == "before" else "after",
            position=position_of(len(document.text), hazards) if place.leads else "",
            group=document.target_group if place.leads else "",
        ),
        attempt,
    )
    if found is None or wanted.facts is None or not place.leads or document.kind == "note":
        return found
    names = [hazard.hazard for hazard in hazards]
    facts = library.facts(lang, names, wanted.facts.regions, wanted.facts.as_of)
    said = tuple([fact.text for fact in facts[:_MAX_FACTS]])
    return _WithFacts(found, said) if said else found


class _WithFacts:
    """A context with sentences from the table of facts as its last paragraph."""

    def __init__(self, context: _Context, facts: tuple[str, ...]) -> None:
        self.text = "\n\n".join((context.text, " ".join(facts)))
        self.refs = context.refs
        self.lang = context.lang
        self.pieces = (*context.pieces, *facts) if context.pieces else ()


def _note(
    library: ContextWriter, document_id: str, lang: str, attempt: int, hazard: str, kind: str
) -> str | None:
    return library.withheld_note(document_id, lang, hazard, kind, attempt)


def _in_order(first: list[Edit], second: list[Edit]) -> list[Edit]:
    """Returns edits in order; of those in the same place, the first ones go ahead."""
    if not first or not second:
        return first or second
    return sorted((*first, *second), key=operator.itemgetter(0))


def _facts(hazards: Sequence[Hazard]) -> list[tuple[Any, ...]]:
    """Returns each hazard and stance once: its gravest severity and everything it ever was."""
    if len(hazards) == 1:
        name, stance, operational, score, _, _, target, threat, severity = hazards[0]
        return [(name, stance, severity, operational, target, threat, score)]
    merged: dict[tuple[str, str], list[Any]] = {}
    for hazard in hazards:
        key = (hazard.hazard, hazard.stance)
        facts = merged.get(key)
        if facts is None:
            merged[key] = [
                *key,
                hazard.severity,
                hazard.operational,
                hazard.target,
                hazard.threat,
                hazard.score,
            ]
        else:
            facts[2] = max(facts[2], hazard.severity)
            facts[3] |= hazard.operational
            facts[4] |= hazard.target
            facts[5] |= hazard.threat
            facts[6] = max(facts[6], hazard.score)
    return [tuple(facts) for facts in merged.values()]
