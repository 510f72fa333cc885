"""What the authors of a policy say of its clauses, in a file beside it.

    version: 1
    clauses:
      4f0c2a91d3b87e65:
        quote: The owner must report
        override: {actor: The owner of the system, condition: null}
        rationale: So that the harm can be stopped while it is small.
        carve_out: unless the regulator has asked for silence
        signed_off: {by: Head of Compliance, on: "2026-03-01"}
      77b0aa3c5512de09:
        teach: false

A clause is named by its id, which depends on its words, so that the file goes on to hold for a new
version of the document wherever the clause is unchanged.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import read_yaml, validated
from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Dimension, Hazard
from raicurate.transforms.clause import Clause, Modality, Span
from raicurate.transforms.inline_markup import lower
from raicurate.transforms.policy_document import PolicyDocument

Text = Annotated[str, Field(min_length=1)]
ClauseId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]

PARTS = (
    "actor",
    "modal",
    "action",
    "object",
    "condition",
    "exception",
    "quantity",
    "rationale",
)
"""The fields that are stretches of the document."""

# How alike a quote and a clause must be for the clause to be named as what it may have become.
_ALIKE = 0.6


class SignOff(Model):
    """Who answers for a clause as it was parsed, and since when (ISO 8601)."""

    by: Text
    on: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Override(Model):
    """Fields that were parsed wrongly. A text must stand in the document; null empties a field."""

    modality: Modality | None = None
    negated: bool | None = None
    restricted: bool | None = None
    actor: Text | None = None
    modal: Text | None = None
    action: Text | None = None
    object: Text | None = None
    condition: Text | None = None
    exception: Text | None = None
    quantity: Text | None = None
    rationale: Text | None = None
    dimensions: tuple[Dimension, ...] | None = None
    hazards: tuple[Hazard, ...] | None = None


class Note(Model):
    """What the authors say of one clause.

    Attributes:
        quote: Its first words, for whoever reads the file, and to find it again once it changed.
        override: Fields that were parsed wrongly.
        rationale: Why the rule exists, in the authors' words.
        carve_out: A further exception, in the authors' words.
        signed_off: Who answers for it.
        teach: Whether exercises may be made of it.
    """

    quote: Text | None = None
    override: Override | None = None
    rationale: Text | None = None
    carve_out: Text | None = None
    signed_off: SignOff | None = None
    teach: bool = True


class Sidecar(Model):
    """One file of notes, by id of the clause."""

    version: int = Field(ge=1, le=1)
    clauses: dict[ClauseId, Note] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of all that it says."""
        return digest(self.model_dump(mode="json", exclude_unset=True))


@dataclass(frozen=True, slots=True)
class AuthoredClause:
    """A clause with what its authors say of it.

    Attributes:
        clause: The clause, overridden where they say so.
        rationale: Why it exists, in their words.
        carve_out: A further exception, in their words.
        signed_off: Whether someone answers for it.
        teach: Whether exercises may be made of it.
    """

    clause: Clause
    rationale: str | None = None
    carve_out: str | None = None
    signed_off: bool = False
    teach: bool = True


@dataclass(frozen=True, slots=True)
class Unapplied:
    """A note that could not be applied, or a part of it.

    Attributes:
        clause: The id that the note names.
        field: The field whose text is not in the document; None where there is no such clause.
        nearest: Id of the clause that the named one may have become.
    """

    clause: str
    field: str | None = None
    nearest: str | None = None

    def __str__(self) -> str:
        if self.field is not None:
            return (
                f"clause {self.clause}: the text for {self.field!r} is not in the document, so the "
                "field is as it was parsed; quote the document, or use `rationale` or "
                "`carve_out` for words of your own"
            )
        cure = (
            f"if it is now clause {self.nearest}, move the note there"
            if self.nearest
            else "see the ids with `raicurate exercises preview`, and move or delete the note"
        )
        return (
            f"clause {self.clause}: no document has such a clause, so the note has no effect: its "
            f"words changed, or it is gone; {cure}"
        )


def read_sidecar(path: Path) -> Sidecar:
    """Returns the notes in a file.

    Raises:
        ManifestError: The file cannot be used; the message lists every fault.
    """
    try:
        return validated(Sidecar, read_yaml(path), str(path))
    except ManifestError as error:
        raise ManifestError(
            f"{error}\n(a sidecar names clauses by 16 hexadecimal digits)"
        ) from None


