"""Context from a language model within a unit: what is asked about a batch, and what is counted."""

from collections import Counter
from collections.abc import Callable

import pyarrow as pa

from raicurate.corpora_manifests.language_model import LanguageModel
from raicurate.corpora_manifests.manifest import Manifest
from raicurate.corpora_manifests.policy import Policy
from raicurate.exercise_templates.context import ContextLibrary
from raicurate.exercise_templates.prompts import load_prompt
from raicurate.pipelines.model_asking import AskedModel, Question, UnitAsking, asker_of
from raicurate.transforms.contextualize import contextualize
from raicurate.transforms.llm_answers import judge, replaced
from raicurate.transforms.llm_context import ContextTask, context_tasks, model_digest
from raicurate.transforms.verify_context import Checks

Contextualizer = Callable[[pa.RecordBatch, Policy, ContextLibrary, Checks], pa.RecordBatch]
"""What puts context beside the documents of a batch; `contextualize` is one."""


def configuration_digest(manifest: Manifest) -> str | None:
    """Returns the digest of model and prompt of a manifest; None where it names no model."""
    settings = manifest.language_model
    return None if settings is None else model_digest(settings, load_prompt(settings.prompt))


class ModelContext:
    """The language model of a manifest, for one process. Nothing is sent before it is needed."""

    def __init__(self, settings: LanguageModel, out: str) -> None:
        self.settings = settings
        self.prompt = load_prompt(settings.prompt)
        self.asked = AskedModel(settings, out, model_digest(settings, self.prompt))

    @classmethod
    def of(cls, manifest: Manifest, out: str) -> "ModelContext | None":
        """Returns the model that a manifest names, or None."""
        return None if manifest.language_model is None else cls(manifest.language_model, out)

    def for_unit(self, unit: str, corpus: str) -> "UnitContext":
        """Returns what writes the context of one unit."""
        return UnitContext(self, corpus, self.asked.for_unit(unit))


class UnitContext:
    """Writes the context of one unit's documents: templates first, then the model in their place.

    Called like `contextualize`, with the columns `src_file` and `text_sha256` beside its own.
    """

    def __init__(self, model: ModelContext, corpus: str, asking: UnitAsking) -> None:
        self._model = model
        self._corpus = corpus
        self._asking = asking
        self._verdicts: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()

    def __call__(
        self, batch: pa.RecordBatch, policy: Policy, library: ContextLibrary, checks: Checks
    ) -> pa.RecordBatch:
        """Returns what `contextualize` returns, with the model's words where they are accepted."""
        applied = contextualize(batch, policy, library, checks)
        model = self._model
        tasks = list(context_tasks(batch, applied, policy, model.settings, model.prompt))
        answers = self._asking.answers([self._question(batch, task) for task in tasks])
        verdicts = judge(tasks, answers, policy.context, checks)
        for answer, verdict in zip(answers, verdicts, strict=True):
            self._tokens["prompt"] += answer.prompt_tokens
            self._tokens["answer"] += answer.completion_tokens
            name = "accepted" if verdict.rejection is None else f"template: {verdict.rejection}"
            self._verdicts[name] += 1
        accepted = {
            task.row: verdict
            for task, verdict in zip(tasks, verdicts, strict=True)
            if verdict.rejection is None
        }
        return replaced(applied, accepted)

    def tables(self) -> dict[str, dict[str, int]]:
        """Returns how many answers were accepted or not, and what lies behind them in tokens.

        Answers from the cache count like others: what stands here depends on the output alone.
        """
        named = {"model_context": self._verdicts, "model_tokens": self._tokens}
        return {name: dict(sorted(counts.items())) for name, counts in named.items() if counts}

    def _question(self, batch: pa.RecordBatch, task: ContextTask) -> Question:
        file, identity, sha256 = (
            batch.column(name)[task.row].as_py() for name in ("src_file", "id", "text_sha256")
        )
        return Question(task.body, task.key, asker_of(self._corpus, file, identity, sha256))
