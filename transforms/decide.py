"""The decision: from annotations and a policy to an action for every document, text unseen.

Since only stored columns are looked at, a changed policy is decided anew without a classifier.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.digests import digest, draw_of
from raicurate.corpora_manifests.manifest import Corpus
from raicurate.corpora_manifests.policy import PLAIN_THRESHOLD, Condition, Policy, Rule
from raicurate.corpora_manifests.vocabulary import HAZARD_DIMENSION, HAZARDS, STANCES
from raicurate.transforms.schema import ANNOTATED_HAZARD

VERSION = "2"

ERROR_ACTION = "error"
"""Stands in the action column for a document that could not be annotated."""

ACTIVE_HAZARD = pa.struct(
    [*list(ANNOTATED_HAZARD), pa.field("severity", pa.int8(), nullable=False)]
)
"""A hazard whose score reaches the policy's threshold, with its severity."""

DECISIONS = pa.schema(
    [
        pa.field("action", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("context_kind", pa.string(), nullable=False),
        pa.field("withhold", pa.string(), nullable=False),
        pa.field("store", pa.string(), nullable=False),
        pa.field("severity", pa.int8()),
        pa.field("active_hazards", pa.list_(ACTIVE_HAZARD), nullable=False),
        pa.field("dimensions", pa.list_(pa.string()), nullable=False),
    ]
)

_NO_RULE = Rule.model_construct(
    name="annotation-failed",
    action=ERROR_ACTION,  # type: ignore[arg-type]
    when=Condition(),
    store="record",
    withhold="nothing",
    context="none",
)


class _Entries:
    """The hazards of a batch, flattened: one element an entry, `row` is its document."""

    def __init__(self, hazards: pa.Array, rows: int) -> None:
        lengths = pc.fill_null(pc.list_value_length(hazards), 0).to_numpy(zero_copy_only=False)
        self.values = hazards.flatten()
        self.row = np.repeat(np.arange(rows), lengths)
        self.hazard = _codes(self.values.field("hazard"), HAZARDS)
        self.stance = _codes(self.values.field("stance"), STANCES)
        self.score = self.values.field("score").to_numpy(zero_copy_only=False)
        self.operational = _booleans(self.values.field("operational"))
        self.target = _booleans(self.values.field("target"))
        self.threat = _booleans(self.values.field("threat"))
        self.threshold = pc.fill_null(self.values.field("threshold"), PLAIN_THRESHOLD).to_numpy(
            zero_copy_only=False
        )

    def __len__(self) -> int:
        return len(self.values)


def _codes(array: pa.Array, names: Sequence[str]) -> np.ndarray:
    return pc.index_in(array, value_set=pa.array(names)).to_numpy(zero_copy_only=False)


def _booleans(array: pa.Array) -> np.ndarray:
    return array.to_numpy(zero_copy_only=False).astype(bool)


class Decider:
    """Decides for the documents of one corpus under one policy, and digests what it decided.

    The digest does not depend on how documents are cut into batches, nor on rules that decided
    nothing.
    """

    def __init__(self, policy: Policy, corpus: Corpus) -> None:
        self._policy = policy
        self._corpus = corpus
        self._rules = [*policy.rules, _NO_RULE]
        self._rule_hashes = np.array([_rule_hash(rule) for rule in self._rules], dtype=np.uint64)
        self._gravity = [
            policy.gravity.get(hazard, policy.gravity["default"]) for hazard in HAZARDS
        ]
        self._documents_digest = hashlib.sha256()
        self._hazards_digest = hashlib.sha256()

    def decide(self, annotations: pa.RecordBatch) -> pa.RecordBatch:
        """Returns one row of `DECISIONS` for each row of `schema.ANNOTATIONS`."""
        rows = annotations.num_rows
        langs = annotations.column("lang")
        entries = _Entries(annotations.column("hazards"), rows)
        active = entries.score >= self._thresholds(entries, langs)
        entry_severity = self._severities(entries)
        measured = self._measured(annotations)

        failed = annotations.column("error_type").is_valid().to_numpy(zero_copy_only=False)
        chosen = np.full(rows, len(self._rules) - 1, dtype=np.int64)
        undecided = ~failed
        for index, rule in enumerate(self._policy.rules):
            if not undecided.any():
                break
            matches = undecided & self._matches(
                rule.when, annotations, entries, active, entry_severity, measured
            )
            chosen[matches] = index
            undecided &= ~matches

        severity = np.zeros(rows, dtype=np.int8)
        np.maximum.at(severity, entries.row[active], entry_severity[active])
        decided = np.empty(rows, dtype=[("rule", "<u8"), ("severity", "i1")])
        decided["rule"] = self._rule_hashes[chosen]
        decided["severity"] = np.where(measured, severity, -1)
        self._documents_digest.update(decided.tobytes())
        self._hazards_digest.update(np.where(active, entry_severity, -1).astype(np.int8).tobytes())

        take = pa.array(chosen)
        kinds = _by_rule([rule.context_kind for rule in self._rules], take)
        kinds = self._with_lookalikes(kinds, annotations, entries, active, chosen)
        hazards = self._active_hazards(entries, active, entry_severity, rows)
        return pa.RecordBatch.from_arrays(
            [
                _by_rule([rule.action for rule in self._rules], take),
                _by_rule([rule.name for rule in self._rules], take),
                kinds,
                _by_rule([rule.withhold for rule in self._rules], take),
                _by_rule([rule.store for rule in self._rules], take),
                pa.array(severity, mask=~measured, type=pa.int8()),
                hazards,
                _dimensions(entries, active, rows),
            ],
            schema=DECISIONS,
        )

    def digest(self) -> str:
        """Returns the digest of all decisions so far."""
        return digest(VERSION, self._documents_digest.hexdigest(), self._hazards_digest.hexdigest())

    def _with_lookalikes(
        self,
        kinds: pa.Array,
        annotations: pa.RecordBatch,
        entries: _Entries,
        active: np.ndarray,
        chosen: np.ndarray,
    ) -> pa.Array:
        """Returns the kinds of context, with notes for a share of the benign lookalikes.

        A lookalike is kept without a context, and only talks about what it was flagged for.
        """
        rate = self._policy.context.lookalike_rate
        if not rate:
            return kinds
        plain = [rule.action == "keep" and rule.context_kind == "none" for rule in self._rules]
        lookalike = np.zeros(annotations.num_rows, dtype=bool)
        lookalike[entries.row[active]] = True
        lookalike[entries.row[active & (entries.stance != STANCES.index("topical"))]] = False
        lookalike &= np.array(plain)[chosen]
        ids = annotations.column("id")
        for row in np.flatnonzero(lookalike).tolist():
            lookalike[row] = draw_of("lookalike", ids[row].as_py()) < rate
        return pc.if_else(pa.array(lookalike), "note", kinds)

    def _thresholds(self, entries: _Entries, langs: pa.Array) -> np.ndarray:
        if not len(entries):
            return np.zeros(0, dtype=np.float32)
        encoded = langs.dictionary_encode()
        names = [*encoded.dictionary.to_pylist(), None]
        codes = pc.fill_null(encoded.indices, len(names) - 1).to_numpy(zero_copy_only=False)
        of = self._policy.thresholds.of
        table = np.array(
            [[of(hazard, lang) for lang in names] for hazard in HAZARDS], dtype=np.float32
        )
        chosen = table[entries.hazard, codes[entries.row]]
        return np.where(np.isnan(chosen), entries.threshold, chosen)

    def _severities(self, entries: _Entries) -> np.ndarray:
        def column(name: str) -> np.ndarray:
            values = [getattr(gravity, name) for gravity in self._gravity]
            return np.array(values, dtype=np.int8)[entries.hazard]

        full = np.minimum(
            5,
            column("base")
            + column("target") * entries.target
            + column("threat") * entries.threat
            + column("operational") * entries.operational,
        )
        for stance in ("topical", "disclosure"):
            plain = (entries.stance == STANCES.index(stance)) & ~entries.operational
            full = np.where(plain, column(stance), full)
        return full.astype(np.int8)

    @staticmethod
    def _measured(annotations: pa.RecordBatch) -> np.ndarray:
        model = annotations.column("harm_model")
        return pc.fill_null(pc.not_equal(model, "none"), False).to_numpy(zero_copy_only=False)

    def _matches(
        self,
        when: Condition,
        annotations: pa.RecordBatch,
        entries: _Entries,
        active: np.ndarray,
        severity: np.ndarray,
        measured: np.ndarray,
    ) -> np.ndarray:
        rows = annotations.num_rows
        corpus = self._corpus
        if (
            (when.corpora and corpus.name not in when.corpora)
            or (when.sources and (corpus.source or corpus.name) not in when.sources)
            or (when.roles and corpus.role not in when.roles)
            or (when.trust and corpus.trust not in when.trust)
        ):
            return np.zeros(rows, dtype=bool)
        result = np.ones(rows, dtype=bool)
        if when.languages:
            result &= _is_in(annotations.column("lang"), when.languages)
        if when.measured is not None:
            result &= measured == when.measured
        if when.min_lexicon_terms is not None:
            terms = _sum_by_row(annotations.column("lexicon"), "distinct", rows)
            result &= terms >= when.min_lexicon_terms
        if when.personal_data:
            result &= _any_by_row(
                annotations.column("personal_data"),
                lambda found: _is_in(found.field("kind"), when.personal_data),
                rows,
            )
        if when.step_failed:
            result &= self._any_step(annotations, "passed", False, when.step_failed)
        if when.step_changed:
            result &= self._any_step(annotations, "changed", True, when.step_changed)
        if when.about_hazard:
            hits = active & _entry_matches(when, entries, severity)
            found = np.zeros(rows, dtype=bool)
            found[entries.row[hits]] = True
            result &= found
        return result

    @staticmethod
    def _any_step(
        annotations: pa.RecordBatch, field: str, value: bool, names: Sequence[str]
    ) -> np.ndarray:
        def matches(steps: pa.Array) -> np.ndarray:
            hits = _booleans(steps.field(field)) == value
            return hits if "any" in names else hits & _is_in(steps.field("name"), names)

        return _any_by_row(annotations.column("steps"), matches, annotations.num_rows)

    @staticmethod
    def _active_hazards(
        entries: _Entries, active: np.ndarray, severity: np.ndarray, rows: int
    ) -> pa.Array:
        kept = entries.values.filter(pa.array(active))
        fields = [kept.field(field.name) for field in ANNOTATED_HAZARD]
        values = pa.StructArray.from_arrays(
            [*fields, pa.array(severity[active], type=pa.int8())], fields=list(ACTIVE_HAZARD)
        )
        return _listed(values, entries.row[active], rows)


def _rule_hash(rule: Rule) -> int:
    """Digests what a rule does to a document; when it applies is no part of it."""
    return int(
        digest(rule.name, rule.action, rule.store, rule.withhold, rule.context_kind)[:16], 16
    )


def _entry_matches(when: Condition, entries: _Entries, severity: np.ndarray) -> np.ndarray:
    hits = np.ones(len(entries), dtype=bool)
    if when.hazards:
        hits &= np.isin(entries.hazard, [HAZARDS.index(hazard) for hazard in when.hazards])
    if when.stances:
        hits &= np.isin(entries.stance, [STANCES.index(stance) for stance in when.stances])
    if when.operational is not None:
        hits &= entries.operational == when.operational
    if when.min_severity is not None:
        hits &= severity >= when.min_severity
    if when.max_severity is not None:
        hits &= severity <= when.max_severity
    return hits


def _by_rule(values: Sequence[str], take: pa.Array) -> pa.Array:
    return pa.array(values, type=pa.string()).take(take)


def _is_in(array: pa.Array, names: Sequence[str]) -> np.ndarray:
    return pc.is_in(array, value_set=pa.array(names)).to_numpy(zero_copy_only=False)


def _rows_of(lists: pa.Array, rows: int) -> np.ndarray:
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(rows), lengths)


