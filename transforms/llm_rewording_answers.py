"""Answers of a language model that worded questions in another way: which of them will do.

Nothing of the document can be changed, since its words are put back in the places of their marks;
what is looked at is what the model wrote between them. A wording that is not taken leaves that of
the template. The reasons are:

    truncated         the answer was cut off
    refused           the model, or a filter of its server, declined
    format            the answer does not have the form that was asked for
    marks             a mark is missing, doubled, out of order or within a word, or a line break
                      came in or went
    unchanged         the words are those of the template
    length_ratio      far fewer or more words than the template has
    quotation         quotation marks or brackets that the template does not have
    echo              it writes out words that a mark stands for
    not_fluent        doubled spaces or signs
    markup            addresses, markup, roles or characters that hide or reorder
    numbers           other numbers than in the template
    negation          a denial came in or went
    modality          it speaks of a duty, ban or permission, and the template does not
    tells_answer      it names the answer, or some of the choices and not all
    open_slot         what is left of a template, or too long a text
    wrong_language    it is not told to be in the language of the exercise
    labelled_intent   the harm model labels it as harmful in intent, and the template not
    repeats_probe     a run of words in common with a probe item
    duplicate         another exercise of the unit has this question
"""

import fnmatch
import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from raicurate.exercise_templates.exercises import ExerciseLibrary, LanguageWords
from raicurate.exercise_templates.prompts import RewordingPrompt
from raicurate.transforms.clause_packs import ClausePacks
from raicurate.transforms.exercise_gates import Gates, Seen, fault_of
from raicurate.transforms.lesson import Exercise
from raicurate.transforms.llm_answers import MARKUP, THOUGHT, echoes
from raicurate.transforms.llm_client import REFUSED, TRUNCATED, Answer
from raicurate.transforms.llm_context import CONTROL
from raicurate.transforms.llm_rewording import MARK, RewordingTask, filled, own_words
from raicurate.transforms.verify_context import NOT_FLUENT, UNSPACED_LANGUAGES, Checks

_LEAST, _MOST, _SLACK = 0.4, 2.5, 40
"""Characters of new words over those of the template, the upper bound with so many more allowed,
since the shortest templates have three words."""

_TOLD = 0.5
"""Share of the telling words of an answer that may not stand in a question."""

_STEM = 5
"""Letters by which forms of one word are taken for the same ("violates", "violation")."""

_MIN_LETTERS = 4
_SIGNS = "\"'!?.,;:()[]{}<>…“”„‟«»‹›‘’‚`´–—-/*_。、！？：；（）「」『』،؟؛।"
_QUOTATION = re.compile('["“”„‟«»‹›「」『』()（）\\[\\]]')
_DOUBLED_STOP = re.compile(r"\{(\d+)\}([.。।])")
_GLUED = re.compile(r"\w\{\d+\}|\{\d+\}\w")
_CLOSING = "”“»」』\"'’)）"
_NUMBER = re.compile(r"\d+")
_FORM = re.compile(r"\A\s*question: *(\S.*)\Z", re.DOTALL)
_POLITE = "recommendation"
"""A question may say "should" whatever the clause says."""

_FIRM = frozenset({"always", "imposed", "negated", "restricted"})


class Verdict(NamedTuple):
    """What becomes of an answer: the exercise with its new question, or a reason why not."""

    exercise: Exercise | None
    rejection: str | None


@dataclass(frozen=True, eq=False)
class RewordingChecks:
    """What answers are held against.

    Attributes:
        models: The models for language and harm; a check without a model is not made.
        gates: Probe items that must not be repeated.
        library: The words of exercises.
        packs: The words by which clauses are found.
        prompt: The prompt, for its words that deny.
    """

    models: Checks
    gates: Gates
    library: ExerciseLibrary
    packs: ClausePacks
    prompt: RewordingPrompt


