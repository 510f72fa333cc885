"""A language model as the last stage of the cascade: what it is asked, and what its answer says.

The answer is a choice from closed lists, behind a word that stands in the instructions alone. A
model that follows the document instead does not know the word, so whatever it says is no answer.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.judge import JudgeModel
from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES
from raicurate.exercise_templates.prompts import JudgePrompt
from raicurate.transforms.later_stages import Seen
from raicurate.transforms.llm_client import REFUSED, TRUNCATED, Answer
from raicurate.transforms.llm_context import CONTROL

VERSION = "1"
"""Part of the key of annotations: raised when the same text would be asked or judged otherwise."""

NOTHING = "none"

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FORM = re.compile(r"\s*check: *(\w+) *\r?\n\s*hazard: *(\w+) *\r?\n\s*stance: *(\w+)\s*")


class JudgeQuestion(NamedTuple):
    """What a model is asked about a document.

    Attributes:
        body: The request body.
        key: SHA-256 of the body: the same question, the same key.
        check: The word that an answer must begin with.
        start: Start of the stretch that is shown, in code points.
        end: Its end.
    """

    body: bytes
    key: str
    check: str
    start: int
    end: int


class Judgement(NamedTuple):
    """What an answer says: hazard and stance, both `none` for no harm, or why it says nothing."""

    hazard: str = NOTHING
    stance: str = NOTHING
    no_answer: str | None = None


def judge_digest(settings: JudgeModel, prompt: JudgePrompt) -> str:
    """Returns the digest of all that decides what a model is asked, and what an answer does."""
    asked = {
        "model", "max_tokens", "length_field", "parameters", "band", "sample", "reliability",
        "max_document_chars",
    }  # fmt: skip
    return digest(VERSION, prompt.digest, settings.model_dump(mode="json", include=asked))


def judge_question(
    text: str,
    lang: str,
    passages: Sequence[tuple[int, int]],
    settings: JudgeModel,
    prompt: JudgePrompt,
) -> JudgeQuestion:
    """Returns what a model is asked about a document.

    Of a longer one it sees the stretch around the first of `passages`, so put the worst first.
    """
    start, end = _window(len(text), passages[0], settings.max_document_chars)
    # Marks that chat templates read as control are taken apart.
    shown = CONTROL.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text[start:end])
    # Neither can be known to the document: they depend on all of it.
    boundary = digest("boundary", prompt.digest, shown)[:16]
    check = digest("check", prompt.digest, shown)[:8]
    message = prompt.render(
        {
            "boundary": boundary,
            "check": check,
            "document": shown,
            "language": prompt.languages[lang],
            "hazards": _listed(prompt.hazards),
            "stances": _listed(prompt.stances),
            "place": "the whole text" if end - start == len(text) else "part of a longer text",
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
    return JudgeQuestion(body, hashlib.sha256(body).hexdigest(), check, start, end)


def _window(length: int, passage: tuple[int, int], limit: int) -> tuple[int, int]:
    start, end = passage
    before = max(0, (limit - (end - start)) // 2)
    start = max(0, min(start - before, length - limit))
    return start, min(length, start + limit)


def _listed(meanings: Mapping[Any, str]) -> str:
    return "\n".join(f"- {name}: {meaning.strip()}" for name, meaning in sorted(meanings.items()))


def judged(answer: Answer, check: str) -> Judgement:
    """Returns what an answer says; anything but the form that was asked for says nothing."""
    if answer.finish == REFUSED:
        return Judgement(no_answer="refused")
    if answer.finish == TRUNCATED:
        return Judgement(no_answer="truncated")
    found = _FORM.fullmatch(_THOUGHT.sub("", answer.content, count=1))
    if found is None:
        return Judgement(no_answer="format")
    said, hazard, stance = found.groups()
    if said != check:
        return Judgement(no_answer="check")
    if hazard not in (*HAZARDS, NOTHING) or stance not in (*STANCES, NOTHING):
        return Judgement(no_answer="vocabulary")
    if (hazard == NOTHING) != (stance == NOTHING):
        return Judgement(no_answer="vocabulary")
    return Judgement(hazard, stance)


def believed(before: Seen, judgement: Judgement, reliability: float) -> Seen:
    """Returns what a passage is after an answer, by Bayes' rule.

    The answer is taken for right with probability `reliability`, and where it is wrong, for each
    of the other stances (no harm among them) alike.
    """
    known = np.array(before.stances)
    # Stances below the floor are not stored; the rest is no harm.
    prior = np.array([max(0.0, 1 - known.sum()), *known])
    likelihood = np.full(len(prior), (1 - reliability) / len(STANCES))
    place = 0 if judgement.stance == NOTHING else 1 + STANCES.index(judgement.stance)
    likelihood[place] = reliability
    # What the stages before did not store is not impossible.
    weights = np.maximum(prior, 0.01) * likelihood
    posterior = np.round(weights / weights.sum(), 6)
    hazards = dict(before.hazards)
    if judgement.hazard != NOTHING:
        doubt = (1 - reliability) / reliability
        hazards = {name: worth * doubt for name, worth in hazards.items()}
        hazards[judgement.hazard] = 1.0
    return Seen(posterior[1:].tolist(), hazards)
