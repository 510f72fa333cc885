"""The blocks that a manifest names, made once for each process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.manifest import Corpus, Manifest
from raicurate.corpora_manifests.policy import Policy
from raicurate.exercise_templates.context import ContextLibrary
from raicurate.pipelines.model_context import Contextualizer, configuration_digest
from raicurate.transforms import registry
from raicurate.transforms.annotate import annotate
from raicurate.transforms.context_checks import checks_of, set_up
from raicurate.transforms.contextualize import contextualize
from raicurate.transforms.datatrove_steps import DatatroveSteps
from raicurate.transforms.registry import Annotator
from raicurate.transforms.schema import ANNOTATOR
from raicurate.transforms.target_groups import target_groups
from raicurate.transforms.verify_context import Checks


class Reachable:
    """Collects which templates the documents of a unit can reach."""

    def __init__(self, library: ContextLibrary, policy: Policy, model: str | None) -> None:
        self._library = library
        self._policy = policy
        self._model = model
        self._seen: set[tuple[str | None, str, str]] = set()

    def add(self, labels: pa.RecordBatch, decisions: pa.RecordBatch) -> None:
        """Adds a batch of annotations and what was decided on them."""
        hazards = decisions.column("active_hazards")
        rows = pc.list_parent_indices(hazards)
        table = pa.table(
            {
                "lang": labels.column("lang").take(rows),
                "hazard": hazards.flatten().field("hazard"),
                "kind": decisions.column("context_kind").take(rows),
            }
        )
        found = table.filter(pc.not_equal(table["kind"], "none")).group_by(table.column_names)
        self._seen |= {tuple(row.values()) for row in found.aggregate([]).to_pylist()}

    def digests(self) -> list[str]:
        """Returns the digests of all that could be written, in sorted order."""
        context = self._policy.context
        digests = [
            self._library.reachable_digest(language, hazard, kind, context.styles)
            for lang, hazard, kind in self._seen
            for language in context.languages_for(lang)
        ]
        if digests and self._model is not None:
            digests.append(self._model)
        return sorted(digests)


@dataclass(frozen=True)
class Blocks:
    """Annotators, third-party steps and templates of a manifest.

    Attributes:
        policy: The policy.
        annotators: In the order in which they run; the third-party steps are the last of them.
        steps: The third-party filters and formatters.
        library: The context templates.
        signature: Value of the `annotators` column.
        checks: The checks of added text that need a model, as far as the manifest names one.
        model: Digest of the language model and its prompt, if the manifest names one.
    """

    policy: Policy
    annotators: tuple[Annotator, ...]
    steps: DatatroveSteps
    library: ContextLibrary
    signature: pa.Scalar
    checks: Checks
    model: str | None = None

    @classmethod
    def create(cls, manifest: Manifest) -> "Blocks":
        """Returns the blocks, with no model loaded yet.

        Raises:
            ManifestError: A block is not known or does not take its parameters.
            MissingExtraError: A third-party step needs a package that is not installed.
        """
        named = [registry.create(spec.use, spec.with_) for spec in manifest.annotators]
        steps = DatatroveSteps(manifest.steps)
        annotators = (*named, steps) if manifest.steps else tuple(named)
        return cls(
            manifest.policy,
            annotators,
            steps,
            ContextLibrary.load([Path(folder) for folder in manifest.templates]),
            _signature(annotators),
            checks_of(named),
            configuration_digest(manifest),
        )

    def annotate(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the annotations of a batch; loads the models when it is called first."""
        for annotator in self.annotators:
            set_up(annotator)
        return annotate(documents, self.annotators)

    def reachable_templates(self) -> Reachable:
        """Returns a new collector of reachable templates."""
        return Reachable(self.library, self.policy, self.model)

    def apply(
        self,
        documents: pa.RecordBatch,
        labels: pa.RecordBatch,
        decisions: pa.RecordBatch,
        corpus: Corpus,
        write: Contextualizer = contextualize,
    ) -> pa.RecordBatch:
        """Returns text, spans, action, rule and rejection of each document.

        Args:
            documents: The documents.
            labels: Their annotations.
            decisions: What was decided on them.
            corpus: Their corpus.
            write: Puts context beside them.
        """
        names = ["action", "rule", "context_kind", "withhold", "active_hazards"]
        batch = pa.RecordBatch.from_arrays(
            [
                documents.column("id"),
                documents.column("text"),
                labels.column("lang"),
                pa.array([corpus.role] * documents.num_rows, pa.string()),
                *(decisions.column(name) for name in names),
                labels.column("personal_data"),
                self._target_groups(documents, labels, decisions, corpus),
                documents.column("src_file"),
                documents.column("text_sha256"),
            ],
            names=[
                *("id", "text", "lang", "role", *names, "personal_data", "target_group"),
                *("src_file", "text_sha256"),
            ],
        )
        applied = write(batch, self.policy, self.library, self.checks)
        return self.steps.reformat(applied, labels.column("steps"))

    def _target_groups(
        self,
        documents: pa.RecordBatch,
        labels: pa.RecordBatch,
        decisions: pa.RecordBatch,
        corpus: Corpus,
    ) -> pa.Array:
        if not self.policy.context.name_targets:
            return pa.nulls(documents.num_rows, pa.string())
        return target_groups(
            documents.column("text"),
            labels.column("lang"),
            documents.column("metadata"),
            decisions.column("action"),
            decisions.column("active_hazards"),
            corpus.targets,
        )


def _signature(annotators: Sequence[Annotator]) -> pa.Scalar:
    identities = [annotator.identity() for annotator in annotators]
    return pa.scalar(
        [
            {"name": identity.name, "version": identity.version, "model": identity.model}
            for identity in identities
        ],
        pa.list_(ANNOTATOR),
    )