def judge(
    tasks: Sequence[RewordingTask],
    answers: Sequence[Answer],
    checks: RewordingChecks,
    seen: Seen,
) -> list[Verdict]:
    """Returns what becomes of each answer.

    Args:
        tasks: What was asked.
        answers: What was said.
        checks: What it is held against.
        seen: The exercises of the same unit; what is taken is added.
    """
    words, reasons = [], []
    for task, answer in zip(tasks, answers, strict=True):
        found, reason = _words_of(answer)
        found = _with_single_stops(found, task.frame.fixed)
        words.append(found)
        reasons.append(reason or _fault(task, found, checks))
    candidates = [
        replace(
            task.exercise,
            question=filled(found, task.frame.fixed) if reason is None else task.exercise.question,
            template=task.ref,
        )
        for task, found, reason in zip(tasks, words, reasons, strict=True)
    ]
    rows = [row for row, reason in enumerate(reasons) if reason is None]
    by_models = _faults_by_models(rows, tasks, words, candidates, checks)
    for row, fault in zip(rows, by_models, strict=True):
        repeated = fault is None and seen.repeats(candidates[row])
        reasons[row] = "duplicate" if repeated else fault
    return [
        Verdict(candidate if reason is None else None, reason)
        for candidate, reason in zip(candidates, reasons, strict=True)
    ]


def _words_of(answer: Answer) -> tuple[str, str | None]:
    """Returns the words of an answer, or why it has none that will do."""
    if answer.finish == REFUSED:
        return "", "refused"
    if answer.finish == TRUNCATED:
        return "", "truncated"
    found = _FORM.match(THOUGHT.sub("", answer.content.replace("\r\n", "\n"), count=1))
    if found is None:
        return "", "format"
    return re.sub(r"[ \t]*\n[ \t]*", "\n", found[1]).strip(), None


def _with_single_stops(words: str, fixed: tuple[str, ...]) -> str:
    """Returns new words without the full stops after marks whose own words end with one."""

    def once(match: re.Match[str]) -> str:
        at = int(match[1]) - 1
        ends = at < len(fixed) and fixed[at].rstrip(_CLOSING).endswith((".", "。", "।", "!", "?"))
        return f"{{{match[1]}}}" if ends else match[0]

    return _DOUBLED_STOP.sub(once, words)


def _fault(task: RewordingTask, words: str, checks: RewordingChecks) -> str | None:
    """Returns why new words will not do, by looking at them alone, or None."""
    frame, exercise = task.frame, task.exercise
    marks = [int(number) for number in MARK.findall(words)]
    own, before = own_words(words), frame.own
    if (
        marks != list(range(1, len(frame.fixed) + 1))
        or "{" in own
        or "}" in own
        or words.count("\n") != frame.words.count("\n")
        or (exercise.language not in UNSPACED_LANGUAGES and _GLUED.search(words))
    ):
        return "marks"
    if _plain(own) == _plain(before):
        return "unchanged"
    if not _LEAST * len(before) <= len(own) <= _MOST * len(before) + _SLACK:
        return "length_ratio"
    if not set(_QUOTATION.findall(own)) <= set(_QUOTATION.findall(before)):
        return "quotation"
    if any(echoes(own, text) for text in frame.fixed):
        return "echo"
    bare = MARK.sub("…", words)
    if MARKUP.search(bare) or CONTROL.search(bare) or "question:" in own.casefold():
        return "markup"
    if sorted(_NUMBER.findall(own)) != sorted(_NUMBER.findall(before)):
        return "numbers"
    if _denies(own, exercise.language, checks.prompt) != _denies(
        before, exercise.language, checks.prompt
    ):
        return "negation"
    if not _modalities(own, exercise.language, checks.packs) - {_POLITE} <= _modalities(
        before, exercise.language, checks.packs
    ):
        return "modality"
    plain = checks.library.languages[exercise.language].plain
    if _tells(own, before, exercise, plain):
        return "tells_answer"
    asked = replace(exercise, question=filled(words, frame.fixed))
    return "open_slot" if fault_of(asked) is not None else None


