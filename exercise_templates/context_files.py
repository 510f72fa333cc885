"""Reads the YAML files of educational context, checks them and merges them by language.

A file holds parts, styles or both, in one language. Files that ship come first, then those of the
user's folders; a later file adds variants to a part, or replaces them where it says `replace`.
"""

import difflib
import functools
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import jinja2
import jinja2.meta
import jinja2.sandbox
from pydantic import Field

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import read_yaml, validated
from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Hazard

SHIPPED = Path(__file__).with_name("context_words")

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
        styles: By name.
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
    styles: dict[Name, Style] = Field(default_factory=dict)


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
        parts: By hazard (or `any`) and part.
        styles: By name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.joiners = Joiners()
        self.withheld: str | None = None
        self.labels: dict[str, str] = {}
        self.parts: dict[tuple[str, str], tuple[Variant, ...]] = {}
        self.styles: dict[str, NamedStyle] = {}

    def part(self, hazard: str, part: str) -> tuple[Variant, ...]:
        """Returns the variants for a hazard, or those for all hazards, or none."""
        return self.parts.get((hazard, part)) or self.parts.get(("any", part), ())


def digest(*pieces: str) -> str:
    """Returns a digest over texts and their order."""
    return hashlib.blake2b("\0".join(pieces).encode(), digest_size=16).hexdigest()


