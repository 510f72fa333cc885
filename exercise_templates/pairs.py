"""The words of pairs: requests that are declined, twins that are helped, and lessons.

A text is composed of parts, chosen by the digest of its source, never of the source's own words.
A *scene* holds a mild request, what could be done instead, and its twin: a request that looks
alike and is helped. What declines, gives reasons and closes stands beside the scenes and fits all.
"""

import functools
import hashlib
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import read_yaml, validated
from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Hazard
from raicurate.exercise_templates.context_files import digest, hash64

SHIPPED = Path(__file__).with_name("pair_words")

COMPOSITION_VERSION = "2"
"""Part of the digest: raised when the same words would be put together differently."""

Kind = Literal["refusal", "twin", "lesson"]

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=3)]

_UNPACK = struct.Struct("<16I").unpack
_MULTIPLIER = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, which spreads small differences
_MASK = (1 << 64) - 1


class Speakers(Model):
    """How the two voices of a dialogue are marked, with the mark that follows the name."""

    user: Text
    assistant: Text


class Scene(Model):
    """A request that is declined, with what can be done instead, and its benign twin."""

    request: Text
    alternative: Text
    twin: Text
    help: Text


class HazardWords(Model):
    """What is said about one hazard.

    Attributes:
        reason: Why such a request is declined.
        lesson: What there is to learn about the matter, for a reader who asked for nothing.
        scenes: Requests and their twins.
    """

    reason: Texts
    lesson: Texts
    scenes: tuple[Scene, ...] = Field(min_length=3)


class GeneralWords(Model):
    """What is said whatever the hazard.

    Attributes:
        decline: Opens a refusal.
        welcome: Opens an answer that helps.
        farewell: Closes an answer that helps.
        lesson_opening: Opens a lesson.
        lesson_closing: Closes a lesson.
    """

    decline: Texts
    welcome: Texts
    farewell: Texts
    lesson_opening: Texts
    lesson_closing: Texts


class PairFile(Model):
    """One YAML file: the words of pairs in one language.

    Attributes:
        version: Raised by its author on every change.
        licence: SPDX identifier.
        pair_language: ISO 639-1.
        reviewed_by_native_speaker: Holds for all of it.
        notes_for_translators: What whoever writes or reviews it must know.
        joiner: Stands between sentences.
        speakers: Ways to mark who speaks.
        any: What is said whatever the hazard.
        hazards: By hazard.
    """

    version: int = Field(ge=1)
    licence: Text
    pair_language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    reviewed_by_native_speaker: bool
    notes_for_translators: str = ""
    joiner: str = " "
    speakers: Annotated[tuple[Speakers, ...], Field(min_length=1)]
    any: GeneralWords
    hazards: dict[Hazard, HazardWords] = Field(min_length=1)


class Turn(NamedTuple):
    """What one voice says, in code points of the text."""

    role: str
    start: int
    end: int


class PairText(NamedTuple):
    """A composed text.

    Attributes:
        text: The text.
        turns: Who says what; empty for a lesson.
        refs: References of its parts, with version.
        content: Digest of what it says, however the voices are marked: the same words, the same
            digest.
    """

    text: str
    turns: tuple[Turn, ...]
    refs: tuple[str, ...]
    content: int


class Composition(NamedTuple):
    """All that is written about one source."""

    refusal: PairText
    twin: PairText
    lesson: PairText