def apply_sidecar(
    document: PolicyDocument, clauses: Sequence[Clause], sidecar: Sidecar
) -> tuple[list[AuthoredClause], list[Unapplied]]:
    """Returns the clauses with what the authors say of them, and what could not be applied.

    Notes on clauses that this document does not have are not reported here, since a file may hold
    notes on several documents; see `unknown_clauses`.
    """
    authored = []
    unapplied: list[Unapplied] = []
    for clause in clauses:
        note = sidecar.clauses.get(clause.id)
        if note is None:
            authored.append(AuthoredClause(clause))
            continue
        changed = clause
        if note.override is not None:
            changed, missing = _overridden(document, clause, note.override)
            unapplied += [Unapplied(clause.id, name) for name in missing]
        authored.append(
            AuthoredClause(
                changed,
                note.rationale,
                note.carve_out,
                note.signed_off is not None,
                note.teach,
            )
        )
    return authored, unapplied


def apply_sidecars(
    document: PolicyDocument, clauses: Sequence[Clause], sidecars: Sequence[Sidecar]
) -> tuple[list[Clause], dict[str, AuthoredClause], list[Unapplied]]:
    """Returns the clauses as several files leave them, the notes by clause, and what is left over.

    Where two files speak of one clause, both overrides hold and the later one's words are taken.
    """
    current = list(clauses)
    notes: dict[str, AuthoredClause] = {}
    left_over: list[Unapplied] = []
    for sidecar in sidecars:
        authored, unapplied = apply_sidecar(document, current, sidecar)
        left_over += unapplied
        current = [note.clause for note in authored]
        notes |= {note.clause.id: note for note in authored if note.clause.id in sidecar.clauses}
    return current, notes, left_over


def unknown_clauses(
    sidecar: Sidecar, documents: Sequence[tuple[PolicyDocument, Sequence[Clause]]]
) -> list[Unapplied]:
    """Returns the notes on clauses that no document has, with what each may have become."""
    words = {
        clause.id: document.words(clause.span)
        for document, clauses in documents
        for clause in clauses
    }
    free = [(name, text) for name, text in words.items() if name not in sidecar.clauses]
    return [
        Unapplied(name, nearest=_nearest(note.quote, free))
        for name, note in sorted(sidecar.clauses.items())
        if name not in words
    ]


def _nearest(quote: str | None, clauses: Sequence[tuple[str, str]]) -> str | None:
    best, most = None, _ALIKE
    for name, text in clauses:
        if quote is not None:
            alike = difflib.SequenceMatcher(None, quote, text[: len(quote)]).ratio()
            if alike > most:
                best, most = name, alike
    return best


def _overridden(
    document: PolicyDocument, clause: Clause, override: Override
) -> tuple[Clause, list[str]]:
    """Returns the clause with its fields replaced, and the fields whose text was not found."""
    changes: dict[str, Any] = {}
    missing = []
    for name in sorted(override.model_fields_set):
        value = getattr(override, name)
        if name not in PARTS:
            if value is not None:
                changes[name] = value
        elif value is None:
            changes[name] = None
        elif (span := _find(document, clause, value)) is not None:
            changes[name] = span
        else:
            missing.append(name)
    return replace(clause, **changes), missing


def _find(document: PolicyDocument, clause: Clause, text: str) -> Span | None:
    """Returns where a text stands: in the clause, in what leads to it, or in its section."""
    sought = lower(" ".join(text.split()))
    near = [
        block
        for block in document.blocks
        if document.section_path(block) == clause.section or _overlaps(block.span, clause.span)
    ]
    wanted = [clause.span, *([clause.lead] if clause.lead else [])]
    for block in sorted(near, key=lambda b: not any(_overlaps(b.span, w) for w in wanted)):
        begin = block.words.inside(clause.span)[0] if _overlaps(block.span, clause.span) else 0
        at = block.words.lower.find(sought, begin)
        at = block.words.lower.find(sought) if at < 0 else at
        if at >= 0:
            return block.words.span(at, at + len(sought))
    return None


def _overlaps(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end
