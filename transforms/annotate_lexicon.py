"""Counts terms of hazard lexicons: the first and cheapest look at what a document talks about.

A hit is no verdict, since news, textbooks and help pages use the same words. Rules of a policy and
the cascade for harm use the counts.

Terms of the document's own language are looked for, and those of English: the same letters mean
different things elsewhere (German `Gift` is poison, Spanish `once` is eleven), and terms of all
languages in every document would be mostly such false friends. English is added since its terms
are used as they are in many languages (`ransomware`, `deepfake`). Where the language is not known
(`und`, or no language annotator ran before), the terms of all languages are looked for.

A term must stand between word boundaries (Unicode: letters, marks and digits are parts of words).
Two exceptions: terms in Han or kana have no such boundaries, except that a term in katakana must
not be part of a longer run of katakana; and Arabic terms are found after the article and the
particles that are written together with the word. Of terms that overlap, the leftmost and then the
longest counts.
"""

import functools
import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ahocorasick_rs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import HAZARDS, Hazard
from raicurate.transforms.fasttext_model import file_sha256
from raicurate.transforms.registry import Annotator, register
from raicurate.transforms.schema import LEXICON_HIT

SHIPPED = Path(__file__).parent / "lexicons"

EVERYWHERE = "en"
"""The language whose terms are looked for in every document."""

CATEGORY_HAZARDS: dict[str, Hazard] = {
    "hate": "hate",
    "sexism": "hate",
    "harassment": "harassment",
    "offensive": "harassment",
    "toxic": "harassment",
    "violence": "violent_crimes",
    "sexual": "sexual_content",
    "self_harm": "suicide_self_harm",
    "illegal": "non_violent_crimes",
    "cyber": "cyber",
    "weapons": "indiscriminate_weapons",
    "misinformation": "misinformation",
    "privacy": "privacy",
    "copyright": "intellectual_property",
    "specialised_advice": "specialized_advice",
}
"""Names that published word lists use for categories, as hazards."""

UNCATEGORIZED: Hazard = "sexual_content"
"""Hazard of terms in a list without categories; such lists are of obscene words."""

_ARABIC_PREFIXES = tuple("ال و ف ب ل ك وال فال بال كال لل وب ول ولل وبال".split())  # noqa: SIM905


# The same loader in C, where PyYAML has it: ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Term(NamedTuple):
    """A term in lower case; `is_stem` if any word that starts with it is meant."""

    text: str
    is_stem: bool
    lang: str
    hazard: Hazard


def read_lexicon(path: Path) -> list[Term]:
    """Reads the terms of a lexicon.

    Args:
        path: YAML with `version`, `lang`, `license` and `terms` (lists by hazard), or JSON Lines
            with `text`, `lang` and, optionally, `categories` (hazards, or keys of
            `CATEGORY_HAZARDS`; other categories are left out).

    Raises:
        ManifestError: The file is missing or has another form.
    """
    if not path.is_file():
        raise ManifestError(f"there is no lexicon {path}, so its terms cannot be found; correct it")
    try:
        if path.suffix in {".yaml", ".yml"}:
            return _terms_of_yaml(yaml.load(path.read_text(encoding="utf-8"), _LOADER))
        with path.open(encoding="utf-8") as lines:
            return [term for line in lines if line.strip() for term in _terms_of_row(line)]
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ManifestError(
            f"{path} is not a lexicon ({type(error).__name__}: {error}), so its terms cannot be "
            "found; give YAML with version, lang, license and terms by hazard, or JSON Lines with "
            "text, lang and categories"
        ) from error


def _terms_of_yaml(content: Mapping[str, Any]) -> list[Term]:
    unknown = sorted(set(content["terms"]) - set(HAZARDS))
    if unknown:
        raise ValueError(f"unknown hazards {unknown}")
    for key in ("version", "license"):
        if not isinstance(content[key], str):
            raise TypeError(f"`{key}` must be a text")
    return [
        _term(text, content["lang"], hazard)
        for hazard, texts in content["terms"].items()
        for text in texts
    ]


def _terms_of_row(line: str) -> Iterator[Term]:
    row = json.loads(line)
    categories = row.get("categories") or [UNCATEGORIZED]
    hazards = {
        category if category in HAZARDS else CATEGORY_HAZARDS.get(category)
        for category in categories
    }
    for hazard in HAZARDS:
        if hazard in hazards:
            yield _term(row["text"], row["lang"].partition("-")[0], hazard)


def _term(text: str, lang: str, hazard: Hazard) -> Term:
    stem = text.removesuffix("*").lower()
    if not stem.strip() or "*" in stem or stem != stem.strip():
        raise ValueError("a term is empty, has a space at its edge, or a * not at its end")
    return Term(stem, text.endswith("*"), lang, hazard)


