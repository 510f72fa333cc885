"""The taught clauses of one document, with all that exercises about them ask for."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raicurate.corpora_manifests.digests import digest
from raicurate.exercise_templates.exercises import (
    Item,
    Template,
    WordedItem,
    Words,
    chosen,
    hash64,
    mixed,
)
from raicurate.transforms.clause import DEONTIC, Clause, Span
from raicurate.transforms.clause_sidecar import AuthoredClause
from raicurate.transforms.clause_text import FIELDS, ClauseText, WordsOf, is_balanced, sentence
from raicurate.transforms.situations import Situations, content_words

CHOICES = 4
_MAX_PLACE_CHARS = 140
_MAX_CLAUSE_CHARS = 900
_MIN_RULE_CHARS = 12
# What stands around a gap has to say which clause it is.
_MIN_GAPPED_CHARS = {"ja": 20, "zh": 20}


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise.

    Attributes:
        id: Digest of document, family, clauses and sort of exercise.
        family: Its family.
        template: Name and version of the wording of its question.
        language: Language of question and answer.
        document: Id of the document.
        clause_ids: The clauses that prove its answer, the first being its subject.
        question: The question.
        choices: What may be chosen from; empty where the answer is free.
        answer: The answer; one of the choices where there are some.
        verdict: The verdict for a case; None where there is none.
        rationale: Why the answer is right.
        support: The stretches of the document that prove it.
        dimensions: The responsible-AI dimensions concerned.
        hazards: The hazards concerned.
        situation: The case alone, by which the audit tries to tell the verdict.
        wording: The wording of its question, and
        slots: what it was filled with, to tell its own words from those of the document.
    """

    id: str
    family: str
    template: str
    language: str
    document: str
    clause_ids: tuple[str, ...]
    question: str
    choices: tuple[str, ...]
    answer: str
    verdict: str | None
    rationale: str
    support: tuple[Span, ...]
    dimensions: tuple[str, ...]
    hazards: tuple[str, ...]
    situation: str | None = None
    wording: Template | None = field(default=None, compare=False, repr=False)
    slots: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)


@functools.lru_cache(maxsize=64)
def situations_of(words: Words) -> Situations:
    """Returns the situations of a language, made once."""
    return Situations(words)


