"""Finds the clauses of a policy document: rules, definitions, purposes, consequences, exceptions.

Sentences and items of lists are read with the words of a language pack; an item inherits the
modality of the sentence that introduces its list. What is found is stretches of the document.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from raicurate.transforms.clause import Clause, Span
from raicurate.transforms.clause_fields import (
    imperative_fields,
    inherited_fields,
    stated_fields,
)
from raicurate.transforms.clause_packs import ClausePack, ClausePacks
from raicurate.transforms.clause_stretch import Bounds, Fields, Stretch, is_question
from raicurate.transforms.phrases import PhraseFinder, folded
from raicurate.transforms.policy_document import Block, PolicyDocument
from raicurate.transforms.sentences import sentences

VERSION = "3"
"""Raised whenever the same document and packs give other clauses."""

_LEAD_END = (":", "：", "—", "–", "…")
_WORD = re.compile(r"\w")
_IN_PARENTHESES = re.compile(r"\([^()]*\)")
_SPACES = re.compile(r"\s+")
# Shorter stretches hold no rule, longer ones no single one.
_MIN_CHARS = 8
_LEAD_WORDS = 12
_MAX_CHARS = 1500


def extract_clauses(document: PolicyDocument, packs: ClausePacks) -> list[Clause]:
    """Returns the clauses of a document in the order in which they stand there.

    Of clauses with the same words, the first counts. A document in a language without a pack has
    none; `ClausePacks.missing` reports such languages.
    """
    pack = packs.get(document.language)
    if pack is None:
        return []
    return _Extractor(document, pack).clauses()


def clause_id(family: str, lead: str, words: str) -> str:
    """Returns the id of a clause: 16 hexadecimal digits.

    Args:
        family: The family of its document.
        lead: The words that introduce it, or nothing.
        words: Its own words.
    """
    folded = "\0".join(_SPACES.sub(" ", part).strip().casefold() for part in (lead, words))
    return hashlib.sha256(f"{family}\0{folded}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Lead:
    """The sentence that introduces a list: where its words stand, and what it says."""

    block: Block
    stretch: Stretch
    fields: Fields


class _Extractor:
    def __init__(self, document: PolicyDocument, pack: ClausePack) -> None:
        self.document = document
        self.pack = pack
        self.leads: dict[int, _Lead | None] = {}
        self.ids: set[str] = set()
        self.section_leads: dict[int, _Lead | None] = {}
        self.headings = {
            block.section: block for block in document.blocks if block.kind == "heading"
        }

    def clauses(self) -> list[Clause]:
        found: list[Clause] = []
        skipped: dict[int, bool] = {}
        introducing = {
            block.lead for block in self.document.blocks if block.lead is not None and block.marker
        }
        for index, block in enumerate(self.document.blocks):
            if block.kind == "heading":
                continue
            if block.section not in skipped:
                skipped[block.section] = self._skips(block.section)
            if skipped[block.section] and block.kind != "paragraph":
                # Reading lists and the like; what a paragraph there says may be a rule.
                continue
            for stretch, lead, fields in self._of_block(index, block, index in introducing):
                clause = self._clause(block, stretch, lead, fields)
                if clause is not None:
                    found.append(clause)
        return found

    def _skips(self, section: int) -> bool:
        path = self.document.sections[section].path
        return any(_fills(self.pack.skip_sections, title.lower()) for title in path)

    def _of_block(
        self, index: int, block: Block, introduces: bool
    ) -> Iterator[tuple[Stretch, _Lead | None, Fields]]:
        """Yields the clauses of a block, as stretches of its words."""
        words = block.words
        stretches = [
            Stretch(words.text, words.lower, *bounds)
            for cell in _cells(block)
            for bounds in self._sentences(block, cell)
        ]
        title = self._title(block)
        for number, stretch in enumerate(stretches):
            fields = stated_fields(self.pack, stretch, title)
            last = number == len(stretches) - 1
            if introduces and last and self._lead_of(index) is not None:
                # It is kept with each of its items, and says nothing complete without them.
                continue
            lead = None
            if (
                fields is None
                and number == 0
                and block.kind == "item"
                and block.marker
                and not is_question(stretch)
            ):
                lead = self._lead_of_item(block)
                fields = None if lead is None else inherited_fields(self.pack, stretch, lead.fields)
            told = imperative_fields(self.pack, stretch) if fields is None or lead else None
            if told is not None and (
                fields is None or told.modality == "prohibition" != fields.modality
            ):
                # "Never ..." prohibits in a list of good practices too.
                fields, lead = told, None
            if fields is not None:
                yield stretch, lead, fields

    def _title(self, block: Block) -> str:
        path = self.document.section_path(block)
        return folded(path[-1]) if path else ""

    def _lead_of_item(self, block: Block) -> _Lead | None:
        lead = None if block.lead is None else self._lead_of(block.lead)
        if lead is None and block.depth == 0:
            lead = self._lead_of_section(block.section)
        return lead

    def _lead_of_section(self, section: int) -> _Lead | None:
        """Returns the title of a section as what leads to its lists ("Prohibited conduct")."""
        if section not in self.section_leads:
            self.section_leads[section] = None
            heading = self.headings.get(section)
            if heading is not None:
                words = heading.words
                bounds = (0, len(words.text))
                told = self.pack.leads.first(words.lower, *bounds)
                if told is not None:
                    self.section_leads[section] = _Lead(
                        heading, Stretch(words.text, words.lower, *bounds), Fields(told.value)
                    )
        return self.section_leads[section]

    def _sentences(self, block: Block, cell: tuple[int, int]) -> Iterator[tuple[int, int]]:
        words = block.words
        start, end = cell
        for first, last in sentences(
            words.text[start:end], words.lower[start:end], self.pack.abbreviations
        ):
            if _MIN_CHARS <= last - first <= _MAX_CHARS:
                yield start + first, start + last

    def _lead_of(self, index: int) -> _Lead | None:
        """Returns the lead that a block gives its list, its own or that of its own lead."""
        if index not in self.leads:
            self.leads[index] = None  # a list that leads to itself has none
            self.leads[index] = self._find_lead(index)
        return self.leads[index]

    def _find_lead(self, index: int) -> _Lead | None:
        block = self.document.blocks[index]
        words = block.words
        bounds = list(sentences(words.text, words.lower, self.pack.abbreviations))
        if not bounds or _IN_PARENTHESES.fullmatch(words.text):
            return None
        stretch = Stretch(words.text, words.lower, *bounds[-1])
        opens = words.text.endswith(_LEAD_END)
        fields = stated_fields(self.pack, stretch, "")
        if fields is None:
            # "Do not:", but not "Consider these measures:", after which anything may follow.
            fields = imperative_fields(self.pack, stretch)
            if fields is not None and fields.modality != "prohibition":
                fields = None
        if fields is None or fields.modality == "definition":
            short = words.lower.count(" ", *stretch.bounds) < _LEAD_WORDS
            told = self.pack.leads.first(words.lower, *stretch.bounds) if opens or short else None
            fields = None if told is None else Fields(told.value)
        elif not opens and fields.action is not None:
            # A whole rule of its own, beside which the list stands.
            return None
        if fields is not None and (opens or fields.action is None):
            return _Lead(block, stretch, fields)
        if block.kind == "item" and block.lead is not None and opens:
            return self._lead_of(block.lead)
        return None

    def _clause(
        self, block: Block, stretch: Stretch, lead: _Lead | None, fields: Fields
    ) -> Clause | None:
        words = block.words
        start, end = stretch.start, stretch.end
        text = words.text[start:end]
        if not _WORD.search(text):
            return None
        lead_text = "" if lead is None else lead.block.words.text[slice(*lead.stretch.bounds)]
        name = clause_id(self.document.family, lead_text, text)
        if name in self.ids:
            return None
        self.ids.add(name)

        def place(bounds: Bounds | None) -> Span | None:
            return None if bounds is None else words.span(*bounds)

        def led(own: Bounds | None, of_lead: Bounds | None) -> Span | None:
            if own is None and of_lead is not None and lead is not None:
                return lead.block.words.span(*of_lead)
            return place(own)

        above = fields if lead is None else lead.fields
        lower = stretch.lower[start:end]
        if lead is not None:
            lower = lead.stretch.lower[slice(*lead.stretch.bounds)] + " " + lower
        return Clause(
            id=name,
            document=self.document.id,
            language=self.document.language,
            section=self.document.section_path(block),
            span=words.span(start, end),
            text_sha256=self.document.text_sha256,
            modality=fields.modality,
            lead=None if lead is None else lead.block.words.span(*lead.stretch.bounds),
            negated=fields.negated,
            restricted=fields.restricted,
            actor=led(fields.actor, above.actor),
            modal=led(fields.modal, above.modal),
            negation=place(fields.negation),
            action=place(fields.action),
            object=place(fields.object),
            condition=led(fields.condition, above.condition),
            exception=led(fields.exception, above.exception),
            quantity=led(fields.quantity, above.quantity),
            rationale=led(fields.rationale, above.rationale),
            dimensions=self.pack.dimensions.find(lower),
            hazards=self.pack.hazards.find(lower),
        )


def _cells(block: Block) -> list[Bounds]:
    """Returns the cells of a row, or all words of another block."""
    words = block.words
    if block.kind == "row":
        return [inside for cell in block.cells if (inside := words.inside(cell))[0] < inside[1]]
    return [(0, len(words.text))]


def _fills(finder: PhraseFinder[None], lower: str) -> bool:
    """Returns whether a title is one of the phrases, beside its number."""
    hit = finder.first(lower, 0, len(lower))
    return hit is not None and not any(c.isalpha() for c in lower[: hit.start] + lower[hit.end :])
