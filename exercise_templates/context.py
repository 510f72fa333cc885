"""Educational context from templates: a library of words, and how a document gets its own.

A language consists of *parts* (what it is, why it harms, who is affected, ...), written by hazard
and in several variants each, and of *styles*: small Jinja2 frames that arrange parts, with lines
of their own. Nothing is chosen at random: every choice is a rendezvous hash of the document id and
the variant, so all workers agree, and a new variant moves only the documents that it wins.

Jinja runs once for each combination of frame, hazard and stance. What is left to do for a document
is to choose variants and to join strings.
"""

import functools
import hashlib
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jinja2
import numpy as np

from raicurate.corpora_manifests.vocabulary import Hazard, Role, Stance
from raicurate.exercise_templates.context_files import (
    FACTS,
    LISTING_PARTS,
    PARTS,
    SHIPPED,
    Joiners,
    Language,
    NamedStyle,
    Variant,
    digest,
    hash64,
    new_environment,
    read_languages,
)

Kind = Literal["full", "note", "support"]
Placement = Literal["after", "before"]
Position = Literal["", "beginning", "middle", "end", "several"]

ASSEMBLY_VERSION = "1"
"""Part of every digest: raised when the same words would be put together differently."""

# More sentences about the one document than this would drown the explanation.
_MAX_FACTS = 3
_MAX_OTHERS = 3

# Slots are marked with private-use characters, which no template text holds.
_SLOT = re.compile("\ue000(\\w+)\ue001")
# A hash of 64 bytes gives 32 draws of 16 bits. The first three are for style, frame and withheld
# passages, then come the facts, then the slots of the frame.
_UNPACK = struct.Struct("<32H").unpack
_STYLE, _FRAME, _WITHHELD, _FIRST_FACT, _FIRST_SLOT = 0, 1, 2, 3, 6
_BUCKET_BITS = 12
_BUCKETS = 1 << _BUCKET_BITS
_SHIFT = 16 - _BUCKET_BITS
# The multipliers of the 64-bit finalizer of MurmurHash3 (A. Appleby, public domain).
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_BUCKET_HASHES = np.arange(1, _BUCKETS + 1, dtype=np.uint64) * _MIX_1


class HazardFacts(NamedTuple):
    """What the labels say about one hazard of a document, over all its passages."""

    hazard: Hazard
    stance: Stance
    severity: int
    operational: bool = False
    target: bool = False
    threat: bool = False
    score: float = 0.0


class ContextRequest(NamedTuple):
    """What a context is to be written for.

    Attributes:
        document_id: Decides the choice among styles and variants.
        lang: Language of the context, ISO 639-1.
        kind: What is asked for. Where the leading hazard is a disclosure, the answer is support
            whatever is asked for.
        hazards: The document's hazards, in any order; at least one.
        role: Role of its corpus.
        styles: Styles to choose among; empty for all.
        placement: Whether the context stands after or before what it speaks of.
        position: Where in the document the worst passage stands; empty to say nothing of it.
    """

    document_id: str
    lang: str
    kind: Kind
    hazards: tuple[HazardFacts, ...]
    role: Role = "web"
    styles: tuple[str, ...] = ()
    placement: Placement = "after"
    position: Position = ""


class WrittenContext(NamedTuple):
    """An assembled context.

    Attributes:
        text: The text to add.
        refs: References with versions: first the style (`lecture_note@1/en/hate`), then every
            variant (`why_it_harms@1/en/hate/1f3a9c20`).
        style: Name of the style.
        lang: Language of the text.
    """

    text: str
    refs: tuple[str, ...]
    style: str
    lang: str


class _Choices(NamedTuple):
    """Variants to choose among: the index by bucket, and column by column what is chosen."""

    table: bytes
    texts: tuple[str, ...]
    refs: tuple[str, ...]


class _Plan(NamedTuple):
    """A frame for one hazard and stance: a literal, then slots with the literal after each."""

    opening: str
    slots: tuple[tuple[_Choices | None, str], ...]


class _RankedStyles(NamedTuple):
    """Styles to choose among, with the index by bucket for each rank."""

    tables: tuple[bytes, ...]
    styles: tuple[NamedStyle, ...]


class _Arranged(NamedTuple):
    """What a context is about: the leading hazard, and what else is worth a sentence."""

    primary: HazardFacts
    kind: Kind
    listing: str
    others: tuple[str, ...]
    disclosed: bool


