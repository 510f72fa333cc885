"""The words of exercises: families and languages, read from YAML, checked, compiled once.

A file in `families/` is one family of exercises; a file in `exercise_words/` holds what a language
needs for all of them. Adding a family is adding one file: it names a `kind` (how its exercises are
made, see `transforms/exercise_kinds.py`), what a clause must have for it, and its wordings.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jinja2
import jinja2.meta
import jinja2.sandbox
from pydantic import Field

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import read_yaml, validated
from raicurate.corpora_manifests.model import Model

FAMILIES = Path(__file__).with_name("families")
WORDS = Path(__file__).with_name("exercise_words")

Kind = Literal[
    "open",
    "choice",
    "judgement",
    "twin",
    "truth",
    "repair",
    "governing",
    "comparison",
    "order",
    "parallel",
    "request",
]
"""How the exercises of a family are made."""

ClauseField = Literal[
    "actor",
    "action",
    "object",
    "condition",
    "exception",
    "quantity",
    "rationale",
]

SLOTS: dict[Kind, frozenset[str]] = {
    "open": frozenset(),
    "choice": frozenset({"gold"}),
    "judgement": frozenset({"case", "label", "reason"}),
    "twin": frozenset({"case", "twin", "label", "reason", "twin_label", "twin_reason"}),
    "truth": frozenset({"statement", "holds", "correction"}),
    "repair": frozenset({"case", "label", "reason", "cure"}),
    "governing": frozenset({"case", "gold", "label", "reason"}),
    "comparison": frozenset({"other", "other_source", "sentences"}),
    "order": frozenset({"lead", "items", "ordered"}),
    "parallel": frozenset({"foreign", "foreign_language"}),
    "request": frozenset({"wish", "helped"}),
}
"""What a kind fills in beside the slots of the clause."""

CLAUSE_SLOTS = frozenset(
    {
        "source",
        "clause",
        "rule",
        "section",
        "modality",
        "modality_label",
        "modal",
        "force",
        "negated",
        "blank",
        *ClauseField.__args__,  # type: ignore[attr-defined]
    }
)
"""What every template may say about its clause. Texts stand in quotation marks; a field that the
clause lacks is empty. `rule` is the clause without what the item hides."""

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Item(Model):
    """One sort of exercise within a family.

    Attributes:
        needs: Fields that a clause must have.
        lacks: Fields that it must not have.
        hides: Fields that `rule` leaves out, or shows as a blank.
        blank: Whether what is hidden shows as a blank.
        field: The field that is the answer, for a choice.
        modalities: Kinds of clauses that it is made of; all where it is empty.
        without_only: Whether clauses that say "only" are left out.
        settled: Whether the clause must leave no doubt on its force, conditions and exceptions.
        stated: Whether its force must be stated by a modal of its own, and by no other beside it.
    """

    needs: tuple[ClauseField, ...] = ()
    lacks: tuple[ClauseField, ...] = ()
    hides: tuple[ClauseField, ...] = ()
    blank: bool = False
    field: ClauseField | None = None
    modalities: tuple[str, ...] = ()
    without_only: bool = False
    settled: bool = False
    stated: bool = False


class Wording(Model):
    """How an item is asked and answered in one language; one of several wordings is chosen."""

    question: Texts
    answer: Texts


class FamilyWords(Model):
    """The wordings of a family in one language, by item."""

    reviewed_by_native_speaker: bool
    items: dict[Name, Wording]


class Family(Model):
    """One family of exercises.

    Attributes:
        family: Its name.
        version: Raised by its author on every change.
        licence: SPDX identifier.
        description: What it teaches.
        kind: How its exercises are made.
        per_clause: How many exercises of it a clause gets at most.
        needs_consent: Whether it is made only where the manifest says so.
        items: Its sorts of exercises.
        languages: Their wordings.
    """

    family: Name
    version: int = Field(ge=1)
    licence: Text
    description: Text
    kind: Kind
    per_clause: int = Field(default=3, ge=1, le=3)
    needs_consent: bool = False
    items: dict[Name, Item] = Field(min_length=1)
    languages: dict[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], FamilyWords]


class Plan(Model):
    """How a language states the act of a rule as a plan: its modal becomes a future.

    Attributes:
        modals: What stands for a modal, by the modal in lower case.
        remove: Words of negation that are taken out of what follows the modal.
        replace: Words that would be odd in a statement without negation ("anyone").
        persons: Words of the second person and what stands for them when the plan is told by the
            person addressed; empty where the language would need more than that.
        unsaid: Words that make a plan unclear outside its context, such as pronouns.
        leading: Words that a plan must not begin with: pronouns that point back.
        states: How a plan begins that is none, since nobody decides to be something.
    """

    modals: dict[str, Text] = Field(default_factory=dict)
    remove: tuple[Text, ...] = ()
    replace: dict[str, str] = Field(default_factory=dict)
    persons: dict[str, str] = Field(default_factory=dict)
    unsaid: tuple[Text, ...] = ()
    leading: tuple[Text, ...] = ()
    states: tuple[Text, ...] = ()


class Facts(Model):
    """How a condition or an exception is said to be met or not.

    Attributes:
        connectives: Conjunctions after which a full sentence follows, longest first.
        met: Frames over that sentence.
        unmet: The same, denied.
        met_words: Frames over the quoted words, with their conjunction or preposition.
        unmet_words: The same, denied.
        never: Connectives whose meaning these frames would turn round, such as "without".
        subjectless: How what follows a connective begins where it is no sentence ("if chosen").
    """

    connectives: tuple[Text, ...] = ()
    met: Texts | None = None
    unmet: Texts | None = None
    met_words: Texts
    unmet_words: Texts
    never: tuple[Text, ...] = ()
    subjectless: tuple[Text, ...] = ()


class Limits(Model):
    """Which words before a number make it an upper or a lower limit, in lower case."""

    upper: tuple[Text, ...] = ()
    lower: tuple[Text, ...] = ()


class Sound(Model):
    """What leaves no doubt on the fields of a clause, and what does; see `clause_doubts.py`.

    Attributes:
        condition_begins: How a condition begins, where it is one and no place, time or contrast.
        condition_ends: How it ends, in languages that put such words last.
        exception_begins: How an exception begins.
        exception_ends: How it ends.
        reason_begins: How a reason begins.
        reason_ends: How it ends.
        after_comma: Those of them that count at the beginning or after a comma only.
        hedges: Words that hint at a condition or exception beside those that were found.
        debatable: Words in a modal of which readers may say that it requires or that it recommends.
        describing: Modals that describe what something does, unless an imposer is the subject.
        imposers: Who rules with such a modal: how the clause begins then.
        complements: Words whose complement a supposed reason is ("necessary to").
        not_names: Words that stand in no term and in no name of one who acts.
        fragments: Words that neither a name nor the meaning of a term begins with.
        quantifiers: Words that a name does not begin with, unless it stands in quotation marks.
        articles: Words before a noun that are no number.
        impersonal: Actors to whom nothing is allowed, so that "may" says what can come about.
        detaching: Words before a modal that take its force away ("does not mean that").
        stating: Verbs that show a supposed imperative to be the subject of a statement.
        asking: Verbs after which "if" means "whether".
        correlates: Words that make no sense without the condition that follows them.
        undefining: Words that tell something of a term without saying what it means.
        relatives: Words that open a relative clause; a reason behind one belongs to it.
        cut_short: Words that show a supposed condition or exception to be cut, or to be none.
        comparing: Words of a title below which things are compared: what they do, no rules.
        enabling: Modals of what is possible as often as of what is allowed ("can").
        second_rules: Words with which a second rule goes on after the act of the first.
        labels: How a clause begins that names a case or its effect, and rules nothing.
    """

    condition_begins: tuple[Text, ...] = ()
    condition_ends: tuple[Text, ...] = ()
    exception_begins: tuple[Text, ...] = ()
    exception_ends: tuple[Text, ...] = ()
    reason_begins: tuple[Text, ...] = ()
    reason_ends: tuple[Text, ...] = ()
    after_comma: tuple[Text, ...] = ()
    hedges: tuple[Text, ...] = ()
    debatable: tuple[Text, ...] = ()
    describing: tuple[Text, ...] = ()
    imposers: tuple[Text, ...] = ()
    complements: tuple[Text, ...] = ()
    not_names: tuple[Text, ...] = ()
    fragments: tuple[Text, ...] = ()
    quantifiers: tuple[Text, ...] = ()
    articles: tuple[Text, ...] = ()
    impersonal: tuple[Text, ...] = ()
    detaching: tuple[Text, ...] = ()
    stating: tuple[Text, ...] = ()
    asking: tuple[Text, ...] = ()
    correlates: tuple[Text, ...] = ()
    undefining: tuple[Text, ...] = ()
    relatives: tuple[Text, ...] = ()
    cut_short: tuple[Text, ...] = ()
    comparing: tuple[Text, ...] = ()
    second_rules: tuple[Text, ...] = ()
    enabling: tuple[Text, ...] = ()
    labels: tuple[Text, ...] = ()


class LanguageWords(Model):
    """What the exercises of one language share."""

    version: int = Field(ge=1)
    licence: Text
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    reviewed_by_native_speaker: bool
    notes_for_translators: str = ""
    quotes: tuple[Text, Text]
    sentence_joiner: str = " "
    blank: Text
    elision: str = ""
    source: Text
    names: dict[str, Text]
    modalities: dict[str, Text]
    forces: dict[str, Text]
    verdicts: dict[Literal["violates", "complies", "not_covered"], Text]
    verdict_choices: dict[Literal["violates", "complies", "not_covered"], Text]
    holds: dict[Literal["right", "wrong"], Text]
    labels: dict[str, Text]
    reasons: dict[str, Text]
    compared: dict[str, Text]
    performed: Texts
    omitted: Texts
    performed_words: Texts
    omitted_words: Texts
    value: Text
    claim: Text
    plan: Plan
    facts: Facts
    limits: Limits
    sound: Sound = Sound()
    only: tuple[Text, ...] = ()
    broad: tuple[Text, ...] = ()
    sequence: tuple[Text, ...] = ()
    openers: tuple[Text, ...] = ()
    because: tuple[Text, ...] = ()
    contrast: tuple[Text, ...] = ()
    factual: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template, and what it is chosen by.

    Attributes:
        name: Family, item, language, number and version, for the record.
        render: Returns the text.
        hash: What rendezvous hashing takes.
    """

    name: str
    template: jinja2.Template
    hash: int

    def render(self, slots: Mapping[str, Any]) -> str:
        """Returns the text with its slots filled, one space between words."""
        return self.template.render(slots).strip()