class Subject:
    """A clause as the subject of exercises; everything is worked out when first asked for."""

    def __init__(self, text: ClauseText, lesson: "Lesson", number: int | None = None) -> None:
        self.text = text
        self.number = number
        self.clause = text.clause
        self.seed = hash64(text.clause.id)
        self._lesson = lesson
        situations = lesson.situations
        hollow = [
            name
            for name, words in text.fields.items()
            if situations.is_hollow(name, words)
            or text.is_cut(name)
            or situations.doubts.doubts(name, text)
        ]
        for name in hollow:
            del text.fields[name]
        self.is_whole = not set(hollow) & {"condition", "exception", "action"}
        if text.clause.modality == "definition":
            meaning = situations.doubts.with_article(text)
            if meaning is not None:
                text.fields["action"] = meaning

    def take(self, note: AuthoredClause) -> None:
        """Takes in what its authors say of it.

        Their reason stands in the place of one from the document. A carve-out in their words is no
        part of the clause, so no case is judged by the clause alone any more.
        """
        if note.rationale is not None:
            self.text.fields["rationale"] = note.rationale
        if note.carve_out is not None:
            self.is_whole = False

    @functools.cached_property
    def whole(self) -> str:
        """The clause as it stands, as a sentence."""
        return sentence(self.text.whole, self.clause.language)

    @functools.cached_property
    def content(self) -> frozenset[str]:
        """Its content words."""
        return content_words(self.text.whole, self.clause.language)

    @functools.cached_property
    def plan(self) -> str | None:
        """Its act as a sentence, where the language allows it."""
        return self._lesson.situations.plan(self.text)

    @functools.cached_property
    def act(self) -> str | None:
        """The words for its act."""
        return self._lesson.situations.act(self.text)

    @functools.cached_property
    def is_broad(self) -> bool:
        """Whether it is about rules as such."""
        return self._lesson.situations.is_broad(self.text)

    @functools.cached_property
    def says_only(self) -> bool:
        """Whether it says "only", which turns what is left out into its opposite."""
        return self._lesson.situations.only_if(self.text)

    @functools.cached_property
    def can_be_judged(self) -> bool:
        """Whether its words leave no doubt on what follows for a case."""
        clause = self.clause
        if clause.modality not in DEONTIC or not self.is_whole or self.is_broad:
            return False
        if clause.modality == "permission" and clause.object is not None:
            # "It may be delayed" says what can come about at least as often as what is allowed.
            return False
        if self.says_only and (
            clause.modality != "permission" or "condition" not in self.text.fields
        ):
            return False
        situations = self._lesson.situations
        return not situations.points_back(self.text.whole) and not situations.is_compound(self.text)

    @property
    def _is_weak_permission(self) -> bool:
        """Whether it says what can come about ("may be delayed") or is not owed ("need not")."""
        clause = self.clause
        return clause.modality == "permission" and (clause.object is not None or clause.negated)

    @property
    def is_imperative(self) -> bool:
        """Whether it tells to do something in the imperative, which is its own modal."""
        clause = self.clause
        return (
            clause.modal is not None
            and clause.action is not None
            and clause.action.start == clause.modal.start
        )

    @property
    def force(self) -> str:
        """Its modality; an imperative that is no prohibition is an instruction to its readers."""
        if self.is_imperative and self.clause.modality == "recommendation":
            return "instruction"
        return self.clause.modality

    @functools.cached_property
    def modal(self) -> str:
        """The words that carry its force; empty where no modal of its own does so beyond doubt."""
        clause, text = self.clause, self.text
        if clause.modal is None or self.is_imperative or self._is_weak_permission:
            return ""
        situations = self._lesson.situations
        if situations.is_compound(text) or situations.doubts.is_debatable(text):
            return ""
        words = text.words_on(clause.modal)
        return words if clause.negation is None else f"{words} … {text.words_on(clause.negation)}"

    @functools.cached_property
    def is_settled(self) -> bool:
        """Whether its force, and all its conditions and exceptions, were found without doubt."""
        situations = self._lesson.situations
        return (
            self.is_whole
            and not self._is_weak_permission
            and not situations.is_compound(self.text)
            and not situations.doubts.is_hedged(self.text)
            and not situations.doubts.is_debatable(self.text)
        )

    @functools.cached_property
    def slots(self) -> dict[str, object]:
        """What every template may say about the clause."""
        lesson, clause = self._lesson, self.clause
        plain = lesson.words.plain
        quoted = lesson.situations.quoted
        slots: dict[str, object] = {
            name: quoted(self.text.fields[name]) if name in self.text.fields else ""
            for name in FIELDS
        }
        slots |= {
            "source": lesson.source(clause.section),
            "section": quoted(clause.section[-1]) if clause.section else "",
            "clause": quoted(self.whole),
            "rule": quoted(self.whole),
            "modality": clause.modality,
            "modality_label": plain.modalities.get(self.force, ""),
            "modal": quoted(self.modal) if self.modal else "",
            "force": plain.forces.get(clause.modality, ""),
            "negated": clause.negated,
            "blank": plain.blank,
        }
        return slots

    def rule_without(self, fields: Sequence[str], blank: bool) -> str | None:
        """Returns the clause without fields, quoted, or None if the rest is no clause."""
        plain = self._lesson.words.plain
        if blank:
            text = self.text.without(fields, plain.blank)
        else:
            text = self.text.without(fields, elision=plain.elision)
        if text is None or len(text) < _MIN_RULE_CHARS or not is_balanced(text):
            return None
        if blank and self.clause.lead is not None and text.endswith(plain.blank):
            return None
        if (
            blank
            and "action" in fields
            and self._has_open_edge(text.rstrip(".。।").endswith(plain.blank))
        ):
            return None
        if not blank and not all(self.text.at_edge(name) for name in fields):
            return None
        if self._lesson.situations.ends_open(text):
            return None
        if blank and len(text) < _MIN_GAPPED_CHARS.get(self.clause.language, 40):
            return None
        for name in fields:
            found = self.text.fields.get(name)
            if found and found.lower() in text.lower():
                return None
        return self._lesson.situations.quoted(sentence(text, self.clause.language))

    def _has_open_edge(self, at_end: bool) -> bool:
        """Returns whether a gap for the act would cut a co-ordination in two."""
        situations, act = self._lesson.situations, self.text.fields["action"]
        # A second rule would be hidden as well, and nothing would tell that it belongs there.
        return situations.ends_open(act) or (at_end and situations.doubts.goes_on(act))