def _draws(document_id: str, attempt: int) -> tuple[int, ...]:
    """Returns independent draws of 16 bits for a document, all from one hash."""
    name = f"{document_id}\0{attempt}" if attempt else document_id
    return _UNPACK(hashlib.blake2b(name.encode()).digest())


def _weights(hashes: tuple[int, ...]) -> np.ndarray:
    """Returns the weight of each variant in each bucket, as uint64 (buckets, variants)."""
    mixed = (_BUCKET_HASHES[:, None] ^ np.array(hashes, dtype=np.uint64)[None, :]) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(33))) * _MIX_2
    return np.asarray(mixed ^ (mixed >> np.uint64(33)))


@functools.lru_cache(maxsize=100_000)
def _table(hashes: tuple[int, ...]) -> bytes:
    """Returns for each bucket the index of the variant that weighs most in it.

    Choosing by rendezvous for buckets, and not for documents, keeps its virtue (a new variant takes
    only the buckets that it wins) and leaves one look-up for a document.
    """
    return np.argmax(_weights(hashes), axis=1).astype(np.uint8).tobytes()


def _tables_by_rank(hashes: tuple[int, ...]) -> tuple[bytes, ...]:
    """Returns such tables for the variant that weighs most, second most, and so on."""
    ranks = np.argsort(_weights(hashes), axis=1, kind="stable")[:, ::-1].astype(np.uint8)
    return tuple(ranks[:, rank].tobytes() for rank in range(len(hashes)))