def _faults_by_models(
    rows: Sequence[int],
    tasks: Sequence[RewordingTask],
    words: Sequence[str],
    candidates: Sequence[Exercise],
    checks: RewordingChecks,
) -> list[str | None]:
    """Returns for each of `rows` what models and probe items say against it."""
    own = [own_words(words[row]) for row in rows]
    langs = [tasks[row].exercise.language for row in rows]
    new = [candidates[row].question for row in rows]
    old = [tasks[row].exercise.question for row in rows]
    between = pa.array(
        [_as_spaced(MARK.sub("x", words[row]), tasks[row].exercise.language) for row in rows],
        pa.string(),
    )
    clumsy = pc.match_substring_regex(between, NOT_FLUENT).to_pylist()
    wrong = labelled = [False] * len(rows)
    if rows and checks.models.language_of is not None:
        # Short as they are, the words of all templates but a few are told; what is not is not used.
        told = checks.models.language_of(own)
        wrong = [found != lang for found, lang in zip(told, langs, strict=True)]
    if rows and checks.models.labelled_intent is not None:
        # Alone, and with the words of the document: what is held against it is what is new.
        before = [tasks[row].frame.own for row in rows]
        asked = checks.models.labelled_intent
        answers = [asked(texts, langs) for texts in (own, before, new, old)]
        labelled = [
            (alone and not alone_before) or (whole and not whole_before)
            for alone, alone_before, whole, whole_before in zip(*answers, strict=True)
        ]
    repeated = checks.gates.repeated(
        [f"{candidates[row].question} {candidates[row].answer}" for row in rows]
    )
    return [
        "not_fluent" if doubled
        else "wrong_language" if bad_language
        else "labelled_intent" if harmful
        else "repeats_probe" if known
        else None
        for doubled, bad_language, harmful, known in zip(
            clumsy, wrong, labelled, repeated, strict=True
        )
    ]  # fmt: skip


def _as_spaced(words: str, language: str) -> str:
    """Returns words without the space that French puts before signs, as its templates do."""
    return re.sub(r" (?=[?!;:])", "", words) if language == "fr" else words


def _plain(text: str) -> str:
    return " ".join(_tokens(text))


def _tokens(text: str) -> list[str]:
    """Returns the words of a text without the signs around them."""
    bare = (word.strip(_SIGNS) for word in text.casefold().replace("’", "'").split())
    return [word for word in bare if word]


@functools.lru_cache(maxsize=64)
def _denial(language: str, phrases: tuple[str, ...]) -> re.Pattern[str]:
    if language in UNSPACED_LANGUAGES:
        return re.compile("|".join(map(re.escape, phrases)))
    return re.compile("|".join(fnmatch.translate(phrase.casefold()) for phrase in phrases))


def _denies(own: str, language: str, prompt: RewordingPrompt) -> bool:
    pattern = _denial(language, prompt.negations[language])
    if language in UNSPACED_LANGUAGES:
        return pattern.search(own) is not None
    return any(pattern.match(word) for word in _tokens(own))


def _modalities(own: str, language: str, packs: ClausePacks) -> set[str]:
    pack = packs.get(language)
    if pack is None:
        return set()
    lower = own.lower()
    return {
        found.value.modality
        for found in pack.modals.find(lower, 0, len(lower))
        if found.value.strength in _FIRM
    }


def _tells(own: str, before: str, exercise: Exercise, plain: LanguageWords) -> bool:
    """Whether new words name the answer, or single out some of what may be chosen from."""
    language = exercise.language
    said = _stems(own, language)
    told = _stems(exercise.answer, language) - _stems(exercise.question, language)
    if told and len(told & said) >= _TOLD * len(told):
        return True
    for choices in (
        exercise.choices, tuple(plain.verdict_choices.values()), tuple(plain.holds.values()),
    ):  # fmt: skip
        named = _named(choices, said, language)
        some = named and len(named) < len(choices)
        if some and named != _named(choices, _stems(before, language), language):
            return True
    return False


def _named(choices: Sequence[str], said: frozenset[str], language: str) -> set[int]:
    """Returns which choices are named by words that the others do not have."""
    stems = [_stems(choice, language) for choice in choices]
    named = set()
    for index, mine in enumerate(stems):
        others = _all(stem for at, stem in enumerate(stems) if at != index)
        telling = mine - others or mine
        if telling and len(telling & said) >= _TOLD * len(telling):
            named.add(index)
    return named


def _all(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)


def _stems(text: str, language: str) -> frozenset[str]:
    """Returns the beginnings of the longer words; pairs of letters where no spaces part words."""
    if language in UNSPACED_LANGUAGES:
        letters = "".join(character for character in text if character.isalpha())
        return frozenset(letters[at : at + 2] for at in range(len(letters) - 1))
    words = _tokens(text)
    longer = [word for word in words if len(word) >= _MIN_LETTERS] or words
    return frozenset(word[:_STEM] for word in longer)