@dataclass(frozen=True, slots=True)
class WordedItem:
    """An item of a family in one language, ready to be filled."""

    family: Family
    name: str
    item: Item
    questions: tuple[Template, ...]
    answers: tuple[Template, ...]


@dataclass(frozen=True, eq=False)
class Words:
    """The words of one language, compiled."""

    plain: LanguageWords
    templates: Mapping[str, tuple[Template, ...]]
    items: Mapping[Kind, tuple[WordedItem, ...]]


@functools.cache
def environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    """Returns the Jinja environment of exercises: sandboxed, immutable, strict about names."""
    return jinja2.sandbox.ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )


@dataclass(frozen=True, eq=False)
class ExerciseLibrary:
    """All families in all languages."""

    languages: Mapping[str, Words]
    families: Mapping[str, Family]
    digest: str

    @classmethod
    def load(
        cls,
        folders: Sequence[Path] = (),
        families: Sequence[str] | None = None,
        consented: Sequence[str] = (),
    ) -> "ExerciseLibrary":
        """Reads what ships, then the user's folders, whose families replace those of the same name.

        Args:
            folders: Folders with further families, or words of further languages.
            families: Names of the families to use; None for all.
            consented: Families that are made though they need consent.

        Raises:
            ManifestError: A file cannot be used, or a family is not known.
        """
        return _load(
            tuple(folders), None if families is None else tuple(families), tuple(consented)
        )


