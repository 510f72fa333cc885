"""The gates that every single exercise has to pass; what does not is left out and counted."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import read_yaml
from raicurate.transforms.lesson import Exercise
from raicurate.transforms.word_hashes import run_hashes, words_of

VERSION = "2"

RUN = 13
"""Words in a row that an exercise may not have in common with a probe item, as in the
decontamination of GPT-3 (Brown et al., 2020, appendix C)."""

MAX_CHARS = 8000
_MIN_LANGUAGE_CHARS = 80
CROSS_LINGUAL = "cross_lingual"
"""The family whose answers are in another language than its questions."""

_OPEN_SLOT = re.compile(r"\{\{|\}\}|\{%|%\}|\bUndefined\b|\bNone\b(?=[.”»“])|“”|«»|„“|「」|«  »")

_NOT_TOLD = re.compile(r"\([“„«「].*?[”“»」]\)|[\W\d_]+")
"""What two exercises may differ in and still be nearly the same: place, numbers and signs."""

_FILTER_BITS = 27

LanguageOf = Callable[[Sequence[str]], list[str | None]]
"""Returns the language of each text, or None where it is not sure."""


def near_key(question: str, answer: str) -> str:
    """Returns what is left of an exercise without place, numbers, signs and case."""
    return "\0".join(_NOT_TOLD.sub(" ", part.lower()) for part in (question, answer))


class Seen:
    """Remembers what was seen, in memory of a fixed size: a Bloom filter (Bloom, 1970).

    With three places in 2^27 bits, one in three thousand is taken for a repetition after three
    million.
    """

    def __init__(self) -> None:
        self._bits = bytearray(1 << (_FILTER_BITS - 3))

    def add(self, key: str) -> bool:
        """Adds a key and returns whether it was there before, or seems so."""
        found = True
        content = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        for start in (0, 4, 8):
            place = int.from_bytes(content[start : start + 4], "big") >> (32 - _FILTER_BITS)
            mask = 1 << (place & 7)
            if not self._bits[place >> 3] & mask:
                found = False
                self._bits[place >> 3] |= mask
        return found

    def repeats(self, exercise: Exercise) -> bool:
        """Adds an exercise and returns whether its question was there before, or nearly so."""
        asked = "\0".join((exercise.question, *sorted(exercise.choices)))
        # A question that is asked with another answer has no answer.
        return self.add(f"asked {asked}") | self.add(near_key(exercise.question, exercise.answer))


@dataclass
class Gates:
    """What an exercise is held against.

    Attributes:
        runs: Sorted hashes of the runs of words of the probe items.
        language_of: Tells the language of a text; not asked where it is None.
        digest: Digest of the probe items and of the model that tells languages.
    """

    runs: Any = field(default_factory=lambda: np.zeros(0, np.uint64))
    language_of: LanguageOf | None = None
    digest: str = ""

    @classmethod
    def load(cls, probes: Sequence[str], language_of: LanguageOf | None = None) -> "Gates":
        """Returns the gates for probe items in JSONL or YAML files.

        Raises:
            ManifestError: A file cannot be read.
        """
        texts = [text for path in probes for text in _texts(Path(path))]
        runs = np.unique(run_hashes(words_of(texts), RUN)[1]) if texts else np.zeros(0, np.uint64)
        model = getattr(language_of, "digest", "")
        return cls(runs, language_of, digest(texts, model) if texts or model else "")

    def passing(
        self, exercises: Iterable[Exercise], left_out: Counter[str], seen: Seen
    ) -> list[Exercise]:
        """Returns the exercises of a document that pass.

        Args:
            exercises: All of them.
            left_out: Counts the others, by reason.
            seen: The exercises of the same unit before them.
        """
        kept: list[Exercise] = []
        for exercise in exercises:
            reason = fault_of(exercise)
            if reason is None:
                reason = "duplicate" if seen.repeats(exercise) else None
            if reason is None:
                kept.append(exercise)
            else:
                left_out[reason] += 1
        said = [f"{exercise.question} {exercise.answer}" for exercise in kept]
        kept = self._without(kept, self.repeated(said), "repeats a probe item", left_out)
        return self._without(kept, self._foreign(kept), "in another language", left_out)

    @staticmethod
    def _without(
        exercises: list[Exercise], hit: Sequence[bool], reason: str, left_out: Counter[str]
    ) -> list[Exercise]:
        if not any(hit):
            return exercises
        left_out[reason] += sum(hit)
        return [exercise for exercise, bad in zip(exercises, hit, strict=True) if not bad]

    def repeated(self, texts: Sequence[str]) -> Sequence[bool]:
        """Returns for each text whether it has a run of words in common with a probe item."""
        if not len(self.runs) or not texts:
            return [False] * len(texts)
        words = words_of(texts)
        first, hashes = run_hashes(words, RUN)
        hit = np.isin(hashes, self.runs)
        found = set(words.texts[first[hit]].tolist())
        return [index in found for index in range(len(texts))]

    def _foreign(self, exercises: Sequence[Exercise]) -> Sequence[bool]:
        if self.language_of is None:
            return [False] * len(exercises)
        rows = [(e.language, e.family, e.question, e.answer, e.rationale) for e in exercises]
        return foreign(rows, self.language_of)


def foreign(
    rows: Sequence[tuple[str, str, str, str, str]], language_of: LanguageOf
) -> Sequence[bool]:
    """Returns for each exercise whether its question or its answer is in another language.

    Args:
        rows: Language, family, question, answer and rationale of each.
        language_of: Tells the language of texts.
    """
    places, texts = [], []
    for index, (_, family, question, answer, rationale) in enumerate(rows):
        # A clause told in another language is the answer there.
        told = () if family == CROSS_LINGUAL else (f"{answer} {rationale}",)
        for text in (question, *told):
            if len(text) >= _MIN_LANGUAGE_CHARS:
                places.append(index)
                texts.append(text)
    hit = [False] * len(rows)
    for index, language in zip(places, language_of(texts), strict=True):
        hit[index] |= language is not None and language != rows[index][0]
    return hit


def fault_of(exercise: Exercise) -> str | None:
    """Returns why an exercise cannot be used by itself, or None."""
    texts = (exercise.question, exercise.answer, exercise.rationale, *exercise.choices)
    reason = fault_of_texts(texts)
    if reason is not None:
        return reason
    if not exercise.question or not exercise.answer:
        return "empty"
    if exercise.choices and (
        exercise.choices.count(exercise.answer) != 1
        or len(set(exercise.choices)) != len(exercise.choices)
    ):
        return "choices repeat"
    return None


def fault_of_texts(texts: Sequence[str]) -> str | None:
    """Returns why the texts of an exercise cannot be used, or None."""
    if any(_OPEN_SLOT.search(text) for text in texts):
        return "open slot"
    return "too long" if sum(map(len, texts)) > MAX_CHARS else None


def _texts(path: Path) -> Iterable[str]:
    """Yields every text of a file of probe items, whatever its form."""
    try:
        if path.suffix in {".yaml", ".yml"}:
            yield from _strings(read_yaml(path))
            return
        for line in path.read_bytes().splitlines():
            yield from _strings(orjson.loads(line))
    except (OSError, orjson.JSONDecodeError) as error:
        raise ManifestError(
            f"{path}: probe items cannot be read, so nothing could be held against them; correct "
            "`exercises.probes`"
        ) from error


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
