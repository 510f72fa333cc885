"""Educational context from templates: a library of words, and how a document gets its own.

A language consists of *parts* (what it is, why it harms, who is affected, ...), written by hazard
and in several variants each, and of *styles*: small Jinja2 frames that arrange parts, with lines
of their own. Which variants a document gets is a rendezvous hash of its id (`context_choice`).
"""

import datetime
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES, Hazard, Role, Stance
from raicurate.exercise_templates.context_choice import (
    FRAME,
    SHIFT,
    STYLE,
    WITHHELD,
    Choices,
    draws_of,
)
from raicurate.exercise_templates.context_files import SHIPPED, read_languages
from raicurate.exercise_templates.context_frames import Frames, Recipe
from raicurate.exercise_templates.context_model import (
    GROUP_PART,
    LISTING_PARTS,
    Fact,
    Language,
    NamedStyle,
    Variant,
    digest,
)
from raicurate.exercise_templates.context_request import (
    Arranged,
    ContextRequest,
    HazardFacts,
    Kind,
    Placement,
    Position,
    arrange,
)

__all__ = ["ContextLibrary", "ContextRequest", "HazardFacts", "Kind", "WrittenContext"]

ASSEMBLY_VERSION = "3"
"""Part of every digest: raised when the same words would be put together differently."""


