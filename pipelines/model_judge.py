"""The language model at the end of the cascade within a run: answers are kept, their cost held."""

import functools
from collections.abc import Iterable, Sequence

from raicurate.pipelines.model_asking import AskedModel, Question, UnitAsking, asker_of
from raicurate.transforms.annotate_llm_judge import Asked, LlmJudge
from raicurate.transforms.llm_client import Answer
from raicurate.transforms.registry import Annotator

SPENT = "judge_spent"
"""Folder below `_rai` where it stands what the judge cost, unit by unit."""


class Judge:
    """The judge among the annotators of a process, if there is one."""

    def __init__(self, annotators: Iterable[Annotator], out: str) -> None:
        self._judges = [
            (one, AskedModel(one.settings, out, one.model_digest(), SPENT))
            for one in annotators
            if isinstance(one, LlmJudge)
        ]

    def begin(self, unit: str, corpus: str) -> None:
        """Connects the judge for the documents of one unit."""
        for annotator, model in self._judges:
            annotator.connect(functools.partial(_answers, model.for_unit(unit), corpus))


def _answers(asking: UnitAsking, corpus: str, asked: Sequence[Asked]) -> list[Answer]:
    return asking.answers(
        [
            Question(
                one.question.body,
                one.question.key,
                asker_of(corpus, one.src_file, one.id, one.text_sha256),
            )
            for one in asked
        ]
    )
