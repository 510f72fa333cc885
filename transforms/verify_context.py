"""Acceptance of what was written around a text: checks over columns, with a reason for each no.

The checks know nothing of templates, so they hold for context from any source. They are:

    original_changed   what is marked as original is not the original, without what was removed
    length_ratio       more was added than the policy allows
    not_fluent         an empty slot, doubled spaces or doubled punctuation
    repeats_passage    the added text repeats eight words in a row of a flagged passage
    wrong_language     the added text is not in the language that it should be in
    labelled_intent    the harm model labels the added text itself as harmful in intent
"""

import itertools
import re
from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.policy import Context
from raicurate.transforms.piece_verdicts import PieceVerdicts

LanguageOf = Callable[[Sequence[str]], Sequence[str | None]]
LabelledIntent = Callable[[Sequence[str], Sequence[str]], Sequence[bool]]

VERSION = "2"
"""Part of the keys of units: raised when a check would answer otherwise."""

NGRAM_WORDS = 8
"""Length of a repeated word sequence that counts as copying (DESIGN.md section 6; the same length
is usual for finding memorised text)."""

NGRAM_CHARACTERS = 16
"""The same in scripts without spaces: a Japanese word has about two characters."""

UNSPACED_LANGUAGES = frozenset({"ja", "zh", "th", "lo", "km", "my"})

_MIN_CHARS_FOR_LANGUAGE = 80
_MIN_CHARS_FOR_LANGUAGE_UNSPACED = 30
_CACHE_SIZE = 200_000
_ADDED_KINDS = frozenset({"context", "tag"})
"""Kinds of spans that stand beside the original and in place of nothing."""

_WORD = re.compile(r"\w+")
# The same for ASCII, at a fraction of the cost: what is no letter, digit or underscore is a space.
_ASCII_MARKS = {code: " " for code in range(128) if not _WORD.match(chr(code))}

# RE2. An ASCII space before punctuation is a gap; French uses a no-break space there. Three dots
# are an ellipsis.
NOT_FLUENT = (
    r"\{\{|\}\}|\{%|%\}|[\x{E000}-\x{F8FF}]|[^\n ] {2,}| [,.;!?](?:\s|$)|,,|;;|::|,\.|;\.|:\."
    r"|(?:^|[^.])\.\.(?:[^.]|$)|!!|\?\?|\?\.|!\.|。。|、、|،،|؛؛|؟؟|।।|\(\s*\)|“\s*”|«\s*»|「」"
    r"|[ \t]\n|\n\n\n\n"
)


class Checks:
    """The models that acceptance asks, given by the caller.

    They are asked about the wordings that a context is made of, about each once. Only where one of
    them objects to a wording is it asked about the document: the language of its paragraphs, or
    whether all that was added together is harmful.

    Args:
        language_of: Returns the language (ISO 639-1) of each text; None for one it cannot tell.
        labelled_intent: Returns for each text, with its language, whether the harm model would
            label it as harmful in intent.
        told: Digests (`piece_digest`) of wordings known to be in their language.
        harmless: Digests of wordings known not to be labelled.
    """

    def __init__(
        self,
        language_of: LanguageOf | None = None,
        labelled_intent: LabelledIntent | None = None,
        told: Container[bytes] = frozenset(),
        harmless: Container[bytes] = frozenset(),
    ) -> None:
        self.language_of = language_of
        self.labelled_intent = labelled_intent
        self._told = PieceVerdicts(self.in_other_language, told)
        self._harmless = PieceVerdicts(self.labelled_alone, harmless)
        self._languages: dict[str, str | None] = {}
        self._intents: dict[tuple[str, str], bool] = {}

    def in_other_language(self, pieces: Sequence[str], lang: str) -> list[bool]:
        """Returns for each wording whether it is in another language, as far as can be told."""
        if self.language_of is None:
            return [False] * len(pieces)
        telling = [piece for piece in pieces if _is_telling(piece, lang)]
        found = dict(zip(telling, self.language_of(telling), strict=True)) if telling else {}
        return [found.get(piece, lang) != lang for piece in pieces]

    def labelled_alone(self, pieces: Sequence[str], lang: str) -> list[bool]:
        """Returns for each wording whether it would be labelled if it stood alone."""
        if self.labelled_intent is None or not pieces:
            return [False] * len(pieces)
        return list(self.labelled_intent(pieces, [lang] * len(pieces)))


