"""Questions of exercises in other words by a language model, within a unit: asked and counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.exercises import Exercises, Rewording
from raicurate.exercise_templates.prompts import load_rewording_prompt
from raicurate.pipelines.model_asking import AskedModel, Question, UnitAsking, asker_of
from raicurate.transforms import registry
from raicurate.transforms.context_checks import checks_of
from raicurate.transforms.exercise_gates import Seen
from raicurate.transforms.exercise_rows import DocumentExercises, ExerciseMaker
from raicurate.transforms.llm_rewording import rewording_digest, rewording_tasks
from raicurate.transforms.llm_rewording_answers import RewordingChecks, judge

REWORDED, REJECTED, TOKENS = (
    "exercises_reworded",
    "exercises_rewording_rejected",
    "exercises_rewording_tokens",
)
"""Tables of a receipt: questions in the model's words by family, answers that were not taken by
reason, and the tokens behind both."""

TOGETHER = 32
"""Documents that are asked about at once. Fixed, since the order in which questions are compared
with each other decides which of two is the repeated one."""

_JUDGES = ("language@1", "harm@1")


def rewording_configuration(settings: Rewording) -> str:
    """Returns the digest by which the cache tells the answers of a model and prompt."""
    return rewording_digest(settings, load_rewording_prompt(settings.prompt))


class ModelRewording:
    """The model of a manifest that words questions, for one process.

    Attributes:
        digest: Of everything that the wordings depend on beside the exercises and the answers.
    """

    def __init__(self, settings: Rewording, out: str, maker: ExerciseMaker) -> None:
        """Prepares the model; nothing is sent, and no model loaded, before it is needed.

        Args:
            settings: The model.
            out: The output.
            maker: What makes the exercises.
        """
        self.settings = settings
        self.prompt = load_rewording_prompt(settings.prompt)
        configuration = rewording_digest(settings, self.prompt)
        judges = [registry.create(name, {}) for name in _JUDGES]
        self.checks = RewordingChecks(
            checks_of(judges), maker.gates, maker.library, maker.packs, self.prompt
        )
        self.digest = digest(configuration, [list(judge.identity()) for judge in judges])
        self._asked = AskedModel(settings, out, configuration, "rewording_spent")

    @classmethod
    def of(cls, wanted: Exercises, out: str, maker: ExerciseMaker) -> "ModelRewording | None":
        """Returns the model that a manifest names, or None."""
        return None if wanted.rewording is None else cls(wanted.rewording, out, maker)

    def for_unit(self, unit: str) -> "UnitRewording":
        """Returns what words the questions of one unit."""
        return UnitRewording(self, self._asked.for_unit(unit))


class UnitRewording:
    """Words the questions of one unit's exercises."""

    def __init__(self, model: ModelRewording, asking: UnitAsking) -> None:
        self._model = model
        self._asking = asking
        self._reworded: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()

    def reworded(self, made: Sequence[DocumentExercises], seen: Seen) -> list[DocumentExercises]:
        """Returns documents with the model's words in the questions where they are taken.

        Args:
            made: Documents with their exercises.
            seen: The exercises of the unit so far.
        """
        model = self._model
        tasks, questions = [], []
        for document in made:
            row = document.row
            asker = asker_of(row.corpus, row.src_file, row.id, row.text_sha256)
            for task in rewording_tasks(document.exercises, model.settings, model.prompt):
                tasks.append(task)
                questions.append(Question(task.body, task.key, asker))
        answers = self._asking.answers(questions)
        taken: dict[tuple[str, str], Any] = {}
        for task, answer, verdict in zip(
            tasks, answers, judge(tasks, answers, model.checks, seen), strict=True
        ):
            self._tokens["prompt"] += answer.prompt_tokens
            self._tokens["answer"] += answer.completion_tokens
            if verdict.exercise is None:
                self._rejected[str(verdict.rejection)] += 1
                continue
            self._reworded[task.exercise.family] += 1
            taken[task.exercise.document, task.exercise.id] = verdict.exercise
        return [
            replace(
                document,
                exercises=[
                    taken.get((exercise.document, exercise.id), exercise)
                    for exercise in document.exercises
                ],
            )
            for document in made
        ]

    def tables(self) -> dict[str, dict[str, int]]:
        """Returns what was taken or not, and what lies behind it in tokens.

        Answers from the cache count like others: what stands here depends on the output alone.
        """
        return {REWORDED: self._reworded, REJECTED: self._rejected, TOKENS: self._tokens}
