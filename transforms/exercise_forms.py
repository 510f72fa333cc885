"""The text of an exercise, as a model reads it, in one of several shapes.

The shape is chosen by the id of the exercise. A reading passage is the clause with as much of the
paragraphs around it as the budget of tokens allows, followed by the question, in the manner of
reading comprehension (D. Cheng, S. Huang, F. Wei, "Adapting Large Language Models via Reading
Comprehension", 2023).
"""

from collections.abc import Callable, Sequence

from raicurate.exercise_templates.exercises import Words, hash64, mixed
from raicurate.transforms.clause import Span
from raicurate.transforms.lesson import Exercise
from raicurate.transforms.policy_document import PolicyDocument

SHAPES = ("question_answer", "worked_solution", "reading_passage", "chat")

_LETTERS = "ABCDEFGH"

CountTokens = Callable[[Sequence[str]], list[int]]
"""Returns the number of tokens of each text."""


def shape_of(exercise_id: str, shapes: Sequence[str] = SHAPES) -> str:
    """Returns the shape of an exercise, by rendezvous of its id and the names of the shapes."""
    seed = hash64(exercise_id)
    return max(shapes, key=lambda shape: (mixed(seed ^ hash64(shape)), shape))


def exercise_text(exercise: Exercise, shape: str, words: Words, passage: str = "") -> str:
    """Returns the text of an exercise.

    Args:
        exercise: The exercise.
        shape: One of `SHAPES`.
        words: The words of its language.
        passage: What is read first, for a reading passage.
    """
    labels = words.plain.labels
    question = exercise.question + _options(exercise, labels["choices"])
    answer = _answer(exercise)
    if shape == "chat":
        return f"{labels['user']}: {question}\n\n{labels['assistant']}: {answer}"
    if shape == "worked_solution" and exercise.rationale:
        solution = exercise.rationale
        if exercise.choices:
            solution += f"\n{labels['answer']}: {_lettered(exercise)}"
        else:
            solution += f"\n{exercise.answer}"
        return f"{labels['question']}: {question}\n\n{labels['solution']}: {solution}"
    if shape == "reading_passage" and passage:
        return f"{labels['passage']}\n\n{passage}\n\n{labels['question']}: {question}\n\n" + (
            f"{labels['answer']}: {answer}"
        )
    return f"{labels['question']}: {question}\n{labels['answer']}: {answer}"


def _options(exercise: Exercise, label: str) -> str:
    if not exercise.choices:
        return ""
    lines = [f"{_LETTERS[i]}. {choice}" for i, choice in enumerate(exercise.choices)]
    return f"\n{label}:\n" + "\n".join(lines)


def _lettered(exercise: Exercise) -> str:
    return f"{_LETTERS[exercise.choices.index(exercise.answer)]}. {exercise.answer}"


def _answer(exercise: Exercise) -> str:
    if not exercise.choices:
        return exercise.answer
    rationale = f"\n{exercise.rationale}" if exercise.rationale else ""
    return f"{_lettered(exercise)}{rationale}"


class Passages:
    """Passages of one document, made of whole blocks, within a budget of tokens."""

    def __init__(
        self,
        document: PolicyDocument,
        withheld: Sequence[Span],
        budget: int,
        count: CountTokens,
    ) -> None:
        """Takes in a document.

        Args:
            document: The document.
            withheld: Stretches that must stand in no passage: clauses that are not taught.
            budget: Tokens of a passage.
            count: How tokens are counted.
        """
        self._blocks = document.blocks
        self._budget = budget
        self._count = count
        self._lengths: list[int] | None = None
        self._starts = [block.span.start for block in document.blocks]
        self._open = [
            not any(
                span.start < block.span.end and block.span.start < span.end for span in withheld
            )
            for block in document.blocks
        ]

    def around(self, span: Span) -> str:
        """Returns the passage around a clause, or nothing where it cannot be shown.

        Blocks of the same section are added after and before the one of the clause, in turn, as
        long as they fit.
        """
        index = next(
            (
                i
                for i, block in enumerate(self._blocks)
                if block.span.start <= span.start and span.end <= block.span.end
            ),
            None,
        )
        if index is None or not self._open[index]:
            return ""
        if self._lengths is None:
            self._lengths = self._count([block.words.text for block in self._blocks])
        used = self._lengths[index]
        if used > self._budget:
            return ""
        first = last = index
        grows = [True, True]
        while any(grows):
            for side, step in ((0, 1), (1, -1)):
                at = last + 1 if step == 1 else first - 1
                if not grows[side] or not self._fits(at, index, used):
                    grows[side] = False
                    continue
                used += self._lengths[at]
                first, last = min(first, at), max(last, at)
        return "\n".join(
            f"- {block.words.text}" if block.kind == "item" else block.words.text
            for block in self._blocks[first : last + 1]
        )

    def _fits(self, at: int, index: int, used: int) -> bool:
        assert self._lengths is not None
        return (
            0 <= at < len(self._blocks)
            and self._open[at]
            and self._blocks[at].section == self._blocks[index].section
            and used + self._lengths[at] <= self._budget
        )