class ContextLibrary:
    """The parts and styles of all languages.

    Attributes:
        languages: Languages in which context can be written, sorted.

    Example:
        >>> library = ContextLibrary.load()
        >>> hazard = HazardFacts("hate", "intent", severity=3, target=True)
        >>> written = library.write(ContextRequest("doc-1", "en", "full", (hazard,)))
        >>> written.lang
        'en'
    """

    def __init__(self, languages: Mapping[str, Language]) -> None:
        self._languages = dict(languages)
        self.languages = tuple(
            sorted(name for name, words in languages.items() if words.styles and words.labels)
        )
        self._environment = new_environment()
        self._templates: dict[str, jinja2.Template] = {}
        self._plans: dict[tuple[Any, ...], _Plan] = {}
        self._facts: dict[tuple[Any, ...], tuple[_Choices, ...]] = {}
        self._ranked: dict[tuple[str, tuple[str, ...]], _RankedStyles] = {}
        self._frames: dict[tuple[str, str, str], bytes] = {}
        self._digests: dict[tuple[Any, ...], str] = {}
        self._notes: dict[tuple[str, str, str], _Choices] = {}

    @classmethod
    def load(cls, folders: Sequence[Path] = ()) -> "ContextLibrary":
        """Returns the words that ship, with those of `folders` added in order.

        Args:
            folders: Folders with YAML files of the same form as those that ship. Their parts add
                variants, or replace those that ship; see `context_files.TemplateFile`.

        Raises:
            ManifestError: A file cannot be read or holds an unknown name, or a style names a part
                that some hazard of its language lacks.
        """
        # A file that ships may be named again, as when it is validated.
        everything = tuple(dict.fromkeys((SHIPPED, *(Path(f).resolve() for f in folders))))
        return _load(everything, tuple(_stamps(folder) for folder in everything))

    def styles_of(self, lang: str) -> tuple[str, ...]:
        """Returns the names of the styles of a language, sorted."""
        words = self._languages.get(lang)
        return tuple(sorted(words.styles)) if words else ()

    def hazards_of(self, lang: str) -> tuple[str, ...]:
        """Returns the hazards that a language has words for, sorted."""
        words = self._languages.get(lang)
        return tuple(sorted(words.labels)) if words else ()

    def variants_of(self, lang: str) -> dict[tuple[str, str], tuple[Variant, ...]]:
        """Returns all part variants of a language, by hazard (or `any`) and part."""
        words = self._languages.get(lang)
        return dict(words.parts) if words else {}

    @functools.cached_property
    def digest(self) -> str:
        """Digest of all words: another one means that some document may get another text."""
        pieces = [ASSEMBLY_VERSION]
        for lang, words in sorted(self._languages.items()):
            pieces += [lang, words.joiners.model_dump_json(), words.withheld or ""]
            pieces += [f"{hazard}={label}" for hazard, label in sorted(words.labels.items())]
            pieces += [entry.style.model_dump_json() for _, entry in sorted(words.styles.items())]
            for (section, part), variants in sorted(words.parts.items()):
                pieces += [section, part, *(variant.ref + variant.text for variant in variants)]
        return digest(*pieces)

    def reachable_digest(
        self, lang: str, hazard: str, kind: str, styles: Sequence[str] = ()
    ) -> str:
        """Returns a digest over every text that a document with these labels could get.

        A language without words has a digest as well, which changes when it gets some. The digest
        of a fallback language must be asked for by its own name.
        """
        key = (lang, hazard, kind, tuple(styles))
        if key not in self._digests:
            self._digests[key] = self._reachable_digest(*key)
        return self._digests[key]

    def _reachable_digest(self, lang: str, hazard: str, kind: str, styles: tuple[str, ...]) -> str:
        words = self._languages.get(lang)
        if words is None or lang not in self.languages:
            return digest(ASSEMBLY_VERSION, lang)
        # A disclosure is answered with support whatever kind was asked for.
        kinds = sorted({kind, "support"})
        pieces = [ASSEMBLY_VERSION, lang, words.joiners.model_dump_json(), words.withheld or ""]
        for named in self._ranked_styles(lang, styles).styles:
            pieces.append(named.ref)
            pieces += [frame for each in kinds for frame in named.style.frames(each)]
            for line, sources in sorted(named.style.lines.items()):
                pieces += [line, *sorted(sources)]
        for (section, part), variants in sorted(words.parts.items()):
            # The document's other hazards are named, and their passages may be withheld.
            if section in {hazard, "any"} or part.startswith("withheld_"):
                pieces += [section, part]
                pieces += sorted(f"{variant.ref}\0{variant.text}" for variant in variants)
        for name, label in sorted(words.labels.items()):
            pieces += [name, label]
        return digest(*pieces)

    def request(
        self,
        *,
        document_id: str,
        lang: str,
        kind: Kind,
        hazards: Iterable[tuple[Any, ...]],
        role: Role = "web",
        styles: tuple[str, ...] = (),
        placement: Placement = "after",
        position: Position = "",
    ) -> ContextRequest:
        """Returns a request; `hazards` are tuples in the order of `HazardFacts`."""
        facts = tuple(HazardFacts(*hazard) for hazard in hazards)
        return ContextRequest(document_id, lang, kind, facts, role, styles, placement, position)

    def write(self, request: ContextRequest, attempt: int = 0) -> WrittenContext | None:
        """Returns the context for a request, or None where the language has no words for it.

        Args:
            request: What it is for.
            attempt: 0 for the document's first choice; each further attempt takes the next style
                by rank, and chooses anew among the variants.
        """
        words = self._languages.get(request.lang)
        arranged = _arrange(request.hazards, request.kind)
        primary = arranged.primary
        if words is None or primary.hazard not in words.labels:
            return None
        ranked = self._ranked_styles(request.lang, request.styles)
        if not ranked.styles:
            return None
        draws = _draws(request.document_id, 0)
        by_rank = ranked.tables[attempt % len(ranked.tables)]
        style = ranked.styles[by_rank[draws[_STYLE] >> _SHIFT]]
        if attempt:
            draws = _draws(request.document_id, attempt)
        facts = self._document_facts(words, request, arranged)
        plan = self._plan(
            words,
            style,
            arranged.kind,
            draws[_FRAME] >> _SHIFT,
            primary,
            request.placement == "before",
            bool(facts),
        )
        pieces = [plan.opening]
        refs = [f"{style.ref}/{primary.hazard}"]
        for (slot, literal), draw in zip(plan.slots, draws[_FIRST_SLOT:], strict=False):
            if slot is None:
                said = []
                for fact, fact_draw in zip(facts, draws[_FIRST_FACT:_FIRST_SLOT], strict=False):
                    index = fact.table[fact_draw >> _SHIFT]
                    said.append(fact.texts[index])
                    refs.append(fact.refs[index])
                pieces.append(words.joiners.sentence.join(said))
            else:
                index = slot.table[draw >> _SHIFT]
                pieces.append(slot.texts[index])
                refs.append(slot.refs[index])
            pieces.append(literal)
        return WrittenContext("".join(pieces), tuple(refs), style.name, words.name)

    def withheld_note(
        self,
        document_id: str,
        lang: str,
        hazard: str,
        kind: Literal["detail", "passage"],
        attempt: int = 0,
    ) -> str | None:
        """Returns the note in place of a withheld passage, or None without words for it.

        Args:
            document_id: Decides the choice among variants.
            lang: Language of the note.
            hazard: Hazard of the passage.
            kind: `detail` for a passage withheld because it is operational, else `passage`.
            attempt: Each attempt chooses anew among the variants.
        """
        key = (lang, hazard, kind)
        if key not in self._notes:
            words = self._languages.get(lang)
            if words is None or words.withheld is None or hazard not in words.labels:
                return None
            self._notes[key] = self._withheld_choices(words, words.withheld, hazard, kind)
        choices = self._notes[key]
        return choices.texts[choices.table[_draws(document_id, attempt)[_WITHHELD] >> _SHIFT]]

    def _withheld_choices(self, words: Language, frame: str, hazard: str, kind: str) -> _Choices:
        """Returns every note that lead, kind of detail and reason can make."""
        texts = [
            self._template(frame).render(lead=lead.text, what=what.text, reason=reason.text)
            for lead in words.part(hazard, "withheld_lead")
            for what in words.part(hazard, f"withheld_{kind}")
            for reason in words.part(hazard, f"withheld_reason_{kind}")
        ]
        hashes = [hash64(f"{words.name}/{text}") for text in texts]
        return _Choices(_table(tuple(hashes)), tuple(texts), ())

    def _ranked_styles(self, lang: str, names: tuple[str, ...]) -> _RankedStyles:
        key = (lang, names)
        if key not in self._ranked:
            styles = self._languages[lang].styles
            chosen = sorted(set(names) & set(styles)) if names else sorted(styles)
            hashes = tuple(styles[name].hash for name in chosen)
            self._ranked[key] = _RankedStyles(
                _tables_by_rank(hashes) if hashes else (), tuple(styles[name] for name in chosen)
            )
        return self._ranked[key]

    def _template(self, source: str) -> jinja2.Template:
        if source not in self._templates:
            self._templates[source] = self._environment.from_string(source)
        return self._templates[source]

    def _document_facts(
        self, words: Language, request: ContextRequest, arranged: _Arranged
    ) -> tuple[_Choices, ...]:
        """Returns what there is to say about the one document, most important first."""
        primary = arranged.primary
        key = (
            words.name,
            primary.hazard,
            primary.stance,
            primary.target,
            primary.threat,
            arranged[1:],
            request.role,
            request.position,
        )
        facts = self._facts.get(key)
        if facts is None:
            facts = self._facts[key] = tuple(
                fact
                for name in _fact_names(request, arranged)
                if (fact := self._fact(words, primary.hazard, name, arranged.others)).texts
            )
        return facts

    def _fact(self, words: Language, hazard: str, name: str, others: tuple[str, ...]) -> _Choices:
        """Returns the sentences for a fact; none where the language has none for it."""
        variants = words.part(hazard, name)
        if name in LISTING_PARTS:
            labels = [words.labels[other] for other in others if other in words.labels]
            said = _enumerate(labels, words.joiners)
            variants = tuple(
                variant._replace(text=self._template(variant.text).render(others=said))
                for variant in variants
                if labels
            )
        return _choices(variants)

    def _plan(
        self,
        words: Language,
        style: NamedStyle,
        kind: Kind,
        bucket: int,
        primary: HazardFacts,
        before: bool,
        has_facts: bool,
    ) -> _Plan:
        """Returns the frame for a bucket, rendered down to literals and slots."""
        table = self._frames.get((words.name, style.name, kind))
        if table is None:
            table = _table(style.frames[kind])
            self._frames[words.name, style.name, kind] = table
        frame = table[bucket]
        key = (words.name, style.name, kind, frame, primary[:2], before, has_facts)
        plan = self._plans.get(key)
        if plan is None:
            source = style.style.frames(kind)[frame]
            plan = self._plans[key] = self._render(words, style, source, primary, before, has_facts)
        return plan

    def _render(
        self,
        words: Language,
        style: NamedStyle,
        source: str,
        primary: HazardFacts,
        before: bool,
        has_facts: bool,
    ) -> _Plan:
        flags = {
            "before": before,
            "intent": primary.stance == "intent",
            "topical": primary.stance == "topical",
            "label": words.labels[primary.hazard],
        }
        marked = {name: f"\ue000{name}\ue001" for name in (*PARTS, *style.style.lines)}
        marked[FACTS] = f"\ue000{FACTS}\ue001" if has_facts else ""
        pieces = _SLOT.split(_tidy(self._template(source).render(**marked, **flags)))
        slots: list[tuple[_Choices | None, str]] = []
        for name, literal in zip(pieces[1::2], pieces[2::2], strict=True):
            if name == FACTS:
                slots.append((None, literal))
            elif name in style.style.lines:
                slots.append((self._lines(words, style, name, flags), literal))
            else:
                slots.append((_choices(words.part(primary.hazard, name)), literal))
        return _Plan(pieces[0], tuple(slots))

    def _lines(
        self, words: Language, style: NamedStyle, name: str, flags: Mapping[str, Any]
    ) -> _Choices:
        sources = style.style.lines[name]
        prefix = f"{style.name}.{name}@{style.style.version}/{words.name}"
        hashes = tuple(hash64(f"{words.name}/{style.name}/{name}/{source}") for source in sources)
        return _Choices(
            _table(hashes),
            tuple(self._template(source).render(**flags).strip() for source in sources),
            tuple(f"{prefix}/{digest(source)[:8]}" for source in sources),
        )