class Lesson:
    """All taught clauses of one document.

    Attributes:
        words: The words of its language.
        situations: How cases are worded in it.
        subjects: Its clauses that can be asked about, in the order of the document.
        document: Its id.
        parallel: What the clauses are called in other languages: (language, text) by clause id.
        cases: What the kinds that need cases keep with the lesson.
    """

    def __init__(
        self,
        document: str,
        clauses: Iterable[Clause],
        words_of: WordsOf,
        words: Words,
        parallel: Mapping[str, Sequence[tuple[str, str]]] | None = None,
        numbers: Mapping[int, int] | None = None,
        notes: Mapping[str, AuthoredClause] | None = None,
    ) -> None:
        """Takes in the clauses.

        Args:
            document: Id of the document.
            clauses: Its taught clauses.
            words_of: Returns the words on a stretch of the document.
            words: Words of its language.
            parallel: What the clauses are called in other languages, by clause id.
            numbers: Numbers of the items of ordered lists, by where the item begins.
            notes: What authors say of clauses, by clause id.
        """
        self.document = document
        self.words = words
        self.situations = situations_of(words)
        self.parallel = parallel or {}
        self._sources: dict[tuple[str, ...], str] = {}
        self.subjects: list[Subject] = []
        seen: set[str] = set()
        for clause in clauses:
            if clause.id in seen:
                continue
            seen.add(clause.id)
            number = (numbers or {}).get(clause.span.start)
            subject = Subject(ClauseText(clause, words_of), self, number)
            note = (notes or {}).get(clause.id)
            if note is not None:
                subject.take(note)
            whole = subject.text.whole
            if self.situations.is_factual(subject.text):
                continue
            if self.situations.doubts.refuses(subject.text):
                continue
            if subject.text.body and len(whole) <= _MAX_CLAUSE_CHARS and is_balanced(whole):
                self.subjects.append(subject)
        self._rings: dict[str, list[Subject]] = {}
        self.cases: Any = None

    def source(self, section: tuple[str, ...]) -> str:
        """Returns where a clause stands, in brackets; empty where there are no titles."""
        found = self._sources.get(section)
        if found is None:
            path = section
            if len(" › ".join(path)) > _MAX_PLACE_CHARS:
                path = (path[0], path[-1])
            places = self.situations.quoted(" › ".join(path)) if path else ""
            template = self.words.templates["source"][0]
            # The brackets follow a word without a space of their own.
            found = template.template.render(places=places) if path else ""
            self._sources[section] = found
        return found

    def ring(self, field: str) -> list[Subject]:
        """Returns the subjects that have a field, in an order of hashes.

        A choice takes its distractors from those that follow the subject in the ring, so that each
        text is as often right as any other, and as often wrong.
        """
        ring = self._rings.get(field)
        if ring is None:
            ring = [s for s in self.subjects if field in s.text.fields]
            salt = hash64(field)
            ring.sort(key=lambda subject: mixed(subject.seed ^ salt))
            self._rings[field] = ring
        return ring

    def exercise(
        self,
        item: WordedItem,
        subject: Subject,
        slots: Mapping[str, object],
        *,
        sort: str | None = None,
        seed: int | None = None,
        gold: str | None = None,
        rationale: str = "",
        choices: Sequence[str] = (),
        verdict: str | None = None,
        others: Sequence[Subject] = (),
        fields: Sequence[str] = (),
        situation: str | None = None,
    ) -> Exercise:
        """Returns an exercise about a subject, with its id, its support and its lineage.

        Args:
            item: Its wordings.
            subject: What it is about.
            slots: What the wordings are filled with.
            sort: What tells it from other exercises of the family about the clause; by default the
                name of the item.
            seed: By which wordings are chosen; by default that of the subject.
            gold: The answer where it is one of `choices`; the worded answer is then its reason.
            rationale: Why the worded answer is right.
            choices: What may be chosen from.
            verdict: The verdict on the case.
            others: Further clauses that prove the answer.
            fields: Fields that prove the answer; the whole clause where there are none.
            situation: The case alone.
        """
        seed = subject.seed if seed is None else seed
        family = item.family.family
        sort = item.name if sort is None else sort
        wording = pick(item.questions, seed, item.name)
        question = wording.render(slots)
        answer = pick(item.answers, seed, "answer").render(slots)
        if gold is not None:
            answer, rationale = gold, answer
        clause = subject.clause
        spans = [found for name in fields if (found := getattr(clause, name)) is not None]
        support = spans or [clause.span]
        support += [other.clause.span for other in others]
        ids = (clause.id, *(other.clause.id for other in others))
        return Exercise(
            id=exercise_id(self.document, family, sort, ids),
            family=family,
            template=wording.name,
            language=self.words.plain.language,
            document=self.document,
            clause_ids=ids,
            question=question,
            choices=tuple(choices),
            answer=answer,
            verdict=verdict,
            rationale=rationale,
            support=tuple(support),
            dimensions=clause.dimensions,
            hazards=clause.hazards,
            situation=situation,
            wording=wording,
            slots=slots,
        )


def exercise_id(document: str, family: str, sort: str, clauses: Sequence[str]) -> str:
    """Returns the id of an exercise."""
    return digest(document, family, sort, list(clauses))[:24]


def fits(item: Item, subject: Subject) -> bool:
    """Returns whether a clause has what an item asks for."""
    fields = subject.text.fields
    return (
        (not item.modalities or subject.clause.modality in item.modalities)
        and all(name in fields for name in item.needs)
        and not any(name in fields for name in item.lacks)
        and not (item.without_only and subject.says_only)
        and (not item.settled or subject.is_settled)
        and (not item.stated or bool(subject.modal))
    )


def pick(templates: Sequence[Template], seed: int, salt: str) -> Template:
    """Returns one of several wordings by seed."""
    return chosen(templates, mixed(seed ^ hash64(salt)))