class WrittenContext(NamedTuple):
    """An assembled context.

    Attributes:
        text: The text to add.
        refs: References with versions: first the style with what the text says it is about, the
            hazard and, where one is named, the group that it turns against
            (`lecture_note@1/en/hate/women`), then every variant
            (`why_it_harms@1/en/hate/1f3a9c20`).
        style: Name of the style.
        lang: Language of the text.
        pieces: The wordings that it is made of: what variants and frames say.
    """

    text: str
    refs: tuple[str, ...]
    style: str
    lang: str
    pieces: tuple[str, ...] = ()


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
        self._frames = {name: Frames(words) for name, words in languages.items()}
        self._recipes: dict[tuple[Any, ...], Recipe] = {}
        self._digests: dict[tuple[Any, ...], str] = {}
        self._notes: dict[tuple[str, str, str], Choices] = {}

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
            pieces += [f"{group}={name}" for group, name in sorted(words.groups.items())]
            pieces += [entry.style.model_dump_json() for _, entry in sorted(words.styles.items())]
            pieces += [fact.model_dump_json() for fact in words.facts]
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
        for named in _chosen_styles(words, styles):
            pieces.append(named.ref)
            pieces += [frame for each in kinds for frame in named.style.frames(each)]
            for line, sources in sorted(named.style.lines.items()):
                pieces += [line, *sorted(sources)]
        for (section, part), variants in sorted(words.parts.items()):
            # The document's other hazards are named, and their passages may be withheld.
            if section in {hazard, "any"} or part.startswith("withheld_"):
                pieces += [section, part]
                pieces += sorted(f"{variant.ref}\0{variant.text}" for variant in variants)
        for name, label in sorted({**words.labels, **words.groups}.items()):
            pieces += [name, label]
        pieces += [fact.model_dump_json() for fact in words.facts]
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
        group: str = "",
    ) -> ContextRequest:
        """Returns a request; `hazards` are tuples in the order of `HazardFacts`."""
        facts = tuple([HazardFacts(*hazard) for hazard in hazards])
        return ContextRequest(
            document_id, lang, kind, facts, role, styles, placement, position, group
        )

    def write(self, request: ContextRequest, attempt: int = 0) -> WrittenContext | None:
        """Returns the context for a request, or None where the language has no words for it.

        Args:
            request: What it is for.
            attempt: 0 for the document's first choice; each further attempt takes the next style
                by rank, and chooses anew among the variants.
        """
        document_id, lang, kind, hazards, role, styles, placement, position, group = request
        about = arrange(hazards, kind)
        if (
            group
            and about.kind != "support"
            and about.stance == "intent"
            and self._can_name(lang, about.hazard, group)
        ):
            about = about._replace(group=group)
        key = (lang, about, role, styles, placement == "before", position)
        recipe = self._recipes.get(key)
        if recipe is None:
            recipe = self._recipe(*key)
            if recipe is None:
                return None
            self._recipes[key] = recipe
        draws = draws_of(document_id, 0)
        by_rank = recipe.tables[attempt % len(recipe.tables)]
        style = recipe.styles[by_rank[draws[STYLE] >> SHIFT]]
        if attempt:
            draws = draws_of(document_id, attempt)
        plan = self._frames[lang].plan(recipe, style, style.table[draws[FRAME] >> SHIFT])
        chosen = [pieces[table[draws[index] >> SHIFT]] for table, pieces, index in plan.slots]
        texts = tuple([piece.text for piece in chosen])
        refs = (style.ref, *[piece.ref for piece in chosen])
        said = (*texts, plan.literals) if plan.literals else texts
        return WrittenContext(plan.pattern % texts, refs, style.named.name, lang, said)

    def _can_name(self, lang: str, hazard: str, group: str) -> bool:
        return lang in self._frames and self._frames[lang].names(hazard, group)

    def _recipe(self, lang: str, about: Any, *rest: Any) -> Recipe | None:
        words = self._languages.get(lang)
        if words is None or about.hazard not in words.labels:
            return None
        role, names, before, position = rest
        styles = _chosen_styles(words, names)
        if not styles:
            return None
        return self._frames[lang].recipe(about, styles, role, before, position)

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
            self._notes[key] = self._frames[lang].withheld(hazard, kind)
        table, notes = self._notes[key]
        return notes[table[draws_of(document_id, attempt)[WITHHELD] >> SHIFT]].text

    def facts(
        self, lang: str, hazards: Iterable[str], regions: Sequence[str], as_of: datetime.date
    ) -> list[Fact]:
        """Returns the facts for some hazards in some regions that have not expired by a day."""
        words = self._languages.get(lang)
        asked = set(hazards)
        return [
            fact
            for fact in (words.facts if words else ())
            if fact.region in regions
            and fact.expires >= as_of
            and (not fact.hazards or asked.intersection(fact.hazards))
        ]

    def pieces_of(self, lang: str) -> Iterator[str]:
        """Yields every wording that a context in a language can be made of, some of them twice.

        Where a sentence lists several other hazards, it is yielded with each of them alone.
        """
        words = self._languages[lang]
        frames = self._frames[lang]
        for hazard in sorted(words.labels):
            for kind in ("detail", "passage"):
                if words.withheld is not None:
                    yield from (piece.text for piece in frames.withheld(hazard, kind).pieces)
        for (_, part), variants in sorted(words.parts.items()):
            if part in LISTING_PARTS:
                for other in sorted(words.labels):
                    yield from (v.text for v in frames.listing(variants, [other]))
            elif part == GROUP_PART:
                for group in sorted(words.groups):
                    yield from (v.text for v in frames.naming(variants, group))
            elif not part.startswith("withheld_"):
                yield from (variant.text for variant in variants)
        for named in _chosen_styles(words, ()):
            for hazard in HAZARDS:
                for stance in STANCES if hazard in words.labels else ():
                    yield from self._pieces_of_style(lang, named, hazard, stance)

    def _pieces_of_style(
        self, lang: str, named: NamedStyle, hazard: Hazard, stance: Stance
    ) -> Iterator[str]:
        frames = self._frames[lang]
        kinds: tuple[Kind, ...] = ("support",) if stance == "disclosure" else ("full", "note")
        for before in (False, True):
            flags = frames.flags(hazard, stance, before)
            for line in sorted(named.style.lines):
                yield from (p.text for p in frames.choices(hazard, line, named, flags).pieces)
            for kind in kinds:
                about = Arranged(hazard, stance, False, False, kind)
                recipe = frames.recipe(about, [named], "web", before, "")
                for index in range(len(recipe.styles[0].sources)):
                    yield frames.plan(recipe, recipe.styles[0], index).literals


def _chosen_styles(words: Language, names: Sequence[str]) -> list[NamedStyle]:
    chosen = sorted(set(names) & set(words.styles)) if names else sorted(words.styles)
    return [words.styles[name] for name in chosen]


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
