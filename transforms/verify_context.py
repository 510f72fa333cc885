"""Acceptance of what was written around a text: checks over columns, with a reason for each no.

The checks know nothing of templates, so they hold for context from any source. They are:

    original_changed   what is marked as original is not the original, without what was removed
    length_ratio       more was added than the policy allows
    not_fluent         an empty slot, doubled spaces or doubled punctuation
    repeats_passage    the added text repeats eight words in a row of a flagged passage
    wrong_language     the added text is not in the language that it should be in
    labelled_intent    the harm model labels the added text itself as harmful in intent
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.policy import Context

VERSION = "1"
"""Raised when a check accepts or rejects other texts than before."""

LanguageOf = Callable[[Sequence[str]], Sequence[str | None]]
LabelledIntent = Callable[[Sequence[str], Sequence[str]], Sequence[bool]]

VERSION = "1"
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

_WORD = re.compile(r"\w+")
# The same for ASCII, at a fraction of the cost: what is no letter, digit or underscore is a space.
_ASCII_MARKS = {code: " " for code in range(128) if not _WORD.match(chr(code))}

# RE2. An ASCII space before punctuation is a gap; French uses a no-break space there. Three dots
# are an ellipsis.
_NOT_FLUENT = (
    r"\{\{|\}\}|\{%|%\}|[\x{E000}-\x{F8FF}]|[^\n ] {2,}| [,.;!?](?:\s|$)|,,|;;|::|,\.|;\.|:\."
    r"|(?:^|[^.])\.\.(?:[^.]|$)|!!|\?\?|\?\.|!\.|。。|、、|،،|؛؛|؟؟|।।|\(\s*\)|“\s*”|«\s*»|「」"
    r"|[ \t]\n|\n\n\n\n"
)


@dataclass(frozen=True)
class Checks:
    """The models that acceptance asks, given by the caller.

    Both are asked about paragraphs, never twice about the same one: assembled contexts are mostly
    new, while their paragraphs recur. `labelled_intent` is asked again about a whole added text
    where it labels one of its paragraphs.

    Attributes:
        language_of: Returns the language (ISO 639-1) of each text; None for one it cannot tell.
        labelled_intent: Returns for each text, with its language, whether the harm model would
            label it as harmful in intent.
    """

    language_of: LanguageOf | None = None
    labelled_intent: LabelledIntent | None = None
    _languages: dict[str, str | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _intents: dict[tuple[str, str], bool] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )


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
    """

    original: str
    text: str
    spans: Sequence[tuple[int, int, str, str | None]]
    removed: Sequence[tuple[int, int]]
    added: str
    lang: str
    passages: Sequence[str]


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

    def reject(failed: Sequence[bool] | np.ndarray, reason: str) -> None:
        for index in np.flatnonzero(failed):
            reasons[index] = reasons[index] or reason

    reject([not _original_is_intact(document) for document in written], "original_changed")
    reject(_too_long(written, added, limits), "length_ratio")
    reject(_not_fluent(added), "not_fluent")
    reject([_repeats_passage(document) for document in written], "repeats_passage")
    if checks.language_of is not None:
        reject(_wrong_language(written, checks, checks.language_of), "wrong_language")
    if checks.labelled_intent is not None:
        reject(_labelled_intent(written, checks, checks.labelled_intent), "labelled_intent")
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
        elif kind != "context":
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
        pc.match_substring_regex(added, _NOT_FLUENT).to_numpy(zero_copy_only=False)
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


def _wrong_language(
    written: Sequence[Written], checks: Checks, language_of: LanguageOf
) -> list[bool]:
    known = checks._languages
    if len(known) > _CACHE_SIZE:
        known.clear()
    asked = [
        [paragraph for paragraph in _paragraphs(document.added) if _is_telling(paragraph, document)]
        for document in written
    ]
    new = list(dict.fromkeys(p for paragraphs in asked for p in paragraphs if p not in known))
    if new:
        known.update(zip(new, language_of(new), strict=True))
    return [
        any(known[paragraph] != document.lang for paragraph in paragraphs)
        for document, paragraphs in zip(written, asked, strict=True)
    ]


def _is_telling(paragraph: str, document: Written) -> bool:
    """Whether a paragraph is long enough for its language to be told."""
    if document.lang in UNSPACED_LANGUAGES:
        return len(paragraph) >= _MIN_CHARS_FOR_LANGUAGE_UNSPACED
    return len(paragraph) >= _MIN_CHARS_FOR_LANGUAGE


def _labelled_intent(
    written: Sequence[Written], checks: Checks, labelled_intent: LabelledIntent
) -> list[bool]:
    """Whether the harm model labels the added text.

    A model made for passages errs on single sentences, so where a paragraph alone is labelled, the
    answer about the added text as a whole counts.
    """
    known = checks._intents
    if len(known) > _CACHE_SIZE:
        known.clear()
    asked = [
        [(paragraph, document.lang) for paragraph in _paragraphs(document.added)]
        for document in written
    ]
    _ask_intent(known, (key for keys in asked for key in keys), labelled_intent)
    suspect = [any(known[key] for key in keys) for keys in asked]
    wholes = [(document.added, document.lang) for document in written]
    doubtful = (whole for whole, is_suspect in zip(wholes, suspect, strict=True) if is_suspect)
    _ask_intent(known, doubtful, labelled_intent)
    return [is_suspect and known[whole] for whole, is_suspect in zip(wholes, suspect, strict=True)]


def _ask_intent(
    known: dict[tuple[str, str], bool],
    keys: Iterable[tuple[str, str]],
    labelled_intent: LabelledIntent,
) -> None:
    new = [key for key in dict.fromkeys(keys) if key not in known]
    if new:
        answers = labelled_intent([text for text, _ in new], [lang for _, lang in new])
        known.update(zip(new, answers, strict=True))
