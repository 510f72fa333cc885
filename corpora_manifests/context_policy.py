"""The part of a policy that says how context is written, and what is masked or marked beside it."""

import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from raicurate.corpora_manifests.model import Model

Share = Annotated[float, Field(ge=0, le=1)]
Region = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class Facts(Model):
    """Which facts of the templates may stand in a context: numbers to call, laws, institutions.

    They are off by default, since a model memorises them and they go stale.

    Attributes:
        regions: ISO 3166-1 codes; a language is not a jurisdiction, so they must be named.
        as_of: The day by which facts are judged; one that expires before it is left out. It stands
            here and is no clock's, so that the same policy gives the same text.
    """

    regions: tuple[Region, ...] = Field(min_length=1)
    as_of: datetime.date


class Slurs(Model):
    """Words that are masked in passages flagged as hate.

    Attributes:
        terms: By language; a `*` at the end stands for any ending.
        placeholder: What stands in their place.
    """

    terms: dict[str, tuple[Annotated[str, Field(pattern=r"^[^*\s][^*]*\*?$")], ...]] = Field(
        min_length=1
    )
    placeholder: Annotated[str, Field(min_length=1)] = "[slur]"


class ControlTokens(Model):
    """Tokens that mark harmful passages, so that a trainer can condition on them or mask the loss.

    Attributes:
        scope: `segments` puts one token before a passage and one after it; `words` puts the first
            one before words of the passage.
        rate: Share of the words that are marked, for `words`.
        dropout: Share of the documents that get no tokens, so that a model also learns without.
        opening: Token before; `{hazard}` becomes the name of the hazard.
        closing: Token after, for `segments`.
    """

    scope: Literal["segments", "words"]
    rate: Share = 0.15
    dropout: Share = 0.1
    opening: Annotated[str, Field(min_length=1)] = "<|{hazard}|>"
    closing: Annotated[str, Field(min_length=1)] = "<|/{hazard}|>"


class Context(Model):
    """How context is written.

    Attributes:
        styles: Styles to choose among; empty for all.
        placement: Where the context stands: after what it speaks of, before it, or between, right
            behind the paragraph of the worst passage, with the rest of the text following.
        max_added_ratio: Added characters over original characters must not exceed this...
        max_added_chars: ...unless fewer characters than this are added.
        fallback_language: Language of the context where a language has no templates; without
            one, such documents are restricted.
        fallback_languages: The same by language, before `fallback_language`.
        lookalike_rate: Share of the kept documents that only talk about a hazard which get a note
            that says why they are not harmful.
        name_targets: Whether a context names the group that a text turns against, where a label or
            the passage says which one it is.
        facts: Facts that may stand in a context; none where it is not set.
        slurs: Words that are masked in passages flagged as hate.
        control_tokens: Tokens around harmful passages.
    """

    styles: tuple[str, ...] = ()
    placement: Literal["after", "before", "between"] = "after"
    max_added_ratio: float = Field(default=2.0, gt=0)
    max_added_chars: int = Field(default=2000, ge=0)
    fallback_language: str | None = None
    fallback_languages: dict[str, str] = Field(default_factory=dict)
    lookalike_rate: Share = 0.0
    name_targets: bool = True
    facts: Facts | None = None
    slurs: Slurs | None = None
    control_tokens: ControlTokens | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Context":
        for lang, other in self.fallback_languages.items():
            if lang == other:
                raise ValueError(f"`fallback_languages` sends {lang!r} to itself")
        return self

    def languages_for(self, lang: str | None) -> tuple[str, ...]:
        """Returns the languages in which a document may get its context, the best first."""
        known = (lang, self.fallback_languages.get(lang or ""), self.fallback_language)
        return tuple(dict.fromkeys(language for language in known if language is not None))
