"""Context from a language model: what it is asked about a document, and whether its answer will do.

Templates write first. The model's words replace theirs in the same place, so the model sees no more
of a document than is published: withheld passages and masked data are not sent. An answer that is
not accepted leaves the template's words where they are.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.language_model import LanguageModel
from raicurate.corpora_manifests.policy import Context, Policy
from raicurate.corpora_manifests.vocabulary import DATA_ACTIONS
from raicurate.exercise_templates.prompts import NEVER_SENT, Prompt
from raicurate.transforms.llm_client import REFUSED, TRUNCATED, Answer
from raicurate.transforms.schema import SPAN
from raicurate.transforms.verify_context import UNSPACED_LANGUAGES, Checks, Written, rejections

VERSION = "1"
"""Part of the keys of units: raised when the same labels and text would be asked or judged
otherwise."""

_STANCE_ORDER = {"intent": 0, "disclosure": 1, "topical": 2}
_MAX_WORDS, _MAX_NOTE_WORDS, _MIN_WORDS = 220, 80, 30
_CHARS_PER_WORD = 8
_MIN_CHARS, _MIN_CHARS_UNSPACED = 80, 30
# About eight words of English without their spaces.
_ECHO_CHARS = 40

# Chat templates give these a meaning of their own, wherever they stand.
_CONTROL = re.compile(
    r"<\||\|>|</?s>|\[/?(?:INST|SYSTEM_PROMPT)\]|<</?SYS>>|</?(?:start|end)_of_turn>|<<<TEXT|TEXT>>>"
)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_HEADER = re.compile(
    r"\A\s*hazard: *(\w+) *\n\s*stance: *(\w+) *\n\s*target: *(\w+) *\n(.*)\Z", re.DOTALL
)
# What no context holds: addresses, numbers to call, markup, roles, and marks that reorder text.
_MARKUP = re.compile(
    r"https?://|www\.|\w@\w|\d[\d ()/-]{5,}\d|§|```|^\s*(?:#|[-*•] |\d+\. )|\*\*|</?\w+>"
    r"|^(?:system|assistant|user) *:|[\x00-\x09\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069"
    r"\ufeff]",
    re.IGNORECASE | re.MULTILINE,
)


class ContextTask(NamedTuple):
    """One document about which the model is asked.

    Attributes:
        row: Its row in the batch.
        body: The request body.
        key: SHA-256 of the body: the same question, the same key.
        ref: Reference of the context, if it is accepted.
        lang: Language in which it is to be written.
        labels: Hazard, stance and target that the answer must name.
        pieces: What is published (text, kind, ref), in order; one of them is the context.
        passages: The flagged passages of the original.
    """

    row: int
    body: bytes
    key: str
    ref: str
    lang: str
    labels: tuple[str, str, str]
    pieces: tuple[tuple[str, str, str | None], ...]
    passages: tuple[str, ...]

    def visible(self) -> str:
        """Returns the published text without its context."""
        return "".join(text for text, kind, _ in self.pieces if kind != "context")


class Verdict(NamedTuple):
    """What becomes of an answer: the published text with its spans, or a reason why not."""

    text: str
    spans: list[tuple[int, int, str, str | None]]
    rejection: str | None


def model_digest(settings: LanguageModel, prompt: Prompt) -> str:
    """Returns the digest of all that decides what a model is asked, and how it is judged."""
    asked = {
        "model", "kinds", "hazards", "languages", "max_tokens", "length_field",
        "max_document_chars", "parameters",
    }  # fmt: skip
    return digest(VERSION, prompt.digest, settings.model_dump(mode="json", include=asked))


def context_tasks(
    batch: pa.RecordBatch,
    applied: pa.RecordBatch,
    policy: Policy,
    settings: LanguageModel,
    prompt: Prompt,
) -> Iterator[ContextTask]:
    """Yields what the model is asked about the documents of a batch.

    Only documents that are published with exactly one stretch of context are asked about; never one
    with a hazard of `prompts.NEVER_SENT`, whatever the policy does with it.

    Args:
        batch: What `contextualize` was given.
        applied: What it returned.
        policy: The policy.
        settings: The model.
        prompt: The prompt.
    """
    actions = pc.is_in(applied.column("action"), value_set=pa.array(DATA_ACTIONS))
    has_spans = pc.greater(pc.list_value_length(applied.column("spans")), 0)
    rows = np.flatnonzero(pc.and_(actions, has_spans).to_numpy(zero_copy_only=False))
    for row in map(int, rows):
        spans = applied.column("spans")[row].as_py()
        if sum(span["kind"] == "context" for span in spans) != 1:
            continue
        hazards = batch.column("active_hazards")[row].as_py()
        if not hazards or any(entry["hazard"] == NEVER_SENT for entry in hazards):
            continue
        task = _task(
            row,
            batch.column("id")[row].as_py(),
            batch.column("text")[row].as_py(),
            batch.column("context_kind")[row].as_py(),
            applied.column("text")[row].as_py(),
            spans,
            hazards,
            policy.context,
            settings,
            prompt,
        )
        if task is not None:
            yield task


def _task(
    row: int,
    document_id: str,
    original: str,
    context_kind: str,
    published: str,
    spans: Sequence[Mapping[str, Any]],
    hazards: Sequence[Mapping[str, Any]],
    limits: Context,
    settings: LanguageModel,
    prompt: Prompt,
) -> ContextTask | None:
    primary = min(
        hazards,
        key=lambda h: (_STANCE_ORDER[h["stance"]], -h["severity"], -h["score"], h["hazard"]),
    )
    hazard, stance = primary["hazard"], primary["stance"]
    kind = "support" if stance == "disclosure" else context_kind
    ref = next(span["ref"] for span in spans if span["kind"] == "context") or ""
    # A template's reference is style@version/language/hazard.
    lang = [*ref.split("/"), ""][1]
    if (
        kind not in settings.kinds
        or hazard not in prompt.hazards
        or lang not in prompt.languages
        or (settings.hazards and hazard not in settings.hazards)
        or (settings.languages and lang not in settings.languages)
    ):
        return None
    pieces = tuple(
        (published[span["start"] : span["end"]], span["kind"], span["ref"]) for span in spans
    )
    target = any(
        entry["target"]
        for entry in hazards
        if (entry["hazard"], entry["stance"]) == (hazard, stance)
    )
    others = sorted(
        {h["hazard"] for h in hazards if h["hazard"] != hazard and h["stance"] == "intent"}
    )
    style = _style(document_id, limits.styles, prompt)
    sent, whole = _sent(pieces, settings.max_document_chars)
    labels = (hazard, stance, "yes" if target else "no")
    message = prompt.render(
        {
            "hazard": hazard,
            "hazard_meaning": prompt.hazards[hazard],
            "stance": stance,
            "stance_meaning": prompt.stances[stance],
            "target": labels[2],
            "others": ", ".join(prompt.hazards.get(name, name) for name in others),
            "place": "the whole text follows" if whole else "an excerpt of a longer text follows",
            "boundary": digest(prompt.digest, sent)[:16],
            "document": sent,
            "style": prompt.styles[style],
            "task": prompt.kinds[kind],
            "placement": limits.placement,
            "language": prompt.languages[lang],
            "max_words": str(_max_words(kind, len(original), limits)),
        }
    )
    body = orjson.dumps(
        {
            **settings.parameters,
            "model": settings.model,
            settings.length_field: settings.max_tokens,
            "messages": [
                {"role": "system", "content": prompt.system.strip()},
                {"role": "user", "content": message},
            ],
        },
        option=orjson.OPT_SORT_KEYS,
    )
    return ContextTask(
        row,
        body,
        hashlib.sha256(body).hexdigest(),
        f"{prompt.ref}/{lang}/{hazard}/{style}/{settings.model}",
        lang,
        labels,
        pieces,
        tuple(original[entry["start"] : entry["end"]] for entry in hazards),
    )


def _style(document_id: str, wanted: Sequence[str], prompt: Prompt) -> str:
    """Returns the style that wins for a document, by rendezvous hashing."""
    names = sorted(set(wanted) & set(prompt.styles)) or sorted(prompt.styles)
    return max(names, key=lambda name: hashlib.blake2b(f"{document_id}\0{name}".encode()).digest())


def _sent(pieces: Sequence[tuple[str, str, str | None]], limit: int) -> tuple[str, bool]:
    """Returns what of a document is sent, and whether that is all of it.

    Of a long document it is the stretch around its context, which stands beside the passage.
    """
    index = next(i for i, (_, kind, _) in enumerate(pieces) if kind == "context")
    shown = [(text, kind) for text, kind, _ in pieces]
    before, after = (
        "".join(text for text, kind in part if kind in {"original", "withheld", "pii"})
        for part in (shown[:index], shown[index + 1 :])
    )
    text = before + after
    start = min(max(0, len(before) - limit * 3 // 4), max(0, len(text) - limit))
    sent = text[start : start + limit]
    return _CONTROL.sub(lambda match: f"{match[0][0]} {match[0][1:]}", sent), len(sent) == len(text)


def _max_words(kind: str, chars: int, limits: Context) -> int:
    allowed = int(max(chars * limits.max_added_ratio, limits.max_added_chars)) // _CHARS_PER_WORD
    bound = _MAX_NOTE_WORDS if kind == "note" else _MAX_WORDS
    return max(_MIN_WORDS, min(allowed, bound)) // 10 * 10


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
        markup      addresses, numbers to call, markup, roles or marks that reorder text
        echo        it repeats a stretch of what was sent, in whatever script
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
    found = _HEADER.match(_THOUGHT.sub("", answer.content.replace("\r\n", "\n"), count=1))
    if found is None:
        return "", "format"
    if (found[1], found[2], found[3].lower()) != task.labels:
        return "", "labels"
    words = re.sub(r"\n{2,}", "\n\n", re.sub(r"[ \t]*\n[ \t]*", "\n", found[4])).strip()
    unspaced = task.lang in UNSPACED_LANGUAGES
    if len(words) < (_MIN_CHARS_UNSPACED if unspaced else _MIN_CHARS):
        return "", "too_short"
    if _MARKUP.search(words) or _CONTROL.search(words) or "hazard:" in words.lower():
        return "", "markup"
    if _echoes(words, task.visible()):
        return "", "echo"
    return words, None


def _echoes(words: str, visible: str) -> bool:
    """Whether a run of characters stands in both, white space and case aside.

    `repeats_passage` goes by the words of the document's language, which a text in several
    languages, or one whose language was mistaken, escapes.
    """
    said, shown = ("".join(text.lower().split()) for text in (words, visible))
    return any(
        said[start : start + _ECHO_CHARS] in shown for start in range(len(said) - _ECHO_CHARS + 1)
    )


def _written(task: ContextTask, words: str) -> Written:
    """Returns the document with the model's words; all that is no context counts as original."""
    pieces, spans, length = [], [], 0
    for text, kind, _ in task.pieces:
        piece = _framed(text, words) if kind == "context" else text
        pieces.append(piece)
        spans.append(
            (length, length + len(piece), "context" if kind == "context" else "original", None)
        )
        length += len(piece)
    visible = task.visible()
    return Written(visible, "".join(pieces), spans, [], words, task.lang, [*task.passages, visible])


def _framed(template_words: str, words: str) -> str:
    """Returns `words` between the line breaks that the template's words stood between."""
    left = len(template_words) - len(template_words.lstrip("\n"))
    right = len(template_words.rstrip("\n"))
    return template_words[:left] + words + template_words[right:]


def _spans(task: ContextTask, written: Written) -> list[tuple[int, int, str, str | None]]:
    return [
        (start, end, kind, task.ref if kind == "context" else ref)
        for (start, end, _, _), (_, kind, ref) in zip(written.spans, task.pieces, strict=True)
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
