"""Cases for a clause: what is done or left undone, and what else holds, in plain sentences.

Nothing is inflected. Where a language forms its future with an auxiliary and the infinitive, the
modal of the rule gives way to that auxiliary ("must keep" becomes "will keep"), and the whole
sentence is then said to happen or not; elsewhere the words of the rule are quoted. What cannot be
worded in one of these ways gives no case.
"""

import re

from raicurate.exercise_templates.exercises import LanguageWords, Words, chosen, mixed
from raicurate.transforms.clause import Span
from raicurate.transforms.clause_doubts import ClauseDoubts
from raicurate.transforms.clause_text import ClauseText, any_of, is_balanced, sentence

_MIN_ACT_WORDS = 2
_MAX_ACT_CHARS = 400
_MIN_DENSE = 4
_MIN_FIELD_WORDS = 3
_MIN_FACT_WORDS = 4
_MIN_REASON_CHARS = 20
_MAX_SUBJECT_WORDS = 10
_MAX_NAME_WORDS = 8
_STOP = re.compile(r"[:;,.!?、，；：。]|--")
_WORD = re.compile(r"\w+(?:['’]\w+)?")
NUMBER = re.compile(r"(?<![\w.,])\d{1,4}(?![\w.,]*\d)")
_ASIDE = re.compile(r"\(|\[|\bi\.e\.|\be\.g\.")


class Grammar:
    """The patterns of one language, compiled."""

    def __init__(self, words: LanguageWords) -> None:
        plan = words.plan
        self.language = words.language
        self.modals = {_folded(modal): text for modal, text in plan.modals.items()}
        self.modal = any_of(tuple(plan.modals))
        self.remove = any_of(plan.remove)
        self.replace = dict(plan.replace)
        self.replaced = any_of(tuple(plan.replace))
        self.persons = dict(plan.persons)
        self.person = any_of(tuple(plan.persons))
        self.unsaid = any_of(plan.unsaid)
        self.leading = any_of(plan.leading, whole=False)
        self.connectives = any_of(words.facts.connectives, whole=False)
        self.never = any_of(words.facts.never, whole=False)
        self.subjectless = any_of(words.facts.subjectless, whole=False)
        self.contrast = any_of(words.contrast, whole=False)
        self.because = any_of(words.because, whole=False)
        self.state = any_of(plan.states, whole=False)
        self.openers = frozenset(words.openers)
        self.factual = any_of(words.factual, whole=False)
        self.only = any_of(words.only)
        self.broad = any_of(words.broad)
        self.sequence = any_of(words.sequence)
        self.upper = any_of(words.limits.upper)
        self.lower = any_of(words.limits.lower)


def _folded(text: str) -> str:
    return " ".join(text.lower().replace("’", "'").split())


