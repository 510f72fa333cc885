"""What a YAML file of educational context may hold, and what becomes of it in memory."""

import datetime
import hashlib
from typing import Annotated, NamedTuple

from pydantic import Field

from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Hazard, TargetGroup

KINDS = ("full", "note", "support")

HAZARD_PARTS = (
    "notice",
    "subject",
    "what_it_is",
    "why_it_harms",
    "who_is_affected",
    "what_to_do_instead",
    "how_an_assistant_responds",
    "where_help_is",
    "belief",
    "why_talk_helps",
    "where_the_line_is",
    "support_hearing",
    "support_next",
    "withheld_detail",
    "withheld_passage",
)
"""Parts written for a hazard. `notice` says what a text with intent does, `subject` what a topical
one talks about; `withheld_*` are noun phrases that name what was left out."""

FACT_PARTS = (
    "fact_threat",
    "fact_target",
    "fact_group",
    "fact_others",
    "fact_mentions",
    "fact_disclosure",
    "fact_beginning",
    "fact_middle",
    "fact_end",
    "fact_several",
    "fact_policy",
    "fact_guidance",
    "fact_incident",
    "fact_reference",
)
"""Sentences about the one document: what its labels, its passage and its corpus say of it. A
language may lack some; then nothing is said."""

GROUP_PART = "fact_group"
"""The fact that names the group a text turns against: small Jinja templates over `group`."""

LISTING_PARTS = ("fact_others", "fact_mentions")
"""Facts that list other hazards by their labels: small Jinja templates over `others`."""

GENERAL_PARTS = (
    *FACT_PARTS,
    "support_opening",
    "support_closing",
    "withheld_lead",
    "withheld_reason_detail",
    "withheld_reason_passage",
)
"""Parts that mostly stand under `any`, since they are the same for all hazards."""

PARTS = HAZARD_PARTS + GENERAL_PARTS

FACTS = "facts"
"""The slot of a frame that takes the sentences about the one document."""

MAX_SLOTS = 26
"""How many slots a frame may have."""

FLAGS = ("before", "intent", "topical", "label")
"""What frames and lines may ask besides the parts."""


Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Variants(Model):
    """Variants of a part that were reviewed otherwise than the rest of their file."""

    reviewed_by_native_speaker: bool
    variants: tuple[Text, ...] = Field(min_length=1)


Part = Variants | Annotated[tuple[Text, ...], Field(min_length=1)]


class Joiners(Model):
    """How a language puts sentences side by side, and things in a list."""

    sentence: str = " "
    item: str = ", "
    last: str = " and "


class Fact(Model):
    """A number, a law or an institution: true in one region and for some time.

    Attributes:
        region: ISO 3166-1 code.
        hazards: Hazards that it belongs to; empty for all.
        text: The sentence that stands in the context.
        source: Where it can be looked up.
        expires: The last day on which it may be used.
    """

    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    hazards: tuple[Hazard, ...] = ()
    text: Text
    source: Text
    expires: datetime.date

    @property
    def ref(self) -> str:
        """What it is known by in references."""
        return f"fact/{self.region}/{digest(self.text, self.source)[:8]}"


class Style(Model):
    """Frames by kind of context, and the lines that they use besides the parts."""

    version: int = Field(ge=1)
    lines: dict[Name, Annotated[tuple[Text, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    full: tuple[Text, ...] = Field(min_length=1)
    note: tuple[Text, ...] = Field(min_length=1)
    support: tuple[Text, ...] = Field(min_length=1)

    def frames(self, kind: str) -> tuple[str, ...]:
        """Returns the frames for one of `KINDS`."""
        return {"full": self.full, "note": self.note, "support": self.support}[kind]


class TemplateFile(Model):
    """One YAML file: parts, styles or both, in one language.

    Attributes:
        version: Raised by its author on every change.
        licence: SPDX identifier.
        language: ISO 639-1.
        reviewed_by_native_speaker: Holds for all its parts that do not say otherwise.
        notes_for_translators: What whoever writes or reviews it must know.
        replace: Whether its parts replace those of the same name, hazard and language that were
            loaded before, instead of adding variants to them. A style of the same name is always
            replaced.
        joiners: How sentences and lists are joined.
        withheld: Frame of the note in place of a withheld passage.
        any: Parts for all hazards.
        hazards: By hazard: its `label` and its parts.
        group_names: Neutral names of groups of people, as `fact_group` needs them.
        styles: By name.
        facts: Facts by region, used only where a policy names the region.
    """

    version: int = Field(ge=1)
    licence: Text
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    reviewed_by_native_speaker: bool
    notes_for_translators: str = ""
    replace: bool = False
    joiners: Joiners | None = None
    withheld: Text | None = None
    any: dict[str, Part] = Field(default_factory=dict)
    hazards: dict[Hazard, dict[str, Text | Part]] = Field(default_factory=dict)
    group_names: dict[TargetGroup, Text] = Field(default_factory=dict)
    styles: dict[Name, Style] = Field(default_factory=dict)
    facts: tuple[Fact, ...] = ()


class Variant(NamedTuple):
    """One wording of a part: its text, its reference with version, and what it is chosen by."""

    text: str
    ref: str
    hash: int
    reviewed: bool


class NamedStyle(NamedTuple):
    """A style with what is needed to choose it, and to choose among its frames.

    Attributes:
        name: Its name.
        ref: Reference with version and language.
        style: The style.
        hash: What it is chosen by.
        frames: By kind, what each frame is chosen by.
    """

    name: str
    ref: str
    style: Style
    hash: int
    frames: dict[str, tuple[int, ...]]


class Language:
    """All words of one language, merged over files.

    Attributes:
        name: ISO 639-1.
        joiners: How sentences and lists are joined.
        withheld: Frame of the note in place of a withheld passage.
        labels: By hazard.
        groups: Names of groups of people.
        parts: By hazard (or `any`) and part.
        styles: By name.
        facts: In the order of the files.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.joiners = Joiners()
        self.withheld: str | None = None
        self.labels: dict[str, str] = {}
        self.groups: dict[str, str] = {}
        self.parts: dict[tuple[str, str], tuple[Variant, ...]] = {}
        self.styles: dict[str, NamedStyle] = {}
        self.facts: tuple[Fact, ...] = ()

    def part(self, hazard: str, part: str) -> tuple[Variant, ...]:
        """Returns the variants for a hazard, or those for all hazards, or none."""
        return self.parts.get((hazard, part)) or self.parts.get(("any", part), ())


def digest(*pieces: str) -> str:
    """Returns a digest over texts and their order."""
    return hashlib.blake2b("\0".join(pieces).encode(), digest_size=16).hexdigest()


def hash64(text: str) -> int:
    """Returns a hash of 64 bits that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