def _any_by_row(
    lists: pa.Array, matches: Callable[[pa.Array], np.ndarray], rows: int
) -> np.ndarray:
    found = np.zeros(rows, dtype=bool)
    values = lists.flatten()
    if len(values):
        found[_rows_of(lists, rows)[matches(values)]] = True
    return found


def _sum_by_row(lists: pa.Array, field: str, rows: int) -> np.ndarray:
    values = lists.flatten().field(field).to_numpy(zero_copy_only=False)
    return np.bincount(_rows_of(lists, rows), weights=values, minlength=rows)


def _listed(values: pa.Array, row_of_value: np.ndarray, rows: int) -> pa.Array:
    counts = np.bincount(row_of_value, minlength=rows)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _dimensions(entries: _Entries, active: np.ndarray, rows: int) -> pa.Array:
    names = sorted(set(HAZARD_DIMENSION.values()))
    of_hazard = np.array([names.index(HAZARD_DIMENSION[hazard]) for hazard in HAZARDS])
    row, hazard = entries.row[active], entries.hazard[active]
    pairs = np.unique(row * len(names) + of_hazard[hazard]) if len(row) else np.zeros(0, np.int64)
    values = pa.array(names).take(pa.array(pairs % len(names), type=pa.int64()))
    return _listed(values, pairs // len(names), rows)