def _arrange(hazards: Sequence[HazardFacts], kind: Kind) -> _Arranged:
    """Returns what a context is about.

    What a text *is* leads what it talks about, so intent goes before disclosure before topical;
    then severity decides, then score, then the name. Where another hazard is meant, only such are
    listed; hazards merely talked about are listed where there is no other.
    """
    if len(hazards) == 1:
        only = hazards[0]
        return _Arranged(only, "support" if only.stance == "disclosure" else kind, "", (), False)
    order = {"intent": 0, "disclosure": 1, "topical": 2}
    ranked = sorted(hazards, key=lambda h: (order[h.stance], -h.severity, -h.score, h.hazard))
    primary = ranked[0]
    if primary.stance == "disclosure":
        return _Arranged(primary, "support", "", (), False)
    rest = [h for h in ranked[1:] if h.hazard != primary.hazard]
    meant = tuple(dict.fromkeys(h.hazard for h in rest if h.stance == "intent"))
    mentioned = tuple(dict.fromkeys(h.hazard for h in rest if h.stance == "topical"))
    disclosed = any(h.stance == "disclosure" for h in ranked)
    listing = "fact_others" if meant else "fact_mentions"
    return _Arranged(primary, kind, listing, (meant or mentioned)[:_MAX_OTHERS], disclosed)