class Matcher:
    """Finds a set of terms."""

    def __init__(self, terms: Iterable[Term]) -> None:
        meanings: dict[tuple[str, bool, bool], set[Hazard]] = {}
        names: dict[tuple[str, bool, bool], str] = {}
        for term in terms:
            for form in _written_forms(term):
                key = (form, term.is_stem, _needs_boundaries(form))
                meanings.setdefault(key, set()).add(term.hazard)
                names.setdefault(key, term.text)
        self._keys = sorted(meanings)
        self._hazards = [
            [HAZARDS.index(hazard) for hazard in HAZARDS if hazard in meanings[key]]
            for key in self._keys
        ]
        distinct = sorted(set(names.values()))
        self._name = [distinct.index(names[key]) for key in self._keys]
        self._is_stem = np.array([key[1] for key in self._keys], dtype=bool)
        self._is_word = np.array([key[2] for key in self._keys], dtype=bool)
        self._is_katakana = np.array([_is_katakana(key[0]) for key in self._keys], dtype=bool)
        self._automaton = ahocorasick_rs.BytesAhoCorasick(
            [key[0].encode() for key in self._keys],
            matchkind=ahocorasick_rs.MatchKind.Standard,
            implementation=ahocorasick_rs.Implementation.DFA,
        )

    def find(self, data: np.ndarray, offsets: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        """Finds the terms in some rows of a column.

        Args:
            data: UTF-8 bytes of the column, in lower case.
            offsets: Where rows start in it; one more for the end.
            rows: Which rows to look at.

        Returns:
            One line for each match and hazard: row, index of the hazard, index of the term.
        """
        view = data.data
        found: list[tuple[int, int, int]] = []
        counts = np.zeros(len(rows), dtype=np.int64)
        for number, document in enumerate(rows):
            # Overlapping, since a longer term that fails at its boundary would hide a shorter one.
            matches = self._automaton.find_matches_as_indexes(
                view[offsets[document] : offsets[document + 1]], overlapping=True
            )
            found += matches
            counts[number] = len(matches)
        if not found:
            return np.zeros((0, 3), dtype=np.int64)
        columns = np.array(found, dtype=np.int64).T
        pattern, start, end = columns[0], columns[1], columns[2]
        documents = np.repeat(np.asarray(rows, dtype=np.int64), counts)
        start, end = start + offsets[documents], end + offsets[documents]
        alone = self._stand_alone(data, offsets, documents, pattern, start, end)
        documents, pattern = documents[alone], pattern[alone]
        kept = _leftmost_longest(start[alone], end[alone])
        return np.array(
            [
                (document, hazard, self._name[index])
                for document, index in zip(
                    documents[kept].tolist(), pattern[kept].tolist(), strict=True
                )
                for hazard in self._hazards[index]
            ],
            dtype=np.int64,
        ).reshape(-1, 3)

    def _stand_alone(
        self,
        data: np.ndarray,
        offsets: np.ndarray,
        row: np.ndarray,
        pattern: np.ndarray,
        start: np.ndarray,
        end: np.ndarray,
    ) -> np.ndarray:
        """Whether each match has the boundaries that its term needs."""
        last = len(data) - 1
        before = np.where(start > offsets[row], data[np.maximum(start - 1, 0)], 0x20)
        after = np.where(end < offsets[row + 1], data[np.minimum(end, last)], 0x20)
        is_word, is_stem = self._is_word[pattern], self._is_stem[pattern]
        alone = ~is_word | ~_ASCII_WORD[before]
        alone &= ~is_word | is_stem | ~_ASCII_WORD[after]
        # Beyond ASCII the whole character must be read; it is rare enough for Python.
        katakana = self._is_katakana[pattern]
        for index in np.flatnonzero(alone & (is_word | katakana) & (before >= 0x80)).tolist():
            low = max(int(offsets[row[index]]), int(start[index]) - 4)
            character = data[low : start[index]].tobytes().decode("utf-8", "ignore")[-1:]
            alone[index] = not _continues(character, bool(katakana[index]))
        right = alone & ((is_word & ~is_stem) | katakana) & (after >= 0x80)
        for index in np.flatnonzero(right).tolist():
            high = min(int(offsets[row[index] + 1]), int(end[index]) + 4)
            character = data[end[index] : high].tobytes().decode("utf-8", "ignore")[:1]
            alone[index] = not _continues(character, bool(katakana[index]))
        return alone


_ASCII_WORD = np.zeros(256, dtype=bool)
_ASCII_WORD[list(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] = True


@functools.lru_cache(maxsize=1 << 14)
def _continues(character: str, katakana_only: bool) -> bool:
    """Whether a word goes on with this character."""
    if katakana_only:
        return _is_katakana(character)
    return bool(character) and unicodedata.category(character)[0] in "LMN"


def _is_katakana(text: str) -> bool:
    return bool(text) and all("\u30a0" <= character <= "\u30ff" for character in text)


def _needs_boundaries(form: str) -> bool:
    """Whether the script of a term separates words: not if it starts or ends in Han or kana."""
    return not any("\u3040" <= character <= "\u9fff" for character in (form[0], form[-1]))


def _written_forms(term: Term) -> Iterator[str]:
    yield term.text
    if term.lang == "ar":
        bare = term.text.removeprefix("ال")
        for prefix in _ARABIC_PREFIXES:
            yield prefix + bare


def _leftmost_longest(start: np.ndarray, end: np.ndarray) -> list[int]:
    """Returns the indices of matches that do not overlap: leftmost first, then longest."""
    chosen = []
    position = -1
    for index in np.lexsort((-end, start)).tolist():
        if start[index] >= position:
            chosen.append(index)
            position = end[index]
    return chosen


@functools.lru_cache(maxsize=64)
def _terms(paths: tuple[Path, ...]) -> tuple[Term, ...]:
    return tuple(term for path in paths for term in read_lexicon(path))


@functools.lru_cache(maxsize=64)
def _languages(paths: tuple[Path, ...]) -> frozenset[str]:
    return frozenset(term.lang for term in _terms(paths))


@functools.lru_cache(maxsize=64)
def _matcher(paths: tuple[Path, ...], lang: str | None) -> Matcher:
    """Returns the matcher for documents in a language; for None, with the terms of all."""
    known = {lang, EVERYWHERE}
    return Matcher(term for term in _terms(paths) if lang is None or term.lang in known)


@register("lexicon@1")
class LexiconAnnotator(Annotator):
    """Counts, for each hazard, the terms of lexicons in each document.

    Args:
        paths: More lexicons, in the forms that `read_lexicon` takes.
        shipped: Whether to look for the terms of the lexicons that ship.
    """

    columns = ("lexicon",)

    def __init__(self, paths: Sequence[str] = (), shipped: bool = True) -> None:
        if isinstance(paths, str):
            raise ManifestError("annotator 'lexicon@1': `paths` must be a list of files")
        own = sorted(SHIPPED.glob("*.yaml")) if shipped else []
        self._paths = (*own, *(Path(path) for path in paths))
        if not self._paths:
            raise ManifestError(
                "annotator 'lexicon@1' has no lexicon, so it would find nothing; give `paths`, or "
                "leave out `shipped: false`"
            )
        for path in self._paths:
            if not path.is_file():
                raise ManifestError(
                    f"annotator 'lexicon@1': there is no lexicon {path}, so its terms cannot be "
                    "found; correct `paths`"
                )

    def setup(self) -> None:
        """Reads the lexicons and builds the matcher for English."""
        _matcher(self._paths, EVERYWHERE)

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Returns the column `lexicon`: hazards found, in the order of the vocabulary."""
        texts = pc.utf8_lower(pc.fill_null(batch.column("text"), ""))
        _, buffer, content = texts.cast(pa.large_string()).buffers()
        offsets = np.frombuffer(buffer, dtype=np.int64)[: len(texts) + 1]
        data = np.frombuffer(content or b" ", dtype=np.uint8)
        found = [
            _matcher(self._paths, lang).find(data, offsets, rows)
            for lang, rows in self._rows_by_language(batch).items()
        ]
        return [_counts(np.concatenate([np.zeros((0, 3), np.int64), *found]), batch.num_rows)]

    def _rows_by_language(self, batch: pa.RecordBatch) -> dict[str | None, list[int]]:
        if "lang" not in batch.schema.names:
            return {None: list(range(batch.num_rows))}
        groups: dict[str | None, list[int]] = {}
        for row, lang in enumerate(batch.column("lang").to_pylist()):
            if lang in {None, "und"}:
                groups.setdefault(None, []).append(row)
            else:
                known = lang if lang in _languages(self._paths) else EVERYWHERE
                groups.setdefault(known, []).append(row)
        return groups

    def model_digest(self) -> str:
        """Returns a digest of all lexicons."""
        digests = [f"{path.name} {file_sha256(path)}" for path in self._paths]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _counts(found: np.ndarray, length: int) -> pa.ListArray:
    """Returns for each row the hits and the distinct terms by hazard."""
    key = found[:, 0] * len(HAZARDS) + found[:, 1]
    keys, hits = np.unique(key, return_counts=True)
    terms = np.unique(np.stack([key, found[:, 2]], axis=1), axis=0)
    _, distinct = np.unique(terms[:, 0], return_counts=True)
    offsets = np.searchsorted(keys, np.arange(length + 1) * len(HAZARDS))
    values = pa.StructArray.from_arrays(
        [
            pa.array(HAZARDS, pa.string()).take(pa.array(keys % len(HAZARDS), pa.int64())),
            pa.array(hits, pa.int32()),
            pa.array(distinct, pa.int32()),
        ],
        fields=list(LEXICON_HIT),
    )
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
