"""A clause of a policy document: what it says, and where exactly it says it."""

from dataclasses import dataclass
from typing import Literal, get_args

Modality = Literal[
    "obligation",
    "prohibition",
    "permission",
    "recommendation",
    "definition",
    "purpose",
    "consequence",
    "exception",
]
MODALITIES: tuple[str, ...] = get_args(Modality)
DEONTIC: tuple[str, ...] = ("obligation", "prohibition", "permission", "recommendation")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the document's text in Unicode code points; `end` is exclusive."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """Returns the stretch of `text`."""
        return text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Clause:
    """One rule, definition or reason, with every field as a span of the document.

    Nothing is paraphrased: a field that is set can be read in the document at its span. Lists are
    kept with their lead-in: `action` may be an item, and `lead` the sentence before the list.

    Attributes:
        id: First 16 hexadecimal digits of the SHA-256 of the clause's words (lead and text, case
            and spacing folded) and the document's family, so that it survives a new version of the
            document that leaves the clause as it is.
        document: Id of the document.
        language: Language of the document.
        section: Titles from the document's root to the section of the clause.
        span: The whole clause (the item of a list without its bullet).
        lead: The sentence that introduces the list of which the clause is an item.
        text_sha256: Digest of the document's text, to which the offsets belong.
        modality: What kind of clause it is.
        negated: Whether the modal is negated ("must not"); for a permission, "need not".
        restricted: Whether a permission holds only as far as it is stated ("may only ... if").
        actor: Who is addressed, where the clause names someone.
        modal: The words that carry the modality.
        negation: The word that negates, where it stands apart from the modal, within the action.
        action: What must, must not, may or should be done; the definition of a definition.
        object: What the action is done to; the term of a definition.
        condition: When the clause applies ("if ...", "where ...").
        exception: When it does not ("unless ...", "except ...").
        quantity: A deadline, number or limit.
        rationale: The stretch that states the reason, in the clause or beside it.
        dimensions: The responsible-AI dimensions that it concerns.
        hazards: The hazards that it names.
    """

    id: str
    document: str
    language: str
    section: tuple[str, ...]
    span: Span
    text_sha256: str
    modality: Modality
    lead: Span | None = None
    negated: bool = False
    restricted: bool = False
    actor: Span | None = None
    modal: Span | None = None
    negation: Span | None = None
    action: Span | None = None
    object: Span | None = None
    condition: Span | None = None
    exception: Span | None = None
    quantity: Span | None = None
    rationale: Span | None = None
    dimensions: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()