class Situations:
    """Words the cases of one language."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._templates = words.templates
        self.grammar = Grammar(words.plain)
        self.doubts = ClauseDoubts(words.plain)

    def quoted(self, text: str) -> str:
        """Returns a text in the quotation marks of the language."""
        begin, end = self._words.plain.quotes
        return f"{begin}{text}{end}"

    def plan(self, text: ClauseText) -> str | None:
        """Returns the act of a rule as a sentence without its modal, or None."""
        grammar, clause = self.grammar, text.clause
        if clause.modal is None or clause.action is None:
            return None
        modal = text.words_on(clause.modal)
        future = grammar.modals.get(_folded(modal))
        if future is None:
            return None
        # "For the purpose of" belongs to the act; only what follows "because" stands beside it.
        reason = text.fields.get("rationale", "")
        beside = grammar.because is not None and grammar.because.match(reason) is not None
        cut = ("condition", "exception", "rationale") if beside else ("condition", "exception")
        plan = text.replaced(clause.modal, future, cut)
        if plan is None or _ASIDE.search(plan) or len(plan) > _MAX_ACT_CHARS:
            return None
        if not is_balanced(plan) or not self._begins_with_actor(text):
            return None
        if not all(text.at_edge(field) for field in cut):
            return None
        if grammar.modal is not None and grammar.modal.search(plan):
            return None
        if grammar.leading is not None and grammar.leading.search(plan.lstrip()):
            return None
        plan = self._without_negation(text, plan)
        if plan is None:
            return None
        plan = self._told_by_the_addressed(plan)
        if plan is None or len(_WORD.findall(plan)) < _MIN_ACT_WORDS + 2:
            return None
        if grammar.state is not None and grammar.state.match(plan):
            return None
        return sentence(plan, clause.language)

    def _begins_with_actor(self, text: ClauseText) -> bool:
        """Returns whether little more than the actor stands before the modal."""
        clause = text.clause
        assert clause.modal is not None
        home = (
            clause.lead
            if clause.lead is not None and (clause.modal.end <= clause.lead.end)
            else clause.span
        )
        if clause.modal.start <= home.start:
            return False
        before = text.words_on(Span(home.start, clause.modal.start))
        return not _STOP.search(before) and len(_WORD.findall(before)) <= _MAX_SUBJECT_WORDS

    def ends_open(self, text: str) -> bool:
        """Returns whether a text ends with a word after which more has to come."""
        last = text.rstrip(" .;:,!?。।").rpartition(" ")[2].lower()
        return last in self.grammar.openers

    def _without_negation(self, text: ClauseText, plan: str) -> str | None:
        grammar = self.grammar
        clause = text.clause
        if clause.modality == "prohibition" or clause.negated:
            if grammar.remove is not None:
                plan, removed = grammar.remove.subn("", plan)
                modal = text.words_on(clause.modal) if clause.modal else ""
                inside = grammar.remove.search(modal) is not None
                if not inside and removed != 1:
                    return None
                plan = re.sub(r"\s{2,}", " ", plan)
            if grammar.replaced is not None:
                plan = grammar.replaced.sub(self._stated, plan)
        return plan

    def _stated(self, match: re.Match[str]) -> str:
        return self.grammar.replace[match[0].lower()]

    def _told_by_the_addressed(self, plan: str) -> str | None:
        grammar = self.grammar
        if grammar.unsaid is not None and grammar.unsaid.search(plan):
            return None
        if grammar.person is None:
            return plan
        found = [match[0].lower() for match in grammar.person.finditer(plan)]
        if not found:
            return plan
        subject = next(iter(grammar.persons))
        if found.count(subject) != 1 or not plan.lower().startswith(subject):
            return None
        return grammar.person.sub(lambda match: grammar.persons[match[0].lower()], plan)

    def act(self, text: ClauseText) -> str | None:
        """Returns the words of the clause that name its act, or None where they are too few."""
        action = text.fields.get("action")
        if self.grammar.modals:
            # Where acts can be said as sentences, the words alone would be those left over.
            return None
        if action is None or len(action) > _MAX_ACT_CHARS or not is_balanced(action):
            return None
        if "actor" not in text.fields or text.clause.modal is None or ":" in text.whole:
            return None
        if self._is_unclear(action):
            return None
        words = len(_WORD.findall(action))
        if self.grammar.language in {"ja", "zh"}:
            words = len(action) // 3
        return action.rstrip(" .;:。") if words > _MIN_ACT_WORDS else None

    def _is_unclear(self, words: str) -> bool:
        """Returns whether words point back to something that is not said in them."""
        return any(
            pattern is not None and pattern.search(words) is not None
            for pattern in (self.grammar.leading, self.grammar.unsaid)
        )

    def points_back(self, words: str) -> bool:
        """Returns whether a clause begins with a word that points back, such as a pronoun."""
        return self.grammar.leading is not None and self.grammar.leading.match(words) is not None

    def is_compound(self, text: ClauseText) -> bool:
        """Returns whether a clause holds a second modal, so that one verdict would not do."""
        modal = text.clause.modal
        if modal is None or self.grammar.modal is None:
            return False
        rest = text.replaced(modal, "", ("condition", "exception", "rationale"))
        return rest is not None and self.grammar.modal.search(rest) is not None

    def is_hollow(self, field: str, words: str) -> bool:
        """Returns whether a field says nothing by itself: a conjunction or a pronoun alone."""
        grammar = self.grammar
        if field in {"actor", "object"} and (
            _STOP.search(words) or len(_WORD.findall(words)) > _MAX_NAME_WORDS
        ):
            return True
        if field == "object" and grammar.leading is not None and grammar.leading.match(words):
            return True
        if grammar.contrast is not None and grammar.contrast.match(words):
            return True
        if field == "actor":
            found = grammar.leading.match(words) if grammar.leading is not None else None
            return found is not None and found.end() == len(words)
        if field == "rationale" and grammar.broad is not None and grammar.broad.search(words):
            return True
        if field == "rationale" and len(words) < _MIN_REASON_CHARS and self._is_unclear(words):
            # "To avoid it".
            return True
        connective = grammar.connectives.match(words) if grammar.connectives is not None else None
        if connective is not None and not words[connective.end() :].strip(" ,:"):
            return True
        dense = grammar.language in {"ja", "zh"}
        return field in {"condition", "exception", "rationale"} and (
            len(words) < _MIN_DENSE if dense else len(words.split()) < _MIN_FIELD_WORDS
        )

    def case(self, plan: str | None, act: str | None, performed: bool, seed: int) -> str | None:
        """Returns a sentence that says that an act is done or left undone, or None.

        Args:
            plan: The act as a sentence, where the language allows it.
            act: The words for it, where there is no such sentence.
            performed: Whether it is done.
            seed: What the wording is chosen by.
        """
        name = "performed" if performed else "omitted"
        if plan is not None:
            slots = {"plan": self.quoted(plan)}
            return chosen(self._templates[name], seed).render(slots)
        if act is None:
            return None
        return chosen(self._templates[f"{name}_words"], seed).render({"act": self.quoted(act)})

    def fact(self, words: str, met: bool, seed: int, alone: bool = False) -> str | None:
        """Returns a sentence that says that a condition or exception is met or not, or None.

        Args:
            words: The words of the condition or exception.
            met: Whether it is met.
            seed: What the wording is chosen by.
            alone: Whether the sentence stands among others that it does not belong to, so that
                its pronouns would point nowhere.
        """
        grammar = self.grammar
        if grammar.never is not None and grammar.never.search(words):
            return None
        if alone and self._is_unclear(words):
            return None
        name = "met" if met else "unmet"
        frames = self._templates[name]
        connective = grammar.connectives.match(words) if grammar.connectives is not None else None
        if frames and connective is not None:
            fact = words[connective.end() :].strip(" ,.。")
            if _STOP.search(fact) or not is_balanced(fact):
                return None
            if grammar.subjectless is not None and grammar.subjectless.match(fact):
                return None
            if len(_WORD.findall(fact)) >= _MIN_FACT_WORDS:
                whole = sentence(fact, grammar.language)
                slots = {"fact": self.quoted(whole), "said": fact[0] + whole[1:]}
                return chosen(frames, mixed(seed ^ 1)).render(slots)
            return None
        if not is_balanced(words):
            return None
        return chosen(self._templates[f"{name}_words"], mixed(seed ^ 1)).render(
            {"words": self.quoted(words)}
        )

    def only_if(self, text: ClauseText) -> bool:
        """Returns whether the clause says "only"."""
        return self.grammar.only is not None and self.grammar.only.search(text.whole) is not None

    def is_broad(self, text: ClauseText) -> bool:
        """Returns whether a clause is about rules as such, so that nothing is outside of it."""
        return self.grammar.broad is not None and self.grammar.broad.search(text.whole) is not None

    def is_factual(self, text: ClauseText) -> bool:
        """Returns whether a permission says what can come about, rather than what is allowed."""
        clause, action = text.clause, text.fields.get("action", "")
        if clause.lead is not None and clause.modal is not None:
            action = f"{text.around(clause.modal)[1]} {action}"
        return (
            text.clause.modality in {"permission", "prohibition"}
            and self.grammar.factual is not None
            and self.grammar.factual.search(action) is not None
        )

    def is_sequence(self, lead: str) -> bool:
        """Returns whether the lead of a numbered list announces steps."""
        return self.grammar.sequence is not None and self.grammar.sequence.search(lead) is not None

    def other_value(self, quantity: str, keeps: bool) -> tuple[str, str] | None:
        """Returns a quantity with another number, which keeps or breaks the limit, or None.

        Returns:
            The number with what follows it ("36 hours"), and the same for the clause's own.
        """
        grammar = self.grammar
        numbers = list(NUMBER.finditer(quantity))
        if len(numbers) != 1 or int(numbers[0][0]) < 2:
            return None
        upper = grammar.upper is not None and grammar.upper.search(quantity) is not None
        lower = grammar.lower is not None and grammar.lower.search(quantity) is not None
        if upper is lower:
            return None
        number = int(numbers[0][0])
        larger = upper is not keeps
        changed = number * 2 if larger else max(number // 2, 1)
        rest = quantity[numbers[0].end() :].strip()
        if grammar.upper is not None and rest and grammar.upper.search(rest):
            return None
        if changed == 1:
            return None
        return f"{changed} {rest}".strip(), f"{number} {rest}".strip()


_CONTENT = re.compile(r"\w{4,}")
_CONTENT_DENSE = re.compile(r"[\u4e00-\u9fff\u30a0-\u30ff]{2,}")
_STEM = 5


def content_words(text: str, language: str) -> frozenset[str]:
    """Returns the beginnings of the longer words of a text, by which two acts are told apart."""
    if language in {"ja", "zh"}:
        return frozenset(_CONTENT_DENSE.findall(text))
    return frozenset(word[:_STEM] for word in _CONTENT.findall(text.lower()))
