"""Frames: Jinja sources rendered down to a pattern with slots, once for what many documents share.

Jinja runs once for each combination of frame, hazard and stance. What is left to do for a document
is to choose variants and to fill a pattern.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2

from raicurate.exercise_templates.context_choice import (
    FIRST_FACT,
    FIRST_SLOT,
    Choices,
    Piece,
    table_of,
    tables_by_rank,
)
from raicurate.exercise_templates.context_files import new_environment
from raicurate.exercise_templates.context_model import (
    FACTS,
    GROUP_PART,
    LISTING_PARTS,
    PARTS,
    Joiners,
    Language,
    NamedStyle,
    Variant,
    digest,
    hash64,
)
from raicurate.exercise_templates.context_request import Arranged, fact_names

# Slots are marked with private-use characters, which no template text holds.
_SLOT = re.compile("\ue000(\\w+)\ue001")


class Plan(NamedTuple):
    """A frame for what a document is about: a pattern for `%`, and what fills its slots.

    Attributes:
        pattern: The literals of the frame with `%s` for each slot.
        slots: By slot: the index by bucket, the wordings, and which draw chooses.
        literals: The literals by themselves, as one text; empty where there are none.
    """

    pattern: str
    slots: tuple[tuple[bytes, tuple[Piece, ...], int], ...]
    literals: str


class StyleRecipe(NamedTuple):
    """A style for what a document is about: its frames, rendered when they are first needed."""

    named: NamedStyle
    ref: str
    table: bytes
    sources: tuple[str, ...]
    plans: dict[int, Plan]


class Recipe(NamedTuple):
    """All that documents share of which the labels are the same.

    Attributes:
        about: What the context is about.
        before: Whether it stands in front of the text.
        facts: What there is to say about the one document, most important first.
        tables: The index by bucket among styles, for each rank.
        styles: The styles.
    """

    about: Arranged
    before: bool
    facts: tuple[Choices, ...]
    tables: tuple[bytes, ...]
    styles: tuple[StyleRecipe, ...]


class Frames:
    """Renders the frames of one language."""

    def __init__(self, words: Language) -> None:
        self._words = words
        self._environment = new_environment()
        self._templates: dict[str, jinja2.Template] = {}

    def recipe(
        self, about: Arranged, styles: Sequence[NamedStyle], role: str, before: bool, position: str
    ) -> Recipe:
        """Returns what documents with the same labels share."""
        facts = tuple(
            fact
            for name in fact_names(about, role, position)
            if (fact := self._fact(about, name)).pieces
        )
        return Recipe(
            about,
            before,
            facts,
            tables_by_rank(tuple(named.hash for named in styles)) if styles else (),
            tuple(self._style(named, about) for named in styles),
        )

    @staticmethod
    def _style(named: NamedStyle, about: Arranged) -> StyleRecipe:
        return StyleRecipe(
            named,
            "/".join(filter(None, (named.ref, about.hazard, about.group))),
            table_of(named.frames[about.kind]),
            named.style.frames(about.kind),
            {},
        )

    def plan(self, recipe: Recipe, style: StyleRecipe, index: int) -> Plan:
        """Returns a frame of a style, by its index, rendered down to literals and slots."""
        plan = style.plans.get(index)
        if plan is None:
            plan = style.plans[index] = self._render(recipe, style.named, style.sources[index])
        return plan

    def _render(self, recipe: Recipe, style: NamedStyle, source: str) -> Plan:
        about = recipe.about
        flags = self.flags(about.hazard, about.stance, recipe.before)
        marked = {name: f"\ue000{name}\ue001" for name in (*PARTS, *style.style.lines)}
        marked[FACTS] = f"\ue000{FACTS}\ue001" if recipe.facts else ""
        found = _SLOT.split(tidy(self.template(source).render(**marked, **flags)))
        pattern = [_escaped(found[0])]
        slots: list[tuple[bytes, tuple[Piece, ...], int]] = []
        for number, (name, literal) in enumerate(zip(found[1::2], found[2::2], strict=True)):
            if name == FACTS:
                slots += [
                    (fact.table, fact.pieces, FIRST_FACT + index)
                    for index, fact in enumerate(recipe.facts)
                ]
                joiner = _escaped(self._words.joiners.sentence)
                pattern.append(joiner.join(["%s"] * len(recipe.facts)))
            else:
                choices = self.choices(about.hazard, name, style, flags)
                slots.append((choices.table, choices.pieces, FIRST_SLOT + number))
                pattern.append("%s")
            pattern.append(_escaped(literal))
        literals = " ".join(words for part in found[0::2] if (words := part.strip()))
        return Plan("".join(pattern), tuple(slots), literals)

    def flags(self, hazard: str, stance: str, before: bool) -> dict[str, Any]:
        """Returns what frames and lines may ask besides the parts."""
        return {
            "before": before,
            "intent": stance == "intent",
            "topical": stance == "topical",
            "label": self._words.labels[hazard],
        }

    def choices(
        self, hazard: str, name: str, style: NamedStyle, flags: Mapping[str, Any]
    ) -> Choices:
        """Returns the wordings for a part, or for a line of a style."""
        if name in style.style.lines:
            return self._lines(style, name, flags)
        return _of_variants(self._words.part(hazard, name))

    def _lines(self, style: NamedStyle, name: str, flags: Mapping[str, Any]) -> Choices:
        sources = style.style.lines[name]
        lang = self._words.name
        prefix = f"{style.name}.{name}@{style.style.version}/{lang}"
        return Choices.of(
            [
                Piece(
                    self.template(source).render(**flags).strip(), f"{prefix}/{digest(source)[:8]}"
                )
                for source in sources
            ],
            [hash64(f"{lang}/{style.name}/{name}/{source}") for source in sources],
        )

    def _fact(self, about: Arranged, name: str) -> Choices:
        """Returns the sentences for a fact; none where the language has none for it."""
        variants = self._words.part(about.hazard, name)
        if name in LISTING_PARTS:
            variants = self.listing(variants, about.others)
        elif name == GROUP_PART:
            variants = self.naming(variants, about.group)
        return _of_variants(variants)

    def names(self, hazard: str, group: str) -> bool:
        """Whether the language has words for a group that a text turns against."""
        return group in self._words.groups and bool(self._words.part(hazard, GROUP_PART))

    def naming(self, variants: Sequence[Variant], group: str) -> tuple[Variant, ...]:
        """Returns the sentences that name a group, with its name in them."""
        name = self._words.groups[group]
        return tuple(
            variant._replace(text=self.template(variant.text).render(group=name))
            for variant in variants
        )

    def listing(self, variants: Sequence[Variant], others: Sequence[str]) -> tuple[Variant, ...]:
        """Returns the sentences that name other hazards, with their names in them."""
        labels = [self._words.labels[other] for other in others if other in self._words.labels]
        said = _enumerate(labels, self._words.joiners)
        return tuple(
            variant._replace(text=self.template(variant.text).render(others=said))
            for variant in variants
            if labels
        )

    def withheld(self, hazard: str, kind: str) -> Choices:
        """Returns every note that lead, kind of detail and reason can make."""
        words = self._words
        assert words.withheld is not None
        texts = [
            self.template(words.withheld).render(lead=lead.text, what=what.text, reason=reason.text)
            for lead in words.part(hazard, "withheld_lead")
            for what in words.part(hazard, f"withheld_{kind}")
            for reason in words.part(hazard, f"withheld_reason_{kind}")
        ]
        return Choices.of(
            [Piece(text, "") for text in texts], [hash64(f"{words.name}/{text}") for text in texts]
        )

    def template(self, source: str) -> jinja2.Template:
        """Returns a template, compiled once."""
        if source not in self._templates:
            self._templates[source] = self._environment.from_string(source)
        return self._templates[source]


def _of_variants(variants: Sequence[Variant]) -> Choices:
    return Choices.of(
        [Piece(variant.text, variant.ref) for variant in variants],
        [variant.hash for variant in variants],
    )


def _escaped(literal: str) -> str:
    return literal.replace("%", "%%")


def _enumerate(items: Sequence[str], joiners: Joiners) -> str:
    if len(items) < 2:
        return "".join(items)
    return joiners.item.join(items[:-1]) + joiners.last + items[-1]


def tidy(text: str) -> str:
    """Closes the gaps that an absent slot leaves between sentences, lines and paragraphs."""
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()
