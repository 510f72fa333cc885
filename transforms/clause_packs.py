"""Language packs: the words by which clauses of a policy are found, one YAML file a language.

The signs that phrases may hold are those of `phrases.py`.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import ahocorasick_rs
from pydantic import AfterValidator, Field

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import read_yaml, validated
from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Dimension, Hazard
from raicurate.transforms.clause import Modality
from raicurate.transforms.phrases import PhraseFinder, expand, folded

SHIPPED = Path(__file__).with_name("clause_words")


def _readable(phrase: str) -> str:
    expand(phrase)
    return phrase


Text = Annotated[str, Field(min_length=1)]
Phrase = Annotated[Text, AfterValidator(_readable)]
Phrases = tuple[Phrase, ...]

Strength = Literal["always", "imposed", "with_agent", "with_person", "negated", "restricted"]
MarkerKind = Literal["condition", "exception", "reason"]
MarkerSide = Literal["before", "after"]
STRENGTHS: tuple[Strength, ...] = get_args(Strength)
MARKER_KINDS: tuple[MarkerKind, ...] = ("exception", "condition", "reason")
MARKER_SIDES: tuple[MarkerSide, ...] = get_args(MarkerSide)


class ModalWords(Model):
    """The words of one modality.

    Attributes:
        always: Carry it wherever they stand in a main clause.
        imposed: As `always`, but the subject lays it on others ("we do not allow").
        with_agent: Carry it only where the clause addresses someone ("you may", but not "the page
            may").
        with_person: Carry it only where the clause addresses the reader, the author or a user.
        negated: As `always`, but the modal is negated ("need not" is a permission).
        restricted: As `always`; the permission holds only as far as it is stated ("may only").
    """

    always: Phrases = ()
    imposed: Phrases = ()
    with_agent: Phrases = ()
    with_person: Phrases = ()
    negated: Phrases = ()
    restricted: Phrases = ()


class Markers(Model):
    """Words that open a subordinate clause (`before` it), or close it (`after` it)."""

    before: Phrases = ()
    after: Phrases = ()


class DefinitionWords(Model):
    """How a language defines.

    Attributes:
        verbs: Stand between a term and what it means.
        articles: Open a sentence that defines, if one of the copulas follows soon.
        copulas: Stand between a term and what it is.
        after_quote: Do so after a term in quotation marks only, since they say much else.
        not_defining: Phrases in which a verb or copula says something else ("another example is").
        titles: Titles of sections that list definitions.
    """

    verbs: Phrases = ()
    articles: Phrases = ()
    copulas: Phrases = ()
    after_quote: Phrases = ()
    not_defining: Phrases = ()
    titles: Phrases = ()


class QuantityWords(Model):
    """What is counted (`units`, after a number), and words that are a deadline by themselves."""

    units: Phrases = ()
    numbers: Phrases = ()
    words: Phrases = ()


class ClausePackFile(Model):
    """One YAML file: the words of one language.

    Attributes:
        version: Raised by its author on every change.
        language: ISO 639-1.
        licence: SPDX identifier.
        reviewed_by_native_speaker: Whether one has read it.
        notes: What whoever writes or reviews it must know.
        spaces: Whether spaces stand between words.
        subject_after_modal: Whether the one addressed may follow the modal ("muss der Nutzer").
        pro_drop: Whether a verb without a subject may address the reader ("Puede pedir una copia").
        comma_before_clause: Whether a comma stands before every subordinate clause.
        verb_final: Whether a clause ends with its verb, so that the action precedes the modal.
        agents: Who can be addressed by a rule.
        persons: Those among them that are the reader, the author or a user.
        modals: The words of each modality.
        not_modal: Phrases in which a modal says something else ("may be due to").
        imperatives: Verbs that, as the first word of a sentence, carry a modality.
        openers: Words that may stand before an imperative ("please").
        not_after_imperative: Words before which it is no imperative ("use of").
        labels: Words that, before a colon, say what a sentence is ("Consequence:").
        leads: What the introduction of a list, or the title above it, says to be wrong, wanted or
            allowed without a modal.
        conditions: Markers of conditions.
        exceptions: Markers of exceptions.
        reasons: Markers of reasons and purposes within a clause.
        reason_sentences: How a sentence begins that gives the reason for the one before it.
        relatives: Pronouns after which a modal belongs to a relative clause.
        not_relative: Phrases with such a word that open a main clause ("note that").
        passives: What follows a modal where the subject is acted on ("be").
        definitions: How a language defines.
        quantities: Numbers, limits and deadlines.
        dimensions: Words by responsible-AI dimension.
        hazards: Words by hazard.
        abbreviations: Words with a full stop that end no sentence.
        skip_sections: Titles of sections without rules, such as acknowledgements.
    """

    version: int = Field(ge=1)
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    licence: Text
    reviewed_by_native_speaker: bool
    notes: str = ""
    spaces: bool = True
    subject_after_modal: bool = False
    pro_drop: bool = False
    comma_before_clause: bool = False
    verb_final: bool = False
    agents: Phrases
    persons: Phrases = ()
    modals: dict[Modality, ModalWords]
    not_modal: Phrases = ()
    imperatives: dict[Modality, Phrases] = Field(default_factory=dict)
    openers: Phrases = ()
    not_after_imperative: Phrases = ()
    labels: dict[Modality, Phrases] = Field(default_factory=dict)
    leads: dict[Modality, Phrases] = Field(default_factory=dict)
    conditions: Markers
    exceptions: Markers
    reasons: Markers
    reason_sentences: Phrases = ()
    relatives: Phrases = ()
    not_relative: Phrases = ()
    passives: Phrases = ()
    definitions: DefinitionWords
    quantities: QuantityWords
    dimensions: dict[Dimension, Phrases] = Field(default_factory=dict)
    hazards: dict[Hazard, Phrases] = Field(default_factory=dict)
    abbreviations: Phrases = ()
    skip_sections: Phrases = ()


class Modal(NamedTuple):
    """What a modal phrase stands for."""

    modality: Modality
    strength: Strength


class Marker(NamedTuple):
    """What a marker phrase opens or closes."""

    kind: MarkerKind
    side: MarkerSide


class Topics:
    """Finds which dimensions or hazards a text names."""

    def __init__(self, words: Mapping[Any, Phrases], spaces: bool) -> None:
        pairs = [
            (plain, topic)
            for topic in sorted(words)
            for phrase in words[topic]
            for plain in expand(folded(phrase))
        ]
        self._topics = [topic for _, topic in pairs]
        self._open = [phrase.endswith("*") or not spaces for phrase, _ in pairs]
        self._spaces = spaces
        self._automaton = ahocorasick_rs.AhoCorasick(
            [phrase.rstrip("*") for phrase, _ in pairs],
            matchkind=ahocorasick_rs.MatchKind.Standard,
        ) if pairs else None  # fmt: skip

    def find(self, lower: str) -> tuple[str, ...]:
        """Returns the topics that `lower` names, sorted."""
        if self._automaton is None:
            return ()
        found = set()
        for index, start, end in self._automaton.find_matches_as_indexes(lower, overlapping=True):
            begins = not self._spaces or start == 0 or not lower[start - 1].isalnum()
            ends = self._open[index] or end == len(lower) or not lower[end].isalnum()
            if begins and ends:
                found.add(self._topics[index])
        return tuple(sorted(found))


class ClausePack:
    """The words of one language, ready for search."""

    def __init__(self, file: ClausePackFile) -> None:
        self.file = file
        self.language = file.language
        self.spaces = spaces = file.spaces
        self.modals: PhraseFinder[Modal] = PhraseFinder(
            [
                (phrase, Modal(modality, strength))
                for modality, words in file.modals.items()
                for strength in STRENGTHS
                for phrase in getattr(words, strength)
            ],
            spaces,
        )
        self.markers: PhraseFinder[Marker] = PhraseFinder(
            [
                (phrase, Marker(kind, side))
                for kind in MARKER_KINDS
                for side in MARKER_SIDES
                for phrase in getattr(getattr(file, f"{kind}s"), side)
            ],
            spaces,
        )
        self.agents = _finder(file.agents, spaces)
        self.persons = _finder(file.persons, spaces)
        self.openers = _finder(file.openers, spaces)
        self.not_after_imperative = _finder(file.not_after_imperative, spaces)
        self.labels = _by_modality(file.labels, spaces)
        self.not_modal = _finder(file.not_modal, spaces)
        self.imperatives = _by_modality(file.imperatives, spaces)
        self.leads = _by_modality(file.leads, spaces)
        self.relatives = _finder(file.relatives, spaces)
        self.not_relative = _finder(file.not_relative, spaces)
        self.passives = _finder(file.passives, spaces)
        self.reason_sentences = _finder(file.reason_sentences, spaces)
        self.definition_verbs = _finder(file.definitions.verbs, spaces)
        self.articles = _finder(file.definitions.articles, spaces)
        self.copulas = _finder(file.definitions.copulas, spaces)
        self.not_defining = _finder(file.definitions.not_defining, spaces)
        self.after_quote = _finder(file.definitions.after_quote, spaces)
        self.definition_titles = _finder(file.definitions.titles, spaces)
        self.skip_sections = _finder(file.skip_sections, spaces)
        self.quantity = _quantity(file)
        self.dimensions = Topics(file.dimensions, spaces)
        self.hazards = Topics(file.hazards, spaces)
        self.abbreviations = frozenset(word.lower().rstrip(".") for word in file.abbreviations)


def _finder(phrases: Sequence[str], spaces: bool) -> PhraseFinder[None]:
    return PhraseFinder([(phrase, None) for phrase in phrases], spaces)


def _by_modality(words: Mapping[Modality, Phrases], spaces: bool) -> PhraseFinder[Modality]:
    return PhraseFinder(
        [(phrase, modality) for modality, phrases in words.items() for phrase in phrases], spaces
    )


def _quantity(file: ClausePackFile) -> re.Pattern[str]:
    """Returns the pattern of numbers with their unit, and of words that are a deadline."""

    def any_of(phrases: Phrases) -> str:
        plain = sorted(
            {words for phrase in phrases for words in expand(folded(phrase))},
            key=lambda words: (-len(words), words),
        )
        return "|".join(re.escape(p).replace(r"\*", r"\w*") for p in plain) or r"(?!)"

    edge = r"\b" if file.spaces else ""
    number = rf"(?:\d+(?:[.,:/]\d+)*|{edge}(?:{any_of(file.quantities.numbers)}){edge})"
    units = any_of(file.quantities.units)
    words = any_of(file.quantities.words)
    # A unit is a word of its own, or follows the digits at once ("24h").
    gap = r"(?:[ -]\w+){0,2}?(?:[ -]|(?<=\d))" if file.spaces else ""
    return re.compile(
        rf"{number}{gap}(?:{units}){edge}|[$€£¥] ?\d[\d.,]*|\d[\d.,]* ?(?:%|[$€£¥])"
        rf"|{edge}(?:{words}){edge}"
    )


class ClausePacks:
    """All languages that clauses are found in.

    Attributes:
        languages: Their codes, sorted.
        digest: Digest of all their words.
    """

    def __init__(self, files: Iterable[ClausePackFile]) -> None:
        self._files = {file.language: file for file in files}
        self._ready: dict[str, ClausePack] = {}
        self.languages = tuple(sorted(self._files))
        self.digest: str = digest(
            [self._files[name].model_dump(mode="json") for name in self.languages]
        )

    def get(self, language: str | None) -> ClausePack | None:
        """Returns the pack for a language, with or without its region, or None."""
        if language is None:
            return None
        name = language.replace("_", "-").partition("-")[0].lower()
        if name not in self._files:
            return None
        if name not in self._ready:
            self._ready[name] = ClausePack(self._files[name])
        return self._ready[name]

    def missing(self, languages: Iterable[str | None]) -> dict[str, int]:
        """Returns for how many documents there is no pack, by language; unknown is `und`."""
        count: dict[str, int] = {}
        for language in languages:
            if self.get(language) is None:
                count[language or "und"] = count.get(language or "und", 0) + 1
        return dict(sorted(count.items()))


def read_clause_packs(folders: Sequence[Path] = (SHIPPED,)) -> ClausePacks:
    """Returns the packs in the YAML files of `folders`; a later file replaces its language.

    Raises:
        ManifestError: A folder is missing, or a file cannot be used.
    """
    files: dict[str, ClausePackFile] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ManifestError(
                f"{folder}: there is no such folder of clause packs; correct the path"
            )
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            file = read_clause_pack(path)
            files[file.language] = file
    return ClausePacks(files.values())


@functools.cache
def shipped_packs() -> ClausePacks:
    """Returns the packs that ship."""
    return read_clause_packs()


def read_clause_pack(path: Path) -> ClausePackFile:
    """Returns the pack in one YAML file.

    Raises:
        ManifestError: The file is no pack, or a phrase in it cannot be read.
    """
    return validated(ClausePackFile, read_yaml(path), str(path))
