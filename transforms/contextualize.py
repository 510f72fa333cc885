"""Puts educational context beside a text, notes in place of withheld passages, and masks.

The original stays recoverable: everything added or replaced is a span of its own, and the spans
marked `original` give back, byte for byte, what was neither withheld nor masked.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.policy import Policy
from raicurate.corpora_manifests.vocabulary import DATA_ACTIONS
from raicurate.transforms.schema import SPAN
from raicurate.transforms.verify_context import Checks, Written, rejections

VERSION = "1"
"""Raised when the same labels and templates give other text."""

VERSION = "1"
"""Part of the keys of units: raised when the same words and labels would make another text."""

ATTEMPTS = 3
LONG_TEXT_CHARS = 3000
"""From this length on, context stands at the paragraph that it speaks of and not at the margin of
the text: about a screen and a half, so that a note is never a page away from the harm."""

FAILED_RULE = "context-not-accepted"
NO_TEMPLATE = "no_template"
NO_HAZARD = "no_hazard"

_MIN_CHARS_FOR_POSITION = 600
_SEVERAL_PASSAGES = 3
# A blank line further away than this does not end the paragraph in a useful sense; then a line
# break does.
_MAX_PARAGRAPH_CHARS = 1500
# What is still needed for a blank line, by the number of line breaks that are there.
_SEPARATORS = ("\n\n", "\n", "")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")

OUTPUT = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("spans", pa.list_(SPAN), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("rejection", pa.string()),
    ]
)
"""What `contextualize` returns."""


class _Context(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def refs(self) -> tuple[str, ...]: ...
    @property
    def lang(self) -> str: ...


class ContextWriter(Protocol):
    """What writes context; `exercise_templates.context.ContextLibrary` is one."""

    languages: tuple[str, ...]

    def request(
        self,
        *,
        document_id: str,
        lang: str,
        kind: Any,
        hazards: Any,
        role: Any,
        styles: tuple[str, ...],
        placement: Any,
        position: Any,
    ) -> Any:
        """Returns what `write` takes: the facts of one document."""

    def write(self, request: Any, attempt: int = 0) -> _Context | None:
        """Returns the context for a document, another one for each attempt, or None."""

    def withheld_note(
        self, document_id: str, lang: str, hazard: str, kind: Any, attempt: int = 0
    ) -> str | None:
        """Returns the note in place of a withheld passage, or None without words for it."""


class _Hazard(NamedTuple):
    hazard: str
    stance: str
    operational: bool
    score: float
    start: int
    end: int
    target: bool
    threat: bool
    severity: int


class _Replacement(NamedTuple):
    """A stretch of the original and what stands in its place."""

    start: int
    end: int
    kind: str
    ref: str
    text: str


class _Document(NamedTuple):
    row: int
    id: str
    text: str
    lang: str | None
    role: str
    action: str
    kind: str
    withhold: str
    hazards: list[_Hazard]
    masks: list[_Replacement]


class _Result(NamedTuple):
    row: int
    text: str
    spans: list[tuple[int, int, str, str | None]]
    action: str | None
    rule: str | None
    rejection: str | None


def contextualize(
    batch: pa.RecordBatch, policy: Policy, library: ContextWriter, checks: Checks
) -> pa.RecordBatch:
    """Applies context, withholding and masks to the rows that are published.

    A row without any of them passes unchanged and untouched. An empty list of spans means that all
    of `text` is original. A document whose context is not accepted after three attempts, or that
    has no words in its language, becomes `restrict` under the rule `context-not-accepted`, with its
    original text; one that is merely kept with a note stays kept without it. Either way
    `rejection` says why.

    Args:
        batch: Columns `id`, `text`, `lang`, `role`, `action`, `rule`, `context_kind`, `withhold`,
            `active_hazards` (list of struct: hazard, stance, operational, score, start, end,
            target, threat, severity; what the policy's thresholds let through) and
            `personal_data` (list of struct: start, end, kind). Offsets are code points of `text`.
        policy: Says where context stands, how much may be added and what is masked.
        library: Writes the context.
        checks: Models for the acceptance of what was written.

    Returns:
        As many rows, with the columns of `OUTPUT`.
    """
    needed = _rows_to_touch(batch, policy)
    results = _work(_documents(batch, needed, policy), policy, library, checks)
    return _merged(batch, results)


def recover_original(text: str, spans: Sequence[Mapping[str, Any]]) -> str:
    """Returns what of `text` is original: all of it where nothing was withheld or masked.

    Args:
        text: A published text.
        spans: Its spans, as dicts with `start`, `end` and `kind`; empty where all is original.
    """
    if not spans:
        return text
    return "".join(
        text[span["start"] : span["end"]] for span in spans if span["kind"] == "original"
    )


def _rows_to_touch(batch: pa.RecordBatch, policy: Policy) -> np.ndarray:
    published = pc.is_in(batch["action"], pa.array(DATA_ACTIONS))
    wanted = pc.or_(
        pc.fill_null(pc.not_equal(batch["context_kind"], "none"), False),
        pc.fill_null(pc.not_equal(batch["withhold"], "nothing"), False),
    )
    if policy.personal_data.mask:
        has_data = pc.greater(pc.fill_null(pc.list_value_length(batch["personal_data"]), 0), 0)
        wanted = pc.or_(wanted, has_data)
    rows: np.ndarray = np.flatnonzero(pc.and_(published, wanted).to_numpy(zero_copy_only=False))
    return rows


def _documents(batch: pa.RecordBatch, rows: np.ndarray, policy: Policy) -> list[_Document]:
    if not len(rows):
        return []
    subset = batch.take(pa.array(rows))
    hazards = _structs(subset["active_hazards"], _Hazard._fields)
    personal = _structs(subset["personal_data"], ("start", "end", "kind"))
    columns = [
        subset[name].to_pylist()
        for name in ("id", "text", "lang", "role", "action", "context_kind", "withhold")
    ]
    return [
        _Document(
            int(row),
            identity,
            text,
            lang,
            role,
            action,
            kind or "none",
            withhold or "nothing",
            [_Hazard(*values) for values in found],
            _masks(text, data, policy),
        )
        for row, identity, text, lang, role, action, kind, withhold, found, data in zip(
            rows, *columns, hazards, personal, strict=True
        )
    ]


def _structs(column: pa.Array, names: Sequence[str]) -> list[list[tuple[Any, ...]]]:
    """Returns a list column of structs as tuples; a null list is an empty one."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    if not lengths.any():
        return [[] for _ in range(len(lengths))]
    values = column.flatten()
    fields = [pc.struct_field(values, name).to_pylist() for name in names]
    flat = list(zip(*fields, strict=True))
    ends = np.cumsum(lengths)
    return [flat[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _masks(text: str, data: Iterable[tuple[int, int, str]], policy: Policy) -> list[_Replacement]:
    """Returns the placeholders for personal data, in order and apart."""
    masks: list[_Replacement] = []
    wanted = policy.personal_data.mask
    # Of two that overlap, the one that begins first and reaches further names what is masked.
    for start, last, kind in sorted(data, key=lambda item: (item[0], -item[1], item[2])):
        end = min(last, len(text))
        if kind not in wanted or start >= end:
            continue
        if masks and start < masks[-1].end:
            masks[-1] = masks[-1]._replace(end=max(end, masks[-1].end))
            continue
        placeholder = policy.personal_data.placeholder.replace("{kind}", kind)
        masks.append(_Replacement(start, end, "pii", kind, placeholder))
    return masks


def _work(
    documents: list[_Document], policy: Policy, library: ContextWriter, checks: Checks
) -> list[_Result]:
    """Writes, checks and, where something is not accepted, writes again."""
    results: list[_Result] = []
    pending: list[_Document] = []
    for document in documents:
        if document.kind == "none" and document.withhold == "nothing":
            text, spans = _assemble(document.text, document.masks, None, 0)
            results.append(_Result(document.row, text, spans, None, None, None))
        elif document.hazards:
            pending.append(document)
        else:
            results.append(_failed(document, NO_HAZARD))
    for attempt in range(ATTEMPTS):
        tried: list[_Document] = []
        written: list[Written] = []
        for document in pending:
            candidate = _write(document, policy, library, attempt)
            if candidate is None:
                results.append(_failed(document, NO_TEMPLATE))
            else:
                tried.append(document)
                written.append(candidate)
        reasons = rejections(written, policy.context, checks)
        pending = []
        for document, candidate, reason in zip(tried, written, reasons, strict=True):
            if reason is None:
                spans = list(candidate.spans)
                results.append(_Result(document.row, candidate.text, spans, None, None, None))
            elif attempt + 1 < ATTEMPTS:
                pending.append(document)
            else:
                results.append(_failed(document, reason))
    results.sort(key=lambda result: result.row)
    return results


def _failed(document: _Document, reason: str) -> _Result:
    """Returns what becomes of a document whose context was not accepted."""
    if document.action == "contextualize":
        return _Result(document.row, document.text, [], "restrict", FAILED_RULE, reason)
    text, spans = _assemble(document.text, document.masks, None, 0)
    return _Result(document.row, text, spans, None, None, reason)


def _write(
    document: _Document, policy: Policy, library: ContextWriter, attempt: int
) -> Written | None:
    """Returns one attempt at a document, or None where no language has words for it."""
    for lang in dict.fromkeys((document.lang, policy.context.fallback_language)):
        if lang in library.languages:
            written = _write_in(str(lang), document, policy, library, attempt)
            if written is not None:
                return written
    return None


def _write_in(
    lang: str, document: _Document, policy: Policy, library: ContextWriter, attempt: int
) -> Written | None:
    withheld = _withheld(document, lang, library, attempt)
    if withheld is None:
        return None
    replaced = _placed(withheld, document.masks)
    added = [item.text for item in withheld]
    context: tuple[str, str] | None = None
    if document.kind != "none":
        request = library.request(
            document_id=document.id,
            lang=lang,
            kind=document.kind,
            hazards=_facts(document.hazards),
            role=document.role,
            styles=policy.context.styles,
            placement=policy.context.placement,
            position=_position(document),
        )
        found = library.write(request, attempt)
        if found is None:
            return None
        context = (found.text, found.refs[0])
        added.append(found.text)
    at = _insertion(document, replaced, policy.context.placement == "before")
    text, spans = _assemble(document.text, replaced, context, at)
    return Written(
        document.text,
        text,
        spans,
        [item[:2] for item in replaced],
        "\n\n".join(added),
        lang,
        [document.text[hazard.start : hazard.end] for hazard in document.hazards],
    )


def _facts(hazards: Sequence[_Hazard]) -> list[tuple[Any, ...]]:
    """Returns each hazard and stance once: its gravest severity and everything it ever was."""
    merged: dict[tuple[str, str], list[Any]] = {}
    for hazard in hazards:
        key = (hazard.hazard, hazard.stance)
        facts = merged.get(key)
        if facts is None:
            merged[key] = [
                *key,
                hazard.severity,
                hazard.operational,
                hazard.target,
                hazard.threat,
                hazard.score,
            ]
        else:
            facts[2] = max(facts[2], hazard.severity)
            facts[3] |= hazard.operational
            facts[4] |= hazard.target
            facts[5] |= hazard.threat
            facts[6] = max(facts[6], hazard.score)
    return [tuple(facts) for facts in merged.values()]


def _withheld(
    document: _Document, lang: str, library: ContextWriter, attempt: int
) -> list[_Replacement] | None:
    """Returns the notes in place of withheld passages, in order; None where words are missing."""
    if document.withhold == "nothing":
        return []
    chosen = document.hazards
    if document.withhold == "operational":
        chosen = [hazard for hazard in chosen if hazard.operational]
    elif document.withhold == "worst":
        worst = max(hazard.severity for hazard in chosen)
        chosen = [hazard for hazard in chosen if hazard.severity == worst]
    else:
        chosen = [hazard for hazard in chosen if hazard.stance == "intent"]
    passages: list[tuple[int, int, _Hazard]] = []
    for hazard in sorted(chosen, key=lambda h: (h.start, -h.end, -h.severity, h.hazard)):
        start, end = max(hazard.start, 0), min(hazard.end, len(document.text))
        if start >= end:
            continue
        if passages and start <= passages[-1][1]:
            first, last, named = passages[-1]
            graver = hazard if hazard.severity > named.severity else named
            passages[-1] = (first, max(last, end), graver)
        else:
            passages.append((start, end, hazard))
    notes = []
    for start, end, hazard in passages:
        kind = "detail" if hazard.operational else "passage"
        note = library.withheld_note(document.id, lang, hazard.hazard, kind, attempt)
        if note is None:
            return None
        notes.append(_Replacement(start, end, "withheld", hazard.hazard, note))
    return notes


def _placed(withheld: list[_Replacement], masks: list[_Replacement]) -> list[_Replacement]:
    """Returns notes and placeholders in order; of a placeholder, only what no note covers."""
    if not withheld or not masks:
        return withheld or masks
    placed = list(withheld)
    for mask in masks:
        start = mask.start
        for note in withheld:
            if note.end <= start or note.start >= mask.end:
                continue
            if start < note.start:
                placed.append(mask._replace(start=start, end=note.start))
            start = note.end
        if start < mask.end:
            placed.append(mask._replace(start=start))
    return sorted(placed)


def _position(document: _Document) -> str:
    """Returns where the worst passage stands, where the text is long enough to say it."""
    length = len(document.text)
    if length < _MIN_CHARS_FOR_POSITION:
        return ""
    intended = [hazard for hazard in document.hazards if hazard.stance == "intent"]
    if not intended:
        return ""
    if len({(hazard.start, hazard.end) for hazard in intended}) >= _SEVERAL_PASSAGES:
        return "several"
    worst = max(intended, key=lambda hazard: (hazard.severity, hazard.score))
    if worst.end - worst.start > length / 2:
        return ""
    middle = (worst.start + worst.end) / 2 / length
    return "beginning" if middle < 1 / 3 else "end" if middle > 2 / 3 else "middle"


def _insertion(document: _Document, replaced: Sequence[_Replacement], before: bool) -> int:
    """Returns where in the original the context goes."""
    text = document.text
    if len(text) <= LONG_TEXT_CHARS:
        return 0 if before else len(text)
    if before:
        at = _paragraph_start(text, min(hazard.start for hazard in document.hazards))
    else:
        at = _paragraph_end(text, max(hazard.end for hazard in document.hazards))
    for item in replaced:
        if item.start < at < item.end:
            return item.start if before else item.end
    return at


def _paragraph_end(text: str, passage_end: int) -> int:
    # A passage may end in the line break that closes its paragraph.
    start = max(0, min(passage_end, len(text)) - 1)
    blank = _BLANK_LINE.search(text, start)
    if blank and blank.start() - start <= _MAX_PARAGRAPH_CHARS:
        return blank.start()
    line = text.find("\n", start)
    if line >= 0:
        return line
    return len(text)


def _paragraph_start(text: str, passage_start: int) -> int:
    low = max(0, passage_start - _MAX_PARAGRAPH_CHARS)
    blanks = list(_BLANK_LINE.finditer(text, low, passage_start + 1))
    if blanks:
        return blanks[-1].end()
    return text.rfind("\n", 0, passage_start + 1) + 1


def _assemble(
    original: str,
    replaced: Sequence[_Replacement],
    context: tuple[str, str] | None,
    at: int,
) -> tuple[str, list[tuple[int, int, str, str | None]]]:
    """Returns the text to publish and its spans; no spans where nothing was done to it.

    Args:
        original: The original text.
        replaced: What stands in place of parts of it, in order and apart.
        context: Text and reference of the context.
        at: Where in the original it goes; not inside of a replaced part.
    """
    if not replaced and context is None:
        return original, []
    pieces: list[str] = []
    spans: list[tuple[int, int, str, str | None]] = []
    length = 0
    done = 0

    def put(text: str, kind: str, ref: str | None) -> None:
        nonlocal length
        if text:
            pieces.append(text)
            spans.append((length, length + len(text), kind, ref))
            length += len(text)

    def put_context() -> None:
        nonlocal length
        if context is None:
            return
        left = pieces[-1] if pieces else ""
        ahead = [item for item in replaced if item.start == at]
        right = ahead[0].text if ahead else original[at : at + 2]
        opening = _SEPARATORS[_line_breaks(left, last=True)] if left else ""
        closing = _SEPARATORS[_line_breaks(right, last=False)] if right else ""
        pieces.extend((opening, context[0], closing))
        start, length = length, length + len(opening) + len(context[0]) + len(closing)
        spans.append((start, length, "context", context[1]))

    pending = context is not None
    for item in replaced:
        if pending and at <= item.start:
            put(original[done:at], "original", None)
            put_context()
            done, pending = at, False
        put(original[done : item.start], "original", None)
        put(item.text, item.kind, item.ref)
        done = item.end
    if pending:
        put(original[done:at], "original", None)
        put_context()
        done = at
    put(original[done:], "original", None)
    return "".join(pieces), spans


def _line_breaks(text: str, last: bool) -> int:
    """Returns how many line breaks, at most two, a text ends or begins with."""
    if last:
        return 0 if text[-1] != "\n" else 2 if text[-2:] == "\n\n" else 1
    return 0 if text[0] != "\n" else 2 if text[:2] == "\n\n" else 1


def _merged(batch: pa.RecordBatch, results: list[_Result]) -> pa.RecordBatch:
    """Returns the output columns: the input's, with the results in their places."""
    text, action, rule = batch["text"], batch["action"], batch["rule"]
    rejection = pa.nulls(batch.num_rows, pa.string())
    lengths = np.zeros(batch.num_rows, dtype=np.int64)
    starts: list[int] = []
    ends: list[int] = []
    kinds: list[str] = []
    refs: list[str | None] = []
    if results:
        text = _replaced(text, {r.row: r.text for r in results if r.spans})
        action = _replaced(action, {r.row: r.action for r in results if r.action is not None})
        rule = _replaced(rule, {r.row: r.rule for r in results if r.rule is not None})
        rejection = _replaced(
            rejection, {r.row: r.rejection for r in results if r.rejection is not None}
        )
        for result in results:
            lengths[result.row] = len(result.spans)
            for start, end, kind, ref in result.spans:
                starts.append(start)
                ends.append(end)
                kinds.append(kind)
                refs.append(ref)
    values = pa.StructArray.from_arrays(
        [
            pa.array(starts, pa.int32()),
            pa.array(ends, pa.int32()),
            pa.array(kinds, pa.string()),
            pa.array(refs, pa.string()),
        ],
        fields=list(SPAN),
    )
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    spans = pa.ListArray.from_arrays(pa.array(offsets), values)
    schema = OUTPUT.set(0, pa.field("text", text.type))
    return pa.RecordBatch.from_arrays([text, spans, action, rule, rejection], schema=schema)


def _replaced(column: pa.Array, values: Mapping[int, str | None]) -> pa.Array:
    if not values:
        return column
    mask = np.zeros(len(column), dtype=bool)
    rows = sorted(values)
    mask[rows] = True
    return pc.replace_with_mask(
        column, pa.array(mask), pa.array([values[row] for row in rows], column.type)
    )