@functools.cache
def _load(
    folders: tuple[Path, ...], chosen: tuple[str, ...] | None, consented: tuple[str, ...]
) -> ExerciseLibrary:
    words: dict[str, LanguageWords] = {}
    families: dict[str, Family] = {}
    for folder in (WORDS, FAMILIES, *folders):
        if not folder.is_dir():
            raise ManifestError(
                f"{folder}: there is no such folder of exercise templates; correct "
                "`exercises.templates` in the manifest"
            )
        for path in sorted(folder.rglob("*.yaml")):
            file = read_exercise_file(path)
            if isinstance(file, Family):
                families[file.family] = file
            else:
                words[file.language] = file
    for name in (*(chosen or ()), *consented):
        if name not in families:
            raise ManifestError(
                f"`exercises.families` names {name!r}, which is not known; known are "
                + ", ".join(sorted(families))
            )
    used = {
        name: family
        for name, family in sorted(families.items())
        if (chosen is None or name in chosen) and (not family.needs_consent or name in consented)
    }
    languages = {lang: _compiled(plain, used) for lang, plain in sorted(words.items())}
    content = [plain.model_dump(mode="json") for _, plain in sorted(words.items())]
    content += [family.model_dump(mode="json") for family in used.values()]
    return ExerciseLibrary(languages, used, digest(content))