class Written(NamedTuple):
    """One document as it would be published, and what it was made of.

    Attributes:
        original: The original text.
        text: The text to publish.
        spans: Its spans (start, end, kind, ref), in order.
        removed: Stretches of the original (start, end) that must not stand in `text`, in order and
            apart.
        added: All text that was added by us: the context and the notes in place of passages.
        lang: The language that `added` should be in.
        passages: The flagged passages of the original.
        pieces: The wordings that `added` is made of, where it is made of some that recur.
    """

    original: str
    text: str
    spans: Sequence[tuple[int, int, str, str | None]]
    removed: Sequence[tuple[int, int]]
    added: str
    lang: str
    passages: Sequence[str]
    pieces: Sequence[str] = ()


def rejections(written: Sequence[Written], limits: Context, checks: Checks) -> list[str | None]:
    """Returns for each document the first check that it fails, or None where it is accepted.

    Args:
        written: The documents.
        limits: The policy's bounds on what may be added.
        checks: The models to ask; a check without a model is not made.
    """
    if not written:
        return []
    reasons: list[str | None] = [None] * len(written)
    added = pa.array([document.added for document in written], pa.large_string())

    def reject(rows: Iterable[int], reason: str) -> None:
        for row in rows:
            reasons[row] = reasons[row] or reason

    everything = range(len(written))
    intact = [_original_is_intact(document) for document in written]
    reject(itertools.filterfalse(intact.__getitem__, everything), "original_changed")
    reject(np.flatnonzero(_too_long(written, added, limits)), "length_ratio")
    reject(np.flatnonzero(_not_fluent(added)), "not_fluent")
    repeats = [_repeats_passage(document) for document in written]
    reject(itertools.compress(everything, repeats), "repeats_passage")
    if checks.language_of is not None:
        doubtful = _not_clear(written, checks._told)
        doubtful += [row for row in everything if not _mostly_telling(written[row])]
        wrong = _wrong_language([written[row] for row in doubtful], checks, checks.language_of)
        reject(itertools.compress(doubtful, wrong), "wrong_language")
    if checks.labelled_intent is not None:
        doubtful = _not_clear(written, checks._harmless)
        asked = [written[row] for row in doubtful]
        labelled = _labelled_intent(asked, checks, checks.labelled_intent)
        reject(itertools.compress(doubtful, labelled), "labelled_intent")
    return reasons


def _original_is_intact(document: Written) -> bool:
    """Whether the spans tile the text and their original ones are the original, less `removed`."""
    at = 0
    pieces = []
    replaced = 0
    for start, end, kind, _ in document.spans:
        if start != at or end <= start:
            return False
        at = end
        if kind == "original":
            pieces.append(document.text[start:end])
        elif kind not in _ADDED_KINDS:
            replaced += 1
    if at != len(document.text) or replaced != len(document.removed):
        return False
    if not document.removed:
        return "".join(pieces) == document.original
    kept = []
    at = 0
    for start, end in document.removed:
        kept.append(document.original[at:start])
        at = end
    kept.append(document.original[at:])
    return "".join(pieces) == "".join(kept)


def _too_long(written: Sequence[Written], added: pa.Array, limits: Context) -> np.ndarray:
    chars = pc.utf8_length(added).to_numpy(zero_copy_only=False)
    originals = np.array([len(document.original) for document in written], dtype=np.int64)
    allowed = np.maximum(originals * limits.max_added_ratio, limits.max_added_chars)
    return np.asarray(chars > allowed)


def _not_fluent(added: pa.Array) -> np.ndarray:
    return np.asarray(
        pc.match_substring_regex(added, NOT_FLUENT).to_numpy(zero_copy_only=False)
    ) | np.asarray(pc.equal(pc.utf8_length(added), 0).to_numpy(zero_copy_only=False))


