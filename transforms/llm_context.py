"""Context from a language model: what it is asked about a document.

Templates write first. The model's words replace theirs in the same place, so the model sees no more
of a document than is published: withheld passages and masked data are not sent. An answer that is
not accepted (`llm_answers`) leaves the template's words where they are.
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

VERSION = "2"
"""Part of the keys of units: raised when the same labels and text would be asked or judged
otherwise."""

_STANCE_ORDER = {"intent": 0, "disclosure": 1, "topical": 2}
_MAX_WORDS, _MAX_NOTE_WORDS, _MIN_WORDS = 220, 80, 30
_CHARS_PER_WORD = 8

CONTROL = re.compile(
    r"<\||\|>|</?s>|\[/?(?:INST|SYSTEM_PROMPT)\]|<</?SYS>>|</?(?:start|end)_of_turn>|<<<TEXT|TEXT>>>"
)
"""Marks to which chat templates give a meaning of their own, wherever they stand."""


class ContextTask(NamedTuple):
    """One document about which the model is asked.

    Attributes:
        row: Its row in the batch.
        body: The request body.
        key: SHA-256 of the body: the same question, the same key.
        ref: Reference of the context, if it is accepted.
        lang: Language in which it is to be written.
        labels: Hazard, stance and target that the answer must name.
        pieces: What is published (text, kind, ref), in order.
        position: Which piece is the context that the model writes.
        allowed: Characters that its words may have.
        passages: The flagged passages of the original.
    """

    row: int
    body: bytes
    key: str
    ref: str
    lang: str
    labels: tuple[str, str, str]
    pieces: tuple[tuple[str, str, str | None], ...]
    position: int
    allowed: int
    passages: tuple[str, ...]

    def visible(self) -> str:
        """Returns the published text without its context."""
        return "".join(text for text, kind, _ in self.pieces if kind != "context")


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

    Only documents that are published with context are asked about; never one with a hazard of
    `prompts.NEVER_SENT`, whatever the policy does with it. Where a long document has short notes
    beside its context, the notes stay with the templates.

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
        if not any(span["kind"] == "context" for span in spans):
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
    # A template's reference is style@version/language/hazard/group. The context that leads speaks
    # of the gravest hazard and says most.
    position = max(
        (index for index, span in enumerate(spans) if span["kind"] == "context"),
        key=lambda index: (
            (spans[index]["ref"] or "").split("/")[2:3] == [hazard],
            spans[index]["end"] - spans[index]["start"],
        ),
    )
    lang = [*(spans[position]["ref"] or "").split("/"), ""][1]
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
    sent, whole = _sent(pieces, position, settings.max_document_chars)
    beside = sum(
        len(text)
        for index, (text, piece_kind, _) in enumerate(pieces)
        if piece_kind in {"context", "withheld"} and index != position
    )
    allowed = int(max(len(original) * limits.max_added_ratio, limits.max_added_chars)) - beside
    if allowed < _MIN_WORDS * _CHARS_PER_WORD:
        return None
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
            "placement": _placement(pieces, position, limits.placement),
            "language": prompt.languages[lang],
            "max_words": str(_max_words(kind, allowed)),
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
        position,
        allowed,
        tuple(original[entry["start"] : entry["end"]] for entry in hazards),
    )


def _style(document_id: str, wanted: Sequence[str], prompt: Prompt) -> str:
    """Returns the style that wins for a document, by rendezvous hashing."""
    names = sorted(set(wanted) & set(prompt.styles)) or sorted(prompt.styles)
    return max(names, key=lambda name: hashlib.blake2b(f"{document_id}\0{name}".encode()).digest())


def _placement(pieces: Sequence[tuple[str, str, str | None]], position: int, wanted: str) -> str:
    """Returns where the words will stand, so that `the text` can follow."""
    if 0 < position < len(pieces) - 1:
        return f"{'ahead of' if wanted == 'before' else 'behind'} the passage, within"
    return "before" if position == 0 else "after"


def _sent(
    pieces: Sequence[tuple[str, str, str | None]], position: int, limit: int
) -> tuple[str, bool]:
    """Returns what of a document is sent, and whether that is all of it.

    Of a long document it is the stretch around its context, which stands beside the passage.
    """
    before, after = (
        "".join(text for text, kind, _ in part if kind in {"original", "withheld", "pii"})
        for part in (pieces[:position], pieces[position + 1 :])
    )
    text = before + after
    start = min(max(0, len(before) - limit * 3 // 4), max(0, len(text) - limit))
    sent = text[start : start + limit]
    return CONTROL.sub(lambda match: f"{match[0][0]} {match[0][1:]}", sent), len(sent) == len(text)


def _max_words(kind: str, allowed: int) -> int:
    bound = _MAX_NOTE_WORDS if kind == "note" else _MAX_WORDS
    return max(_MIN_WORDS, min(allowed // _CHARS_PER_WORD, bound)) // 10 * 10
