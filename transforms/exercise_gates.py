"""The gates that every single exercise has to pass; what does not is left out and counted."""

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

VERSION = "1"

RUN = 13
"""Words in a row that an exercise may not have in common with a probe item, as in the
decontamination of GPT-3 (Brown et al., 2020, appendix C)."""

MAX_CHARS = 8000
_MIN_LANGUAGE_CHARS = 80

_OPEN_SLOT = re.compile(r"\{\{|\}\}|\{%|%\}|\bUndefined\b|\bNone\b(?=[.”»“])|“”|«»|„“|「」|«  »")

LanguageOf = Callable[[Sequence[str]], list[str | None]]
"""Returns the language of each text, or None where it is not sure."""


@dataclass
class Gates:
    """What an exercise is held against.

    Attributes:
        runs: Sorted hashes of the runs of words of the probe items.
        language_of: Tells the language of a text; not asked where it is None.
        digest: Digest of the probe items.
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
        return cls(runs, language_of, digest(texts) if texts else "")

    def passing(self, exercises: Iterable[Exercise], left_out: Counter[str]) -> list[Exercise]:
        """Returns the exercises of a document that pass.

        Args:
            exercises: All of them.
            left_out: Counts the others, by reason.
        """
        kept: list[Exercise] = []
        seen: set[tuple[str, ...]] = set()
        for exercise in exercises:
            reason = fault_of(exercise)
            content = (exercise.question, *sorted(exercise.choices))
            if reason is None and content in seen:
                reason = "duplicate"
            if reason is None:
                seen.add(content)
                kept.append(exercise)
            else:
                left_out[reason] += 1
        kept = self._without(kept, self._repeated(kept), "repeats a probe item", left_out)
        return self._without(kept, self._foreign(kept), "in another language", left_out)

    @staticmethod
    def _without(
        exercises: list[Exercise], hit: Sequence[bool], reason: str, left_out: Counter[str]
    ) -> list[Exercise]:
        if not any(hit):
            return exercises
        left_out[reason] += sum(hit)
        return [exercise for exercise, bad in zip(exercises, hit, strict=True) if not bad]

    def _repeated(self, exercises: Sequence[Exercise]) -> Sequence[bool]:
        if not len(self.runs) or not exercises:
            return [False] * len(exercises)
        words = words_of([f"{exercise.question} {exercise.answer}" for exercise in exercises])
        first, hashes = run_hashes(words, RUN)
        hit = np.isin(hashes, self.runs)
        found = set(words.texts[first[hit]].tolist())
        return [index in found for index in range(len(exercises))]

    def _foreign(self, exercises: Sequence[Exercise]) -> Sequence[bool]:
        if self.language_of is None or not exercises:
            return [False] * len(exercises)
        texts = [f"{exercise.question} {exercise.rationale}" for exercise in exercises]
        found = self.language_of(texts)
        return [
            lang is not None and lang != exercise.language and len(text) >= _MIN_LANGUAGE_CHARS
            for lang, exercise, text in zip(found, exercises, texts, strict=True)
        ]


def fault_of(exercise: Exercise) -> str | None:
    """Returns why an exercise cannot be used by itself, or None."""
    texts = (exercise.question, exercise.answer, exercise.rationale, *exercise.choices)
    if any(_OPEN_SLOT.search(text) for text in texts):
        return "open slot"
    if not exercise.question or not exercise.answer:
        return "empty"
    if sum(map(len, texts)) > MAX_CHARS:
        return "too long"
    if exercise.choices and (
        exercise.choices.count(exercise.answer) != 1
        or len(set(exercise.choices)) != len(exercise.choices)
    ):
        return "choices repeat"
    return None


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