def _fact_names(request: ContextRequest, arranged: _Arranged) -> list[str]:
    """Returns the names of the facts that hold, most important first."""
    if arranged.kind == "support":
        return []
    intent = arranged.primary.stance == "intent"
    names = {
        "fact_threat": intent and arranged.primary.threat,
        "fact_target": intent and arranged.primary.target,
        arranged.listing: bool(arranged.others),
        "fact_disclosure": arranged.disclosed,
        f"fact_{request.position}": intent and bool(request.position),
        f"fact_{request.role}": request.role != "web",
    }
    return [name for name, holds in names.items() if holds][:_MAX_FACTS]


def _enumerate(items: Sequence[str], joiners: Joiners) -> str:
    if len(items) < 2:
        return "".join(items)
    return joiners.item.join(items[:-1]) + joiners.last + items[-1]


def _choices(variants: Sequence[Variant]) -> _Choices:
    return _Choices(
        _table(tuple(variant.hash for variant in variants)) if variants else b"",
        tuple(variant.text for variant in variants),
        tuple(variant.ref for variant in variants),
    )


def _tidy(text: str) -> str:
    """Closes the gaps that an absent slot leaves between sentences, lines and paragraphs."""
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _stamps(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Returns what changes when a file below a folder does."""
    return tuple(
        (str(path), path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(folder.rglob("*.y*ml"))
    )


@functools.lru_cache(maxsize=8)
def _load(folders: tuple[Path, ...], stamps: tuple[object, ...]) -> ContextLibrary:
    del stamps  # part of the key, so that a changed file is read again
    return ContextLibrary(read_languages(folders))
