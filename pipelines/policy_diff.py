"""What another policy would change: decided from stored annotations, with no text and no model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.manifest import Corpus, Manifest
from raicurate.pipelines.receipts import Receipt
from raicurate.pipelines.stored_annotations import StoredAnnotations
from raicurate.transforms.decide import Decider

EXAMPLES = 5


@dataclass
class PolicyDiff:
    """Documents that would be treated otherwise.

    Attributes:
        documents: Documents looked at.
        actions: Those whose action changes, by `old -> new`.
        treatments: Those that keep their action, but change rule, context or what is withheld.
        by_hazard: Changed actions by `hazard: old -> new`.
        by_language: The same by language.
        by_corpus: The same by corpus.
        examples: Up to five ids for each `old -> new`.
    """

    documents: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    treatments: int = 0
    by_hazard: Counter[str] = field(default_factory=Counter)
    by_language: Counter[str] = field(default_factory=Counter)
    by_corpus: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(
        self, corpus: str, labels: pa.RecordBatch, old: pa.RecordBatch, new: pa.RecordBatch
    ) -> None:
        """Adds the decisions of two policies on the same annotations."""
        self.documents += labels.num_rows
        other_action = pc.not_equal(old.column("action"), new.column("action"))
        treatment = ("rule", "context_kind", "withhold", "store", "severity")
        other_treatment = _any_differs(old, new, treatment)
        self.treatments += pc.sum(pc.and_(other_treatment, pc.invert(other_action))).as_py() or 0
        rows = pc.indices_nonzero(other_action).to_pylist()
        hazards = new.column("active_hazards").to_pylist() if rows else []
        before = old.column("active_hazards").to_pylist() if rows else []
        for row in rows:
            change = f"{old.column('action')[row]} -> {new.column('action')[row]}"
            self.actions[change] += 1
            self.by_corpus[f"{corpus}: {change}"] += 1
            self.by_language[f"{labels.column('lang')[row]}: {change}"] += 1
            for name in sorted({entry["hazard"] for entry in hazards[row] + before[row]}):
                self.by_hazard[f"{name}: {change}"] += 1
            ids = self.examples.setdefault(change, [])
            if len(ids) < EXAMPLES:
                ids.append(labels.column("id")[row].as_py())

    def to_plain(self) -> dict[str, object]:
        """Returns the differences as plain JSON values."""
        return {
            "documents": self.documents,
            "changed_actions": dict(sorted(self.actions.items())),
            "same_action_other_treatment": self.treatments,
            "by_hazard": dict(sorted(self.by_hazard.items())),
            "by_language": dict(sorted(self.by_language.items())),
            "by_corpus": dict(sorted(self.by_corpus.items())),
            "examples": dict(sorted(self.examples.items())),
        }


def policy_diff(old: Manifest, new: Manifest, out: str, receipts: Sequence[Receipt]) -> PolicyDiff:
    """Returns what the policy of `new` would change in an output that was made under `old`.

    Corpora that only one of the manifests has are left out; `raicurate plan` counts them.
    """
    corpora = {
        corpus.name: (corpus, other)
        for corpus in old.corpora
        for other in new.corpora
        if corpus.name == other.name
    }
    diff = PolicyDiff()
    for receipt in receipts:
        if receipt.corpus in corpora:
            _add_unit(diff, old, new, corpora[receipt.corpus], StoredAnnotations.of(out, receipt))
    return diff


def _add_unit(
    diff: PolicyDiff,
    old: Manifest,
    new: Manifest,
    corpora: tuple[Corpus, Corpus],
    stored: StoredAnnotations,
) -> None:
    before, after = Decider(old.policy, corpora[0]), Decider(new.policy, corpora[1])
    for labels in stored.batches():
        diff.add(corpora[0].name, labels, before.decide(labels), after.decide(labels))


def _any_differs(old: pa.RecordBatch, new: pa.RecordBatch, columns: Sequence[str]) -> pa.Array:
    result = pa.array([False] * old.num_rows)
    for name in columns:
        left, right = old.column(name), new.column(name)
        differs = pc.fill_null(pc.not_equal(left, right), False)
        one_null = pc.not_equal(pc.is_null(left), pc.is_null(right))
        result = pc.or_(result, pc.or_(differs, one_null))
    return result