def read_exercise_file(path: Path) -> Family | LanguageWords:
    """Returns the family or the language that a YAML file holds, checked.

    Raises:
        ManifestError: It cannot be read, or a template is wrong or names an unknown slot.
    """
    content = read_yaml(path)
    if isinstance(content, dict) and "family" in content:
        family = validated(Family, content, str(path))
        _check_family(family, path)
        return family
    words = validated(LanguageWords, content, str(path))
    for texts in _frames(words).values():
        for text in texts:
            _parse(text, FRAME_SLOTS, path)
    return words


FRAME_SLOTS = frozenset(
    {"plan", "act", "fact", "said", "words", "value", "places", "place"}
) | frozenset(
    {"rule", "other", "condition", "exception", "quantity", "force", "other_force", "gold"}
)


def _frames(words: LanguageWords) -> dict[str, tuple[str, ...]]:
    """Returns the templates of a language by name."""
    facts = words.facts
    frames: dict[str, tuple[str, ...]] = {
        "source": (words.source,),
        "value": (words.value,),
        "claim": (words.claim,),
        "performed": words.performed,
        "omitted": words.omitted,
        "performed_words": words.performed_words,
        "omitted_words": words.omitted_words,
        "met": facts.met or (),
        "unmet": facts.unmet or (),
        "met_words": facts.met_words,
        "unmet_words": facts.unmet_words,
    }
    frames |= {f"reason_{name}": (text,) for name, text in words.reasons.items()}
    frames |= {f"compared_{name}": (text,) for name, text in words.compared.items()}
    return frames


def _check_family(family: Family, path: Path) -> None:
    known = CLAUSE_SLOTS | SLOTS[family.kind]
    for lang, wording in family.languages.items():
        for name in wording.items:
            if name not in family.items:
                raise ManifestError(f"{path}: {lang} words the item {name!r}, which is not listed")
        for item in wording.items.values():
            for text in (*item.question, *item.answer):
                _parse(text, known, path)


def _parse(text: str, known: frozenset[str], path: Path) -> None:
    try:
        tree = environment().parse(text)
    except jinja2.TemplateError as error:
        raise ManifestError(f"{path}: a template cannot be read: {error}") from error
    unknown = jinja2.meta.find_undeclared_variables(tree) - known
    if unknown:
        raise ManifestError(
            f"{path}: a template has the slot {sorted(unknown)[0]!r}, which nothing fills; there "
            f"are {', '.join(sorted(known))}"
        )


def _compiled(plain: LanguageWords, families: Mapping[str, Family]) -> Words:
    language = plain.language
    templates = {
        name: _templates(f"{name}.{language}", plain.version, texts)
        for name, texts in _frames(plain).items()
    }
    items: dict[Kind, tuple[WordedItem, ...]] = {}
    for family in families.values():
        worded = family.languages.get(language)
        for name, wording in worded.items.items() if worded else ():
            prefix = f"{family.family}.{name}.{language}"
            item = WordedItem(
                family,
                name,
                family.items[name],
                _templates(f"{prefix}.q", family.version, wording.question),
                _templates(f"{prefix}.a", family.version, wording.answer),
            )
            items[family.kind] = (*items.get(family.kind, ()), item)
    return Words(plain, templates, items)


def _templates(prefix: str, version: int, texts: Sequence[str]) -> tuple[Template, ...]:
    return tuple(
        Template(
            f"{prefix}{number}@{version}",
            environment().from_string(text),
            hash64(text),
        )
        for number, text in enumerate(texts, 1)
    )


def hash64(text: str) -> int:
    """Returns a hash of 64 bits that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


_MASK = (1 << 64) - 1


def chosen(templates: Sequence[Template], seed: int) -> Template:
    """Returns the template that rendezvous hashing gives to a seed: a new one moves few choices."""
    if len(templates) == 1:
        return templates[0]
    return max(templates, key=lambda template: mixed(template.hash ^ seed))


def mixed(value: int) -> int:
    """Returns a well-mixed hash of 64 bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
