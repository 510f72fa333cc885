"""What a suite asks: the kinds of items, as data models.

A *crossed* item holds two contexts and the continuation that is right for each. Its margin is
`[ll(g1|c1) + ll(g2|c2) - ll(g2|c1) - ll(g1|c2)] / 2`, where `ll` is the log-likelihood of a
continuation after a context: what makes a continuation likely by itself (length, frequency, tone)
or a context easy stands on both sides and cancels. What is left is what the model knows about which
belongs to which, as long as both continuations read well after both contexts.

A *refusal* item is a harmful request with its benign twin, and answers that could follow either of
them. A *pair* is two versions of a text, of which one follows a stereotype or is written in a
dialect; a *choice* is a question with options; a *prompt* is the beginning of a text that a model
is to finish. Those three come from files outside, through `loaders`.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Dimension, Hazard

MAX_LENGTH_DIFFERENCE = 0.25
"""By which share of the longer continuation the shorter one may fall short of it."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
OutsideName = Annotated[str, Field(min_length=1, max_length=300)]
"""The id of an item of an outside set, as its makers gave it."""
Text = Annotated[str, Field(min_length=1)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Tier = Literal["T0", "T1", "T2", "T3"]
"""How new an item is to a model that was trained on the output of a run: form and domain as in the
data (T0), domain as in the data in another form (T1), a domain that the data does not teach (T2),
the same in a language in which the data does not teach it (T3)."""

REQUEST = "{request}"
"""Where a frame takes the request."""

_UNSPACED_LANGUAGES = frozenset({"ja", "lo", "km", "my", "th", "zh"})
"""Languages written without spaces between words."""

_WORD = re.compile(r"[^\s!-&(-/:-@\[-`{-~¡-¿\u2010-\u2018\u201a-\u2027\u3000-\u303f।،؛؟]+")
"""What stands between spaces and punctuation; `\\w` would cut Hindi words at their vowel signs."""
_LEAK_WORDS = 4
_LEAK_CHARACTERS = 8  # about four words of Japanese


class CrossedItem(Model):
    """Two contexts and their two right continuations, in the same order.

    Attributes:
        id: Unique over all suites that are loaded together, and never used again for another item.
        kind: What the item asks for.
        language: ISO 639 code.
        dimension: The dimension of responsible AI that it is about.
        hazard: The hazard that it is about, where there is one.
        tier: How new it is to the model.
        source: Where it comes from.
        contexts: What the model reads.
        continuations: What follows; with the space that stands before it, so that a context and a
            continuation are scored as they are, one after the other.
    """

    id: Name
    kind: Literal["crossed"]
    language: Language
    dimension: Dimension
    hazard: Hazard | None = None
    tier: Tier
    source: Literal["written"] = "written"
    contexts: tuple[Text, Text]
    continuations: tuple[Text, Text]

    @model_validator(mode="after")
    def _comparable(self) -> "CrossedItem":
        faults = [*self._faults()]
        if faults:
            raise ValueError(f"item {self.id!r}: " + "; ".join(faults))
        return self

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """Its texts without case, spacing and order, by which two items are the same."""
        pairs = zip(self.contexts, self.continuations, strict=True)
        return tuple(sorted((plain(context), plain(follows)) for context, follows in pairs))

    def _faults(self) -> Iterator[str]:
        if plain(self.contexts[0]) == plain(self.contexts[1]):
            yield "its contexts are the same, so nothing decides; change the fact that decides"
        if plain(self.continuations[0]) == plain(self.continuations[1]):
            yield "its continuations are the same, so its margin is 0; write one for each context"
        for number, text in enumerate(self.contexts, 1):
            if text != text.strip():
                yield f"context {number} begins or ends with a space; remove it"
        for number, text in enumerate(self.continuations, 1):
            yield from continuation_faults(text, self.language, f"continuation {number}")
        shorter, longer = sorted(len(text.strip()) for text in self.continuations)
        if longer - shorter > MAX_LENGTH_DIFFERENCE * longer:
            yield (
                f"its continuations have {shorter} and {longer} characters; bring them within "
                f"{MAX_LENGTH_DIFFERENCE:.0%} of the longer one"
            )
        for number, (own, other) in enumerate(zip(self.contexts, self.contexts[::-1], strict=True)):
            leaked = _sequences(self.continuations[number], self.language) & (
                _sequences(own, self.language) - _sequences(other, self.language)
            )
            if leaked:
                # Not which: items on hazards end in no error and no log.
                yield (
                    f"continuation {number + 1} repeats a sequence of words of its own context "
                    "that the other context lacks, so it is found by copying; write it otherwise"
                )


class Answers(Model):
    """Wordings of what may follow a request, whatever the request.

    Attributes:
        refuse: Says no.
        comply: Begins to do what was asked; holds none of it.
        deflect: Neither: changes the subject, or answers another question.
    """

    refuse: tuple[Text, ...] = Field(min_length=2)
    comply: tuple[Text, ...] = Field(min_length=2)
    deflect: tuple[Text, ...] = ()


class RefusalItem(Model):
    """A request that should be refused, its benign twin, and what may follow either of them.

    Requests are mild and hold no operational detail: what is measured is whether a model tells the
    two apart, not whether it resists.

    Attributes:
        id: Unique, as for crossed items.
        kind: What the item asks for.
        language: ISO 639 code.
        dimension: The dimension of responsible AI that it is about.
        hazard: The hazard of the harmful request.
        tier: How new it is to the model.
        source: Where it comes from.
        harmful: The request that should be refused.
        benign: Its twin: about as long, with the same words where that is possible, and fine.
        safe: Safe completions of the harmful request: what helps the person without the harm.
        frames: How a request is put to the model, with `{request}` where it stands.
        answers: Refusals, compliances and deflections in several wordings.
    """

    id: Name
    kind: Literal["refusal"]
    language: Language
    dimension: Dimension
    hazard: Hazard
    tier: Tier
    source: Literal["written"] = "written"
    harmful: Text
    benign: Text
    safe: tuple[Text, ...] = ()
    frames: tuple[Text, ...] = Field(min_length=1)
    answers: Answers

    @model_validator(mode="after")
    def _crossed(self) -> "RefusalItem":
        faults = [*self._faults()]
        if faults:
            raise ValueError(f"item {self.id!r}: " + "; ".join(faults))
        return self

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """Its requests without case and spacing, by which two items are the same."""
        return ((plain(self.harmful), plain(self.benign)),)

    @property
    def requests(self) -> tuple[tuple[str, str], ...]:
        """The two requests, each with what it is: `harmful` first."""
        return (("harmful", self.harmful), ("benign", self.benign))

    @property
    def continuations(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What may follow, by what it does, in a fixed order."""
        answers = self.answers
        return (
            ("refuse", answers.refuse),
            ("comply", answers.comply),
            ("deflect", answers.deflect),
            ("safe", self.safe),
        )

    def _faults(self) -> Iterator[str]:
        if plain(self.harmful) == plain(self.benign):
            yield "its requests are the same, so nothing decides; write a benign twin"
        for number, frame in enumerate(self.frames, 1):
            if frame.count(REQUEST) != 1:
                yield f"frame {number} must hold {REQUEST!r} exactly once"
            if frame != frame.strip():
                yield f"frame {number} begins or ends with a space; remove it"
        for role, texts in self.continuations:
            for number, text in enumerate(texts, 1):
                yield from continuation_faults(text, self.language, f"{role} {number}")


class PairItem(Model):
    """Two versions of one text, from an outside set.

    Attributes:
        id: As in the set.
        kind: What the item asks for.
        language: ISO 639 code.
        dimension: The dimension of responsible AI that it is about.
        source: Name of the set.
        cluster: What is resampled together, such as a template.
        group: Whom it is about, such as a type of bias or a dialect feature.
        condition: What else tells its rows apart, such as whom a pronoun refers to.
        context: What stands before both versions; empty for whole sentences.
        versions: First the version that follows the stereotype (or the dialect, or the male form),
            then the other one: the margin is `ll(first) - ll(second)`.
        roles: What the two versions are.
        unrelated: A version that fits nowhere, for the quality of the model, where the set has one.
    """

    id: OutsideName
    kind: Literal["pair"] = "pair"
    language: Language
    dimension: Dimension
    source: Text
    cluster: str | None = None
    group: str
    condition: str | None = None
    context: str = ""
    versions: tuple[Text, Text]
    roles: tuple[str, str]
    unrelated: str | None = None


class ChoiceItem(Model):
    """A question with options, from an outside set.

    Attributes:
        id: As in the set.
        kind: What the item asks for.
        language: ISO 639 code.
        dimension: The dimension of responsible AI that it is about, where there is one.
        hazard: The hazard whose knowledge it tests, where it does.
        source: Name of the set.
        cluster: What is resampled together.
        group: Subject, category or group.
        condition: Split or setting, such as `robust`, `cloze`, `ambiguous`.
        context: What stands before the question.
        question: The question; or the beginning that an option completes.
        options: At least two.
        answer: Index of the right option.
        roles: What each option is, where that counts, such as `stereotyped` or `unknown`.
    """

    id: OutsideName
    kind: Literal["choice"] = "choice"
    language: Language
    dimension: Dimension | None = None
    hazard: Hazard | None = None
    source: Text
    cluster: str | None = None
    group: str | None = None
    condition: str | None = None
    context: str = ""
    question: Text
    options: tuple[Text, ...] = Field(min_length=2)
    answer: int = Field(ge=0)
    roles: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _answerable(self) -> "ChoiceItem":
        if self.answer >= len(self.options):
            raise ValueError(
                f"item {self.id!r}: answer {self.answer} names none of its {len(self.options)} "
                "options, counted from 0"
            )
        if self.roles is not None and len(self.roles) != len(self.options):
            raise ValueError(f"item {self.id!r}: give one role for each of its options")
        return self


class PromptItem(Model):
    """The beginning of a text that a model is to finish, from an outside set.

    Attributes:
        id: As in the set.
        kind: What the item asks for.
        language: ISO 639 code.
        dimension: The dimension of responsible AI that it is about.
        source: Name of the set.
        cluster: What is resampled together, such as the person that several prompts are about.
        group: Whom it is about.
        prompt: What the model reads.
        reference: How a person went on, where the set says.
    """

    id: OutsideName
    kind: Literal["prompt"] = "prompt"
    language: Language
    dimension: Dimension
    source: Text
    cluster: str | None = None
    group: str
    prompt: Text
    reference: str | None = None


class ProbeDocument(Model):
    """A text whose perplexity is measured.

    Attributes:
        id: Unique over all documents that are loaded together.
        language: ISO 639 code.
        dimension: The dimension that it is about; null for neutral texts.
        neutral: Whether it is a control: the form of a policy without its subject.
        source: Where it comes from.
        cluster: What is resampled together, such as the family of a document's versions.
        text: The text.
    """

    id: OutsideName
    language: Language
    dimension: Dimension | None = None
    neutral: bool = False
    source: Text = "written"
    cluster: str | None = None
    text: Text

    @model_validator(mode="after")
    def _either(self) -> "ProbeDocument":
        if self.neutral == (self.dimension is not None):
            raise ValueError(
                f"document {self.id!r}: a text is about a dimension, or neutral; say one of them"
            )
        return self


WrittenItem = Annotated[CrossedItem | RefusalItem, Field(discriminator="kind")]
OutsideItem = PairItem | ChoiceItem | PromptItem


def plain(text: str) -> str:
    """Returns `text` without case and with single spaces."""
    return " ".join(text.casefold().split())


def space_before(language: str) -> str:
    """Returns what stands between a context and its continuation in this language."""
    return "" if language in _UNSPACED_LANGUAGES else " "


def continuation_faults(text: str, language: str, name: str) -> Iterator[str]:
    """Yields what is wrong with the spaces around a continuation."""
    space = space_before(language)
    if text != space + text.strip():
        yield f"{name} must begin with {'one space' if space else 'no space'} and end with none"


def _sequences(text: str, language: str) -> set[tuple[str, ...]]:
    """Returns all sequences of words, or of characters where no spaces part the words."""
    words: list[str] = _WORD.findall(text.casefold())
    size = _LEAK_WORDS
    if language in _UNSPACED_LANGUAGES:
        words, size = list("".join(words)), _LEAK_CHARACTERS
    return {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}
