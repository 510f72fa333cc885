"""Questions in other words by a language model: what it is asked about an exercise.

Templates write first. The model sees the words of a question with numbered marks in place of all
that comes from the document, and beneath them what the marks stand for. It writes the words between
the marks anew; clause, case, choices, answer and support are never its own. It does not see the
answer. What it writes is held against `llm_rewording_answers`, and where that objects, the words of
the template stay.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import orjson

from raicurate.corpora_manifests.digests import digest, draw_of
from raicurate.corpora_manifests.exercises import Rewording
from raicurate.exercise_templates.prompts import NEVER_SENT, RewordingPrompt
from raicurate.transforms.lesson import Exercise
from raicurate.transforms.llm_context import CONTROL

VERSION = "1"
"""Part of the keys of exercises: raised when the same exercise would be asked about or judged
otherwise."""

MARK = re.compile(r"\{(\d+)\}")
"""What stands in a question for words of the document."""

_FILLED = re.compile("\x02([^\x02\x03]*)\x03")
_MAX_LINE_BREAKS = 1
"""Questions of more lines are conversations, in which each line is an answer to the one before."""

_MIN_WORDS = 15
_CHARS_PER_WORD = 6


class Frame(NamedTuple):
    """A question apart: its own words, and those of the document.

    Attributes:
        words: Its own words, with a mark for each stretch of the document.
        fixed: The stretches, in the order of their marks.
    """

    words: str
    fixed: tuple[str, ...]

    @property
    def own(self) -> str:
        """Its own words alone."""
        return own_words(self.words)


class RewordingTask(NamedTuple):
    """One exercise about which the model is asked.

    Attributes:
        exercise: The exercise.
        frame: Its question.
        body: The request body.
        key: SHA-256 of the body: the same question, the same key.
        ref: What `template` says where the answer is taken.
    """

    exercise: Exercise
    frame: Frame
    body: bytes
    key: str
    ref: str


def rewording_digest(settings: Rewording, prompt: RewordingPrompt) -> str:
    """Returns the digest of all that decides what a model is asked about exercises."""
    asked = {"model", "share", "languages", "max_tokens", "length_field", "parameters"}
    return digest(VERSION, prompt.digest, settings.model_dump(mode="json", include=asked))


def own_words(words: str) -> str:
    """Returns a question without its marks, one space between words."""
    return " ".join(MARK.sub(" ", words).split())


def frame_of(exercise: Exercise) -> Frame | None:
    """Returns the question of an exercise apart, or None where it cannot be worded otherwise.

    That is so where nothing of the document stands in it, or where it is a conversation.
    """
    if exercise.wording is None:
        return None
    marked = exercise.wording.render(
        {
            name: f"\x02{value}\x03" if isinstance(value, str) and value else value
            for name, value in exercise.slots.items()
        }
    )
    fixed: list[str] = []

    def mark(match: re.Match[str]) -> str:
        text = match[1].strip()
        if not text:
            return match[1]
        fixed.append(text)
        before, _, after = match[1].partition(text)
        return f"{before}\x02{len(fixed)}\x03{after}"

    words = _FILLED.sub(mark, marked)
    if not fixed or "{" in words or words.count("\n") > _MAX_LINE_BREAKS:
        return None
    frame = Frame(words.replace("\x02", "{").replace("\x03", "}"), tuple(fixed))
    # A wording that does more with a slot than to show it has no such frame.
    return frame if filled(frame.words, frame.fixed) == exercise.question else None


def filled(words: str, fixed: tuple[str, ...]) -> str:
    """Returns a question with the words of the document in the places of their marks."""
    return MARK.sub(lambda match: fixed[int(match[1]) - 1], words)


def rewording_tasks(
    exercises: Iterable[Exercise], settings: Rewording, prompt: RewordingPrompt
) -> Iterator[RewordingTask]:
    """Yields what the model is asked about exercises: a share of them, drawn by their ids.

    Never asked about are exercises with a hazard of `prompts.NEVER_SENT`.
    """
    for exercise in exercises:
        if (
            draw_of("rewording", exercise.id) >= settings.share
            or exercise.language not in prompt.languages
            or (settings.languages and exercise.language not in settings.languages)
            or NEVER_SENT in exercise.hazards
        ):
            continue
        frame = frame_of(exercise)
        if frame is not None:
            yield _task(exercise, frame, settings, prompt)


def _task(
    exercise: Exercise, frame: Frame, settings: Rewording, prompt: RewordingPrompt
) -> RewordingTask:
    marks = [f"{{{number}}}" for number in range(1, len(frame.fixed) + 1)]
    meant = "\n".join(f"{mark}: {text}" for mark, text in zip(marks, frame.fixed, strict=True))
    shown = CONTROL.sub(lambda m: f"{m[0][0]} {m[0][1:]}", f"Question: {frame.words}\n\n{meant}")
    manner = max(
        sorted(prompt.manners),
        key=lambda name: hashlib.blake2b(f"{exercise.id}\0{name}".encode()).digest(),
    )
    message = prompt.render(
        {
            "boundary": digest(prompt.digest, shown)[:16],
            "document": shown,
            "language": prompt.languages[exercise.language],
            "manner": prompt.manners[manner],
            "marks": " ".join(marks),
            "max_words": str(max(_MIN_WORDS, 2 * len(frame.own) // _CHARS_PER_WORD)),
        }
    )
    body = orjson.dumps(
        {
            **settings.parameters,
            "model": settings.model,
            settings.length_field: settings.max_tokens,
            "messages": [
                {"role": "system", "content": prompt.system.strip()},
                {"role": "user", "content": message},
            ],
        },
        option=orjson.OPT_SORT_KEYS,
    )
    return RewordingTask(
        exercise,
        frame,
        body,
        hashlib.sha256(body).hexdigest(),
        f"{exercise.template}+{prompt.ref}/{settings.model}",
    )
