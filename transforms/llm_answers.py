"""Answers of a language model that was asked for context: which will do, and where they go."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from raicurate.corpora_manifests.policy import Context
from raicurate.transforms.llm_client import REFUSED, TRUNCATED, Answer
from raicurate.transforms.llm_context import CONTROL, ContextTask
from raicurate.transforms.schema import SPAN
from raicurate.transforms.verify_context import (
    NGRAM_CHARACTERS,
    UNSPACED_LANGUAGES,
    Checks,
    Written,
    rejections,
)

_MIN_CHARS, _MIN_CHARS_UNSPACED = 80, 30
# About eight words of English without their spaces.
_ECHO_LETTERS = 40

_LETTERS = re.compile(r"\w+")
# Thai and Lao, Burmese, Khmer, Japanese and Chinese.
_UNSPACED_LETTERS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)
THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""What some models say to themselves first."""
_HEADER = re.compile(
    r"\A\s*hazard: *(\w+) *\n\s*stance: *(\w+) *\n\s*target: *(\w+) *\n(.*)\Z", re.DOTALL
)
MARKUP = re.compile(
    r"https?://|www\.|\w@\w|\d[\d ()/-]{5,}\d|§|```|^\s*(?:#|[-*•] |\d+\. )|\*\*|</?\w+>"
    r"|^(?:system|assistant|user) *:|[\x00-\x09\x0b-\x1f\x7f\xad\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\ufeff\U000e0000-\U0010ffff]",
    re.IGNORECASE | re.MULTILINE,
)
"""What no text of a model holds: addresses, numbers to call, markup, roles, and characters that
reorder text or that nobody sees (joiners stay: Hindi and Arabic need them)."""


class Verdict(NamedTuple):
    """What becomes of an answer: the published text with its spans, or a reason why not."""

    text: str
    spans: list[tuple[int, int, str, str | None]]
    rejection: str | None


def judge(
    tasks: Sequence[ContextTask], answers: Sequence[Answer], limits: Context, checks: Checks
) -> list[Verdict]:
    """Returns what becomes of each answer.

    Beside the checks of `verify_context` there are those that only a model can fail:

        truncated   the answer was cut off
        refused     the model, or a filter of its server, declined
        format      the answer does not have the form that was asked for
        labels      it names another hazard, stance or target than the labels
        too_short   too little for its language to be told
        markup      addresses, numbers to call, markup, roles or characters that hide or reorder
        echo        it repeats a stretch of what is published, in whatever script
    """
    reasons: list[str | None] = []
    candidates: list[Written] = []
    for task, answer in zip(tasks, answers, strict=True):
        words, reason = _words_of(task, answer)
        reasons.append(reason)
        candidates.append(_written(task, words))
    for joined in (False, True):
        # As one paragraph, so that many short ones are not too short each to be looked at.
        open_rows = [row for row, reason in enumerate(reasons) if reason is None]
        asked = [candidates[row] for row in open_rows]
        if joined:
            asked = [one._replace(added=one.added.replace("\n\n", "\n")) for one in asked]
        for row, reason in zip(open_rows, rejections(asked, limits, checks), strict=True):
            reasons[row] = reason
    return [
        Verdict(candidate.text, _spans(task, candidate), reason)
        for task, candidate, reason in zip(tasks, candidates, reasons, strict=True)
    ]


def _words_of(task: ContextTask, answer: Answer) -> tuple[str, str | None]:
    """Returns the words of an answer, or why it has none that will do."""
    if answer.finish == REFUSED:
        return "", "refused"
    if answer.finish == TRUNCATED:
        return "", "truncated"
    found = _HEADER.match(THOUGHT.sub("", answer.content.replace("\r\n", "\n"), count=1))
    if found is None:
        return "", "format"
    if (found[1], found[2], found[3].lower()) != task.labels:
        return "", "labels"
    words = re.sub(r"\n{2,}", "\n\n", re.sub(r"[ \t]*\n[ \t]*", "\n", found[4])).strip()
    unspaced = task.lang in UNSPACED_LANGUAGES
    if len(words) < (_MIN_CHARS_UNSPACED if unspaced else _MIN_CHARS):
        return "", "too_short"
    if MARKUP.search(words) or CONTROL.search(words) or "hazard:" in words.lower():
        return "", "markup"
    if len(words) > task.allowed:
        return "", "length_ratio"
    if any(echoes(words, shown) for shown in (task.visible(), *task.passages)):
        return "", "echo"
    return words, None


