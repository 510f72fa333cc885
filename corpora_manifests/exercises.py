"""What a manifest says about learning exercises."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raicurate.corpora_manifests.language_model import ServedModel
from raicurate.corpora_manifests.model import Model

Shape = Literal["question_answer", "worked_solution", "reading_passage", "chat"]


class Rewording(ServedModel):
    """A language model that words the questions of some exercises in another way.

    What decides its answers (`model`, `prompt`, `parameters`, `max_tokens`, `share`, `languages`)
    enters the keys of exercises. Where it runs and how it is asked does not.

    Attributes:
        prompt: Name of a prompt that ships, or the path of one, relative to the manifest.
        share: Share of the exercises about which it is asked, drawn by their ids.
        languages: Languages in which it is asked; empty for all that the prompt knows.
    """

    place: ClassVar[str] = "exercises.rewording"

    prompt: str = "rewording"
    share: float = Field(default=0.2, gt=0, le=1)
    languages: tuple[str, ...] = ()


class Exercises(Model):
    """How exercises are made of the corpora with the role `policy` or `guidance`.

    Attributes:
        enabled: Whether they are made at all; where not, no clause is held out either.
        families: The families to use; all that need no consent where it is not set.
        with_consent: Families that are made only where they are named here, such as `refusal`.
        templates: Folders with further families and words, which replace those of the same name.
        shapes: The shapes that the text of an exercise may have.
        passage_tokens: Budget of a reading passage.
        tokenizer: A SentencePiece model to count with; by default the one that ships.
        read_only: Share of the clauses that are in the data, but in no exercise.
        unseen: Share of the families of documents that are nowhere in the output.
        seed: Another seed deals the arms otherwise.
        sidecars: Files in which authors say something of single clauses.
        probes: JSONL or YAML files with probe items, which no exercise may repeat.
        rewording: Words some questions in another way, where it is set.
    """

    enabled: bool = True
    families: tuple[str, ...] | None = None
    with_consent: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    shapes: Annotated[tuple[Shape, ...], Field(min_length=1)] = (
        "question_answer",
        "worked_solution",
        "reading_passage",
        "chat",
    )
    passage_tokens: int = Field(default=400, ge=32, le=8192)
    tokenizer: str | None = None
    read_only: float = Field(default=0.1, ge=0, le=0.5)
    unseen: float = Field(default=0.1, ge=0, le=0.5)
    seed: str = ""
    sidecars: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    rewording: Rewording | None = None


EXERCISE_ROLES = ("policy", "guidance")
"""The roles of the corpora of which exercises are made."""