def hash64(text: str) -> int:
    """Returns a hash of 64 bits that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


@functools.cache
def new_environment() -> jinja2.sandbox.SandboxedEnvironment:
    """Returns the Jinja environment of all templates: sandboxed, and strict about names."""
    # The texts are plain prose; escaping for HTML would spoil them.
    return jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)


def read_languages(folders: Sequence[Path]) -> dict[str, Language]:
    """Returns the languages in the YAML files below `folders`, in their order.

    Raises:
        ManifestError: A file cannot be read or holds an unknown name, or a style names a part that
            some hazard of its language lacks.
    """
    languages: dict[str, Language] = {}
    origins: dict[tuple[str, str], Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ManifestError(
                f"{folder}: there is no such folder of context templates; correct `templates` in "
                "the manifest"
            )
        for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
            file = _read(path)
            words = languages.setdefault(file.language, Language(file.language))
            _Merger(path, file, words).merge()
            origins.update({(file.language, style): path for style in file.styles})
    for (lang, style), path in sorted(origins.items()):
        _check_complete(languages[lang], style, path)
    return languages


def _read(path: Path) -> TemplateFile:
    status = path.stat()
    return _read_once(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=256)
def _read_once(path: Path, modified: int, size: int) -> TemplateFile:
    del modified, size  # part of the key, so that a changed file is read again
    return validated(TemplateFile, read_yaml(path), str(path))


class _Merger:
    """Adds the parts and styles of one file to its language."""

    def __init__(
        self,
        path: Path,
        file: TemplateFile,
        words: Language,
    ) -> None:
        self.path = path
        self.file = file
        self.words = words

    def merge(self) -> None:
        if self.file.joiners is not None:
            self.words.joiners = self.file.joiners
        if self.file.withheld is not None:
            self._check_names("withheld", self.file.withheld, ("lead", "what", "reason"))
            self.words.withheld = self.file.withheld
        for part, variants in self.file.any.items():
            if part not in PARTS:
                raise self._unknown("any", part, PARTS)
            self._add_part("any", part, variants)
        for hazard, section in self.file.hazards.items():
            self._add_hazard(hazard, section)
        for name, style in self.file.styles.items():
            self._add_style(name, style)

    def _add_hazard(self, hazard: str, section: dict[str, str | Part]) -> None:
        key = f"hazards.{hazard}"
        for part, variants in section.items():
            if part == "label":
                if not isinstance(variants, str):
                    raise ManifestError(
                        f"{self.path}: {key}.label is a list, but a hazard has one name beside "
                        "others; make it one text"
                    )
                self.words.labels[hazard] = variants
            elif part not in PARTS:
                raise self._unknown(key, part, ("label", *PARTS))
            elif isinstance(variants, str):
                raise ManifestError(
                    f"{self.path}: {key}.{part} is one text, so there is nothing to choose among; "
                    "make it a list of variants"
                )
            else:
                self._add_part(hazard, part, variants)
        if hazard not in self.words.labels:
            raise ManifestError(
                f"{self.path}: {key} has no `label`, so the hazard cannot be named beside others; "
                "add one"
            )

    def _add_part(self, section: str, part: str, variants: Part) -> None:
        if isinstance(variants, Variants):
            reviewed, texts = variants.reviewed_by_native_speaker, variants.variants
        else:
            reviewed, texts = self.file.reviewed_by_native_speaker, variants
        earlier = () if self.file.replace else self.words.parts.get((section, part), ())
        seen = {variant.text for variant in earlier}
        name = f"{self.words.name}/{section}"
        added: list[Variant] = []
        for text in texts:
            fault = (
                "stands twice"
                if text in seen
                else "begins or ends with a space"
                if text != text.strip()
                else None
            )
            if fault:
                raise ManifestError(
                    f"{self.path}: {section}.{part}: a variant {fault}, so documents would read "
                    f"badly; correct variant {len(added) + 1}"
                )
            if part in LISTING_PARTS:
                self._check_names(f"{section}.{part}", text, ("others",))
            seen.add(text)
            ref = f"{part}@{self.file.version}/{name}/{digest(text)[:8]}"
            added.append(Variant(text, ref, hash64(f"{name}/{part}/{text}"), reviewed))
        self.words.parts[section, part] = (*earlier, *added)

    def _add_style(self, name: str, style: Style) -> None:
        key = f"styles.{name}"
        known = {*PARTS, FACTS, *FLAGS}
        hidden = sorted(known & set(style.lines))
        if hidden:
            raise ManifestError(
                f"{self.path}: {key}.lines: {hidden[0]!r} is the name of a part, which the line "
                "would hide; rename the line"
            )
        for line, sources in style.lines.items():
            for source in sources:
                self._check_names(f"{key}.lines.{line}", source, FLAGS)
        frames = {}
        for kind in KINDS:
            for frame in style.frames(kind):
                self._check_names(f"{key}.{kind}", frame, known | set(style.lines))
                if frame.count("{{") > MAX_SLOTS:
                    raise ManifestError(
                        f"{self.path}: {key}.{kind}: a frame has more than {MAX_SLOTS} slots, more "
                        "than a document draws for; divide it into two frames"
                    )
            frames[kind] = tuple(
                hash64(f"{self.words.name}/{name}/{kind}/{frame}") for frame in style.frames(kind)
            )
        ref = f"{name}@{style.version}/{self.words.name}"
        self.words.styles[name] = NamedStyle(
            name, ref, style, hash64(f"{self.words.name}/{name}"), frames
        )

    def _check_names(self, key: str, source: str, known: Iterable[str]) -> None:
        try:
            names = _names(source)
        except jinja2.TemplateSyntaxError as error:
            raise ManifestError(
                f"{self.path}: {key}: not a Jinja template ({error.message}), so it cannot be "
                "rendered; correct it"
            ) from error
        for name in sorted(names - set(known)):
            raise self._unknown(key, name, sorted(known))

    def _unknown(self, key: str, name: str, known: Iterable[str]) -> ManifestError:
        known = list(known)
        near = difflib.get_close_matches(name, known, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
        return ManifestError(
            f"{self.path}: {key}: {name!r} is not known, so it could not be used; {cure}"
        )


@functools.cache
def _names(source: str) -> frozenset[str]:
    """Returns the names that a template asks for."""
    if "{" not in source:
        return frozenset()
    return frozenset(jinja2.meta.find_undeclared_variables(new_environment().parse(source)))


def _check_complete(words: Language, name: str, path: Path) -> None:
    """Raises where a style names a part that some hazard of its language has no words for."""
    style = words.styles[name].style
    needed = {
        part
        for kind in KINDS
        for frame in style.frames(kind)
        for part in _names(frame)
        if part in PARTS
    }
    if words.withheld:
        needed |= {part for part in PARTS if part.startswith("withheld_")}
    for hazard in sorted(words.labels):
        for part in sorted(needed):
            if not words.part(hazard, part):
                raise ManifestError(
                    f"{path}: styles.{name} needs the part {part!r}, but language {words.name!r} "
                    f"has none for hazard {hazard!r}; add variants of it under `hazards.{hazard}` "
                    "or under `any`"
                )