def _repeats_passage(document: Written) -> bool:
    """Whether the added text repeats a run of words of a passage."""
    unspaced = document.lang in UNSPACED_LANGUAGES
    length = NGRAM_CHARACTERS if unspaced else NGRAM_WORDS
    joiner = "" if unspaced else " "
    lowered = document.added.lower()
    added = None
    for passage in document.passages:
        words = _words(passage)
        units = list("".join(words)) if unspaced else words
        if len(units) < length or not _may_repeat(units, length, lowered):
            continue
        if added is None:
            added = joiner.join(["", *_words(lowered), ""])
        for start in range(len(units) - length + 1):
            if joiner.join(["", *units[start : start + length], ""]) in added:
                return True
    return False


def _words(text: str) -> list[str]:
    if text.isascii():
        return text.lower().translate(_ASCII_MARKS).split()
    return _WORD.findall(text.lower())


def _may_repeat(units: list[str], length: int, lowered: str) -> bool:
    """Whether `length` units in a row all occur in a text, in whatever order.

    Mostly that settles it. Going backwards from the end of a run, the first unit that is missing
    rules out all runs over it.
    """
    last = length - 1
    while last < len(units):
        at = last
        while at > last - length and units[at] in lowered:
            at -= 1
        if at == last - length:
            return True
        last = at + length
    return False


def _paragraphs(text: str) -> list[str]:
    return [paragraph for paragraph in text.split("\n\n") if paragraph.strip()]


def _not_clear(written: Sequence[Written], verdicts: PieceVerdicts) -> list[int]:
    """Returns the documents to whose wordings a model may object, or that are made of none."""
    by_language: dict[str, list[Sequence[str]]] = {}
    for document in written:
        by_language.setdefault(document.lang, []).append(document.pieces)
    for lang, pieces in by_language.items():
        verdicts.learn(lang, pieces)
    return [
        row
        for row, document in enumerate(written)
        if not document.pieces or not verdicts.clear(document.lang, document.pieces)
    ]


def _mostly_telling(document: Written) -> bool:
    """Whether half of a text and more are wordings that are long enough to tell its language."""
    if not document.pieces:
        return True
    least = _least_telling(document.lang)
    telling = sum([len(piece) for piece in document.pieces if len(piece) >= least])
    return 2 * telling >= len(document.added)


def _wrong_language(
    written: Sequence[Written], checks: Checks, language_of: LanguageOf
) -> list[bool]:
    known = checks._languages
    if len(known) > _CACHE_SIZE:
        known.clear()
    asked = [
        [
            paragraph
            for paragraph in _paragraphs(document.added)
            if _is_telling(paragraph, document.lang)
        ]
        for document in written
    ]
    new = list(dict.fromkeys(p for paragraphs in asked for p in paragraphs if p not in known))
    if new:
        known.update(zip(new, language_of(new), strict=True))
    return [
        any(known[paragraph] != document.lang for paragraph in paragraphs)
        for document, paragraphs in zip(written, asked, strict=True)
    ]


def _is_telling(text: str, lang: str) -> bool:
    """Whether a text is long enough for its language to be told."""
    return len(text) >= _least_telling(lang)


def _least_telling(lang: str) -> int:
    if lang in UNSPACED_LANGUAGES:
        return _MIN_CHARS_FOR_LANGUAGE_UNSPACED
    return _MIN_CHARS_FOR_LANGUAGE


def _labelled_intent(
    written: Sequence[Written], checks: Checks, labelled_intent: LabelledIntent
) -> list[bool]:
    """Whether the harm model labels what was added, taken as a whole.

    A model made for passages errs on single sentences, so a single one that it labels decides
    nothing. Where it labels none, the whole is not asked about: the models are linear in the mean
    of their word vectors, so the whole lies between its sentences.
    """
    known = checks._intents
    if len(known) > _CACHE_SIZE:
        known.clear()
    wholes = [(document.added, document.lang) for document in written]
    new = [key for key in dict.fromkeys(wholes) if key not in known]
    if new:
        answers = labelled_intent([text for text, _ in new], [lang for _, lang in new])
        known.update(zip(new, answers, strict=True))
    return [known[whole] for whole in wholes]