class PairLibrary:
    """The words of pairs in all languages."""

    def __init__(self, files: Sequence[PairFile]) -> None:
        self._files = {file.pair_language: file for file in files}
        self.languages = tuple(sorted(self._files))
        """Languages with words."""

    @classmethod
    def load(cls) -> "PairLibrary":
        """Returns the words that ship.

        Raises:
            ManifestError: A file is not valid.
        """
        return _shipped()

    def hazards_of(self, lang: str) -> tuple[Hazard, ...]:
        """Returns the hazards that a language has words for, sorted."""
        file = self._files.get(lang)
        return tuple(sorted(file.hazards)) if file else ()

    def require(self, languages: Iterable[str]) -> None:
        """Raises unless there are words in all of some languages.

        Raises:
            ManifestError: A language has none.
        """
        missing = sorted(set(languages) - set(self.languages))
        if missing:
            raise ManifestError(
                f"policy: pairs.languages: there are no words of pairs in {missing[0]!r}, so its "
                f"documents would get none; known are: {', '.join(self.languages)}"
            )

    def licence_of(self, lang: str) -> str:
        """Returns the licence of the words of a language."""
        return self._files[lang].licence

    @property
    def licences(self) -> str:
        """The licences of all words, in a list."""
        return ", ".join(sorted({file.licence for file in self._files.values()}))

    @functools.cached_property
    def digest(self) -> str:
        """Digest of all words: another one means that some source may get another text."""
        pieces = [
            file.model_dump_json(exclude={"notes_for_translators"})
            for _, file in sorted(self._files.items())
        ]
        return digest(COMPOSITION_VERSION, *pieces)

    def compose(self, source: str, lang: str, hazard: Hazard, attempt: int = 0) -> Composition:
        """Returns what is written about a source.

        Args:
            source: Decides the choice among the parts.
            lang: Language, one of `languages`.
            hazard: One of `hazards_of(lang)`.
            attempt: Each attempt chooses anew.
        """
        file = self._files[lang]
        words, general = file.hazards[hazard], file.any
        draws = _UNPACK(hashlib.blake2b(f"{source}\0{attempt}".encode()).digest())
        ref = f"@{file.version}/{lang}"
        scene_index = _choose(tuple(scene.request for scene in words.scenes), draws[0])
        scene = words.scenes[scene_index]
        scene_ref = f"scene{ref}/{hazard}/{digest(scene.request, scene.twin)[:8]}"
        decline, decline_ref = _pick("decline", ref, general.decline, draws[1])
        reason, reason_ref = _pick("reason", f"{ref}/{hazard}", words.reason, draws[2])
        welcome, welcome_ref = _pick("welcome", ref, general.welcome, draws[3])
        farewell, farewell_ref = _pick("farewell", ref, general.farewell, draws[4])
        opening, opening_ref = _pick("lesson_opening", ref, general.lesson_opening, draws[5])
        lesson, lesson_ref = _pick("lesson", f"{ref}/{hazard}", words.lesson, draws[6])
        # Reasons answer a request; a lesson has none, so its second thought is another lesson.
        others = tuple(text for text in words.lesson if text != lesson)
        more, more_ref = _pick("lesson", f"{ref}/{hazard}", others, draws[7])
        closing, closing_ref = _pick("lesson_closing", ref, general.lesson_closing, draws[8])
        speakers = file.speakers[
            _choose(tuple(speaker.user for speaker in file.speakers), draws[9])
        ]
        join = file.joiner.join
        return Composition(
            _dialogue(
                speakers,
                scene.request,
                join((decline, reason, scene.alternative)),
                (scene_ref, decline_ref, reason_ref),
            ),
            _dialogue(
                speakers,
                scene.twin,
                # What helps is often a draft, which must not run into what is said about it.
                "\n\n".join((welcome, scene.help, farewell)),
                (scene_ref, welcome_ref, farewell_ref),
            ),
            _text(
                join((opening, lesson)) + "\n\n" + join((more, closing)),
                (opening_ref, lesson_ref, more_ref, closing_ref),
            ),
        )


def _pick(part: str, ref: str, variants: Sequence[str], draw: int) -> tuple[str, str]:
    text = variants[_choose(tuple(variants), draw)]
    return text, f"{part}{ref}/{digest(text)[:8]}"


def _choose(variants: tuple[str, ...], draw: int) -> int:
    """Returns the variant that weighs most for a draw (rendezvous hashing)."""
    weights = [_mixed(hashed ^ (draw * _MULTIPLIER & _MASK)) for hashed in _hashes(variants)]
    return weights.index(max(weights))


def _mixed(value: int) -> int:
    # The finalizer of SplitMix64 (S. Vigna, public domain).
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


@functools.lru_cache(maxsize=4096)
def _hashes(variants: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(hash64(variant) for variant in variants)


def _dialogue(speakers: Speakers, request: str, answer: str, refs: tuple[str, ...]) -> PairText:
    opening = speakers.user + request
    text = f"{opening}\n\n{speakers.assistant}{answer}"
    turns = (
        Turn("user", 0, len(opening)),
        Turn("assistant", len(opening) + 2, len(text)),
    )
    return PairText(text, turns, refs, hash64(f"{request}\0{answer}"))


def _text(text: str, refs: tuple[str, ...]) -> PairText:
    return PairText(text, (), refs, hash64(text))


def read_pair_file(path: Path) -> PairFile:
    """Returns the words in a YAML file.

    Raises:
        ManifestError: It is not valid, a text stands twice or in spaces, or it speaks of child
            sexual exploitation.
    """
    file = validated(PairFile, read_yaml(path), str(path))
    if "child_sexual_exploitation" in file.hazards:
        raise ManifestError(
            f"{path}: hazards.child_sexual_exploitation: no pairs are written about it, not even "
            "mild ones; remove it"
        )
    places: dict[str, Sequence[str]] = {
        f"any.{name}": getattr(file.any, name) for name in GeneralWords.model_fields
    }
    for hazard, words in file.hazards.items():
        places[f"hazards.{hazard}.reason"] = words.reason
        places[f"hazards.{hazard}.lesson"] = words.lesson
        for name in Scene.model_fields:
            scenes = tuple(getattr(scene, name) for scene in words.scenes)
            places[f"hazards.{hazard}.scenes.*.{name}"] = scenes
    for place, texts in places.items():
        faults = [text for text in texts if text != text.strip() or texts.count(text) > 1]
        if faults:
            raise ManifestError(
                f"{path}: {place}: a text stands twice, or begins or ends with a space, so pairs "
                "would repeat themselves or read badly; correct it"
            )
    return file


@functools.cache
def _shipped() -> PairLibrary:
    return PairLibrary([read_pair_file(path) for path in sorted(SHIPPED.glob("*.yaml"))])
