"""The blocks that a manifest names, made once for each process."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.manifest import Manifest
from raicurate.corpora_manifests.policy import Policy
from raicurate.exercise_templates.context import ContextLibrary
from raicurate.pipelines.model_context import Contextualizer, configuration_digest
from raicurate.transforms import registry
from raicurate.transforms.annotate import annotate
from raicurate.transforms.contextualize import contextualize
from raicurate.transforms.datatrove_steps import DatatroveSteps
from raicurate.transforms.registry import Annotator
from raicurate.transforms.schema import ANNOTATOR
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
        with_context = pc.not_equal(decisions.column("context_kind"), "none")
        if not pc.any(with_context).as_py():
            return
        langs = labels.column("lang").filter(with_context).to_pylist()
        kinds = decisions.column("context_kind").filter(with_context).to_pylist()
        hazards = decisions.column("active_hazards").filter(with_context)
        for lang, kind, found in zip(langs, kinds, hazards, strict=True):
            for hazard in found:
                self._seen.add((lang, hazard["hazard"].as_py(), kind))

    def digests(self) -> list[str]:
        """Returns the digests of all that could be written, in sorted order."""
        fallback = self._policy.context.fallback_language
        styles = self._policy.context.styles
        digests = [
            self._library.reachable_digest(language, hazard, kind, styles)
            for lang, hazard, kind in self._seen
            for language in {lang, fallback}
            if language is not None
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
            _checks(named),
            configuration_digest(manifest),
        )

    def annotate(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the annotations of a batch; loads the models when it is called first."""
        for annotator in self.annotators:
            _set_up(annotator)
        return annotate(documents, self.annotators)

    def reachable_templates(self) -> Reachable:
        """Returns a new collector of reachable templates."""
        return Reachable(self.library, self.policy, self.model)

    def apply(
        self,
        documents: pa.RecordBatch,
        labels: pa.RecordBatch,
        decisions: pa.RecordBatch,
        role: str,
        write: Contextualizer = contextualize,
    ) -> pa.RecordBatch:
        """Returns text, spans, action, rule and rejection of each document.

        Args:
            documents: The documents.
            labels: Their annotations.
            decisions: What was decided on them.
            role: Role of their corpus.
            write: Puts context beside them.
        """
        names = ["action", "rule", "context_kind", "withhold", "active_hazards"]
        batch = pa.RecordBatch.from_arrays(
            [
                documents.column("id"),
                documents.column("text"),
                labels.column("lang"),
                pa.array([role] * documents.num_rows, pa.string()),
                *(decisions.column(name) for name in names),
                labels.column("personal_data"),
                documents.column("src_file"),
                documents.column("text_sha256"),
            ],
            names=[
                *("id", "text", "lang", "role", *names, "personal_data"),
                *("src_file", "text_sha256"),
            ],
        )
        applied = write(batch, self.policy, self.library, self.checks)
        return self.steps.reformat(applied, labels.column("steps"))


@functools.cache
def _set_up(annotator: Annotator) -> None:
    """Loads the models of an annotator, once, and only where something is annotated at all."""
    annotator.setup()


def _signature(annotators: Sequence[Annotator]) -> pa.Scalar:
    identities = [annotator.identity() for annotator in annotators]
    return pa.scalar(
        [
            {"name": identity.name, "version": identity.version, "model": identity.model}
            for identity in identities
        ],
        pa.list_(ANNOTATOR),
    )


INTENT_THRESHOLD = 0.5
"""Score from which added text counts as harmful itself. Fixed, so that a moved threshold of the
policy changes no text."""


def _checks(annotators: Sequence[Annotator]) -> Checks:
    by_name = {annotator.name: annotator for annotator in annotators}
    language, harm = by_name.get("language"), by_name.get("harm")
    return Checks(
        language_of=None if language is None else functools.partial(_languages, language),
        labelled_intent=None if harm is None else functools.partial(_intents, harm),
    )


def _languages(annotator: Annotator, texts: Sequence[str]) -> list[str | None]:
    langs: list[str | None] = _column(annotator, "lang", _texts(texts)).to_pylist()
    return langs


def _intents(annotator: Annotator, texts: Sequence[str], langs: Sequence[str]) -> list[bool]:
    batch = _texts(texts).append_column("lang", pa.array(langs, pa.string()))
    hazards = _column(annotator, "hazards", batch).to_pylist()
    return [
        any(
            entry["stance"] == "intent" and entry["score"] >= INTENT_THRESHOLD
            for entry in found or ()
        )
        for found in hazards
    ]


def _texts(texts: Sequence[str]) -> pa.RecordBatch:
    ids = [digest(text) for text in texts]
    return pa.RecordBatch.from_pydict({"id": ids, "text": pa.array(texts, pa.string())})


def _column(annotator: Annotator, name: str, batch: pa.RecordBatch) -> pa.Array:
    _set_up(annotator)
    return annotator.annotate(batch)[annotator.columns.index(name)]
