"""A language model as the last stage of the cascade for harm.

It is asked about the documents of which the stages before are unsure, and a sample of those they
cleared. Asking is left to whoever runs the annotator, who keeps answers and counts their cost.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from raicurate.corpora_manifests.errors import UsageError
from raicurate.corpora_manifests.judge import JudgeModel
from raicurate.corpora_manifests.load import validated
from raicurate.exercise_templates.prompts import NEVER_SENT, load_judge_prompt
from raicurate.transforms.later_stages import (
    COLUMNS,
    INTENT,
    SentOn,
    Verdict,
    earlier,
    relabelled,
    sent_on,
)
from raicurate.transforms.llm_client import Answer
from raicurate.transforms.llm_judge import (
    JudgeQuestion,
    believed,
    judge_digest,
    judge_question,
    judged,
)
from raicurate.transforms.registry import Annotator, register
from raicurate.transforms.stage_clock import timed

STAGE = "llm"


class Asked(NamedTuple):
    """A question, and the document that it is about.

    Attributes:
        question: What is asked.
        id: Id of the document.
        src_file: Its input file.
        text_sha256: Digest of its text.
    """

    question: JudgeQuestion
    id: str
    src_file: str
    text_sha256: str


Ask = Callable[[Sequence[Asked]], list[Answer]]
"""Returns the answers to questions, in order."""


@register("llm_judge@1")
class LlmJudge(Annotator):
    """Labels again what the stages before are unsure of.

    Args:
        language_model: The fields of `judge.JudgeModel`: `endpoint` or `vllm`, `model`, and more.
    """

    columns = COLUMNS

    def __init__(self, language_model: dict[str, Any]) -> None:
        self.settings = validated(JudgeModel, language_model, "llm_judge@1")
        self._prompt = load_judge_prompt(self.settings.prompt)
        self._ask: Ask | None = None

    def connect(self, ask: Ask) -> None:
        """Says how the model is asked from now on."""
        self._ask = ask

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Returns score, hazards and stages of every document.

        Raises:
            ServerError: The server fails. No document falls back to its earlier labels for that.
            UsageError: Nobody said how to ask the model.
        """
        settings = self.settings
        chosen = [
            one
            for one in sent_on(batch, STAGE, settings.band, settings.sample)
            if self._may_be_sent(batch, one)
        ]
        questions = [self._question(batch, one) for one in chosen]
        answers = self._answers(batch, chosen, questions)
        with timed(STAGE):
            verdicts = {
                one.row: (one.sampled, self._verdict(batch, one, question, answer))
                for one, question, answer in zip(chosen, questions, answers, strict=True)
            }
            return relabelled(batch, STAGE, verdicts)

    def _may_be_sent(self, batch: pa.RecordBatch, one: SentOn) -> bool:
        """Whether a document may go to a model, and stands in a language that the prompt knows."""
        if batch.column("lang")[one.row].as_py() not in self._prompt.languages:
            return False
        hits = (
            batch.column("lexicon")[one.row].as_py()
            if batch.schema.get_field_index("lexicon") >= 0
            else None
        )
        named = [*(batch.column("hazards")[one.row].as_py() or []), *(hits or [])]
        return bool(one.passages) and not any(entry["hazard"] == NEVER_SENT for entry in named)

    def _question(self, batch: pa.RecordBatch, one: SentOn) -> JudgeQuestion:
        text, lang, entries = (
            batch.column(name)[one.row].as_py() for name in ("text", "lang", "hazards")
        )
        worst = sorted(
            one.passages,
            key=lambda passage: (-earlier(entries or [], passage).stances[INTENT], passage),
        )
        return judge_question(text, lang, worst, self.settings, self._prompt)

    def _answers(
        self, batch: pa.RecordBatch, chosen: Sequence[SentOn], questions: Sequence[JudgeQuestion]
    ) -> list[Answer]:
        if not questions:
            return []
        if self._ask is None:
            raise UsageError(
                "llm_judge@1 asks a server, and only `raicurate run` does that, since answers "
                "must be kept; take it out of `annotators` for everything else"
            )
        return self._ask(
            [
                Asked(
                    question,
                    *(
                        batch.column(name)[one.row].as_py()
                        for name in ("id", "src_file", "text_sha256")
                    ),
                )
                for one, question in zip(chosen, questions, strict=True)
            ]
        )

    def _verdict(
        self, batch: pa.RecordBatch, one: SentOn, question: JudgeQuestion, answer: Answer
    ) -> Verdict:
        judgement = judged(answer, question.check)
        if judgement.no_answer is not None:
            return Verdict({}, no_answer=judgement.no_answer)
        entries = batch.column("hazards")[one.row].as_py() or []
        # What was not shown keeps its labels.
        shown = [
            passage
            for passage in one.passages
            if question.start <= passage[0] and passage[1] <= question.end
        ]
        seen = {
            passage: believed(earlier(entries, passage), judgement, self.settings.reliability)
            for passage in shown
        }
        return Verdict(seen, stance=judgement.stance)

    def model_digest(self) -> str:
        """Returns the digest of all that decides what is asked, and what an answer does."""
        return judge_digest(self.settings, self._prompt)
