"""Reads the YAML files of educational context, checks them and merges them by language.

A file holds parts, styles or both, in one language. Files that ship come first, then those of the
user's folders; a later file adds variants to a part, or replaces them where it says `replace`.
"""

import difflib
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import jinja2
import jinja2.meta
import jinja2.sandbox

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import read_yaml, validated
from raicurate.exercise_templates.context_model import (
    FACTS,
    FLAGS,
    GROUP_PART,
    KINDS,
    LISTING_PARTS,
    MAX_SLOTS,
    PARTS,
    Language,
    NamedStyle,
    Part,
    Style,
    TemplateFile,
    Variant,
    Variants,
    digest,
    hash64,
)

__all__ = ["SHIPPED", "TemplateFile", "digest", "hash64", "new_environment", "read_languages"]

SHIPPED = Path(__file__).with_name("context_words")


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
        self.words.facts += self.file.facts
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
        self.words.groups |= {str(group): name for group, name in self.file.group_names.items()}
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
            elif part == GROUP_PART:
                self._check_names(f"{section}.{part}", text, ("group",))
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