def echoes(words: str, shown: str) -> bool:
    """Whether a run of letters stands in both, whatever stands between them.

    `repeats_passage` goes by the words of the document's language, which escape it where a text is
    in several languages, where its language was mistaken, or where a word is taken apart. In
    scripts without spaces a run counts from the length on that counts there.
    """
    said, seen = (
        "".join(_LETTERS.findall(unicodedata.normalize("NFKC", text).casefold()))
        for text in (words, shown)
    )
    if _share_a_run(said, seen, _ECHO_LETTERS):
        return True
    unspaced = "".join(_UNSPACED_LETTERS.findall(said))
    return len(unspaced) >= NGRAM_CHARACTERS and _share_a_run(
        unspaced, "".join(_UNSPACED_LETTERS.findall(seen)), NGRAM_CHARACTERS
    )


def _share_a_run(said: str, seen: str, length: int) -> bool:
    """Whether `length` characters in a row of one text stand in another.

    Each such run covers one of the blocks of half that length into which the first text is cut, so
    only runs over blocks that are found are looked for.
    """
    half = length // 2
    return any(
        said[block : block + half] in seen
        and any(
            len(said[start : start + length]) == length and said[start : start + length] in seen
            for start in range(max(0, block + half - length), block + 1)
        )
        for block in range(0, len(said) - half + 1, half)
    )


def _written(task: ContextTask, words: str) -> Written:
    """Returns the document with the model's words; all that is no context counts as original."""
    pieces, spans, visible, length = [], [], [], 0
    for index, (text, _, _) in enumerate(task.pieces):
        is_new = index == task.position
        piece = _framed(text, words) if is_new else text
        if not is_new:
            visible.append(text)
        pieces.append(piece)
        kind = "context" if is_new else "original"
        spans.append((length, length + len(piece), kind, None))
        length += len(piece)
    original = "".join(visible)
    passages = [*task.passages, task.visible()]
    return Written(original, "".join(pieces), spans, [], words, task.lang, passages)


def _framed(template_words: str, words: str) -> str:
    """Returns `words` between the line breaks that the template's words stood between."""
    left = len(template_words) - len(template_words.lstrip("\n"))
    right = len(template_words.rstrip("\n"))
    return template_words[:left] + words + template_words[right:]


def _spans(task: ContextTask, written: Written) -> list[tuple[int, int, str, str | None]]:
    return [
        (start, end, kind, task.ref if index == task.position else ref)
        for index, ((start, end, _, _), (_, kind, ref)) in enumerate(
            zip(written.spans, task.pieces, strict=True)
        )
    ]


def replaced(applied: pa.RecordBatch, verdicts: Mapping[int, Verdict]) -> pa.RecordBatch:
    """Returns a batch with the accepted texts and spans in their rows."""
    if not verdicts:
        return applied
    texts, spans = applied.column("text").to_pylist(), applied.column("spans").to_pylist()
    names = [field.name for field in SPAN]
    for row, verdict in verdicts.items():
        texts[row] = verdict.text
        spans[row] = [dict(zip(names, span, strict=True)) for span in verdict.spans]
    columns = {
        **{name: applied.column(name) for name in applied.schema.names},
        "text": pa.array(texts, applied.schema.field("text").type),
        "spans": pa.array(spans, applied.schema.field("spans").type),
    }
    return pa.RecordBatch.from_arrays(
        [columns[name] for name in applied.schema.names], schema=applied.schema
    )
