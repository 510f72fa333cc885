"""What makes a clause, or one of its fields, too doubtful to ask about.

Clauses are found with words and not by a parser, so some are cut, describe instead of ruling, or
take a place or a contrast for a condition. A question about those has no provable answer. The tests
here refuse rather than guess: a clause that is left out costs an exercise, a wrong one teaches
something false. They were found by reading samples of exercises that were made without them.
"""

import re

from raicurate.exercise_templates.exercises import LanguageWords
from raicurate.transforms.clause import DEONTIC, Span
from raicurate.transforms.clause_text import ClauseText, any_of, is_balanced

_DENSE = ("ja", "zh")
_MAX_NAME_WORDS = 7
_MIN_MEANING_WORDS = 3
_MIN_MEANING_CHARS = 8
_MIN_TOLD_WORDS = 4
_MAX_CAPITALS = 4
_TITLE = 0.7
_CASED = ("de", "en", "es", "fr", "it", "pt")

# What is left where a link, an image, a placeholder or a field of a form stood.
_REMNANT = re.compile(
    r"\]\(|\]\[|\[\[|\]\]|\{\{|\}\}|\(\s*[,;.?]*\s*\)|\s\?\)|\[[A-Z][A-Z _]{3,}\]"
    r"|[^\s.…]\s[.,](?!\w)|</?[a-z]+|&[a-z]+;|\(#|\?\?|\\|__|\|",
)
_CAPITALS = re.compile(r"(?<![\w’'-])[A-Z]{4,}(?![\w’'-])")
_NUMBER = re.compile(r"^\s*\(?(?:[a-z]|[ivx]{1,4}|\d{1,2})[.)]\s+")
_FIRST = re.compile(r"^[\s\"'‘’“„«»(\[]*(.)")
_OPEN_END = (":", "：", "—", "–", "…", ",", "、", "،")
_QUOTES = re.compile(r"[\"“”„«»「」]")
_AFTER = ',.;:!?)]”»“"、，。；।؟–—'
_INNER_STOP = re.compile(r"[,;:،；，、]")
_ASIDE = re.compile(r"\([^()]*\)")
_DIGIT = re.compile(r"\d")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")


class ClauseDoubts:
    """The tests of one language."""

    def __init__(self, words: LanguageWords) -> None:
        sound = words.sound
        self._language = words.language
        self._begins = {
            "condition": any_of(sound.condition_begins, whole=False),
            "exception": any_of(sound.exception_begins, whole=False),
            "rationale": any_of(sound.reason_begins, whole=False),
        }
        self._ends = {
            "condition": _at_end(sound.condition_ends),
            "exception": _at_end(sound.exception_ends),
            "rationale": _at_end(sound.reason_ends),
        }
        self._after_comma = any_of(sound.after_comma, whole=False)
        self._hedges = any_of(sound.hedges)
        self._debatable = any_of(sound.debatable)
        self._describing = any_of(sound.describing)
        self._imposers = any_of(sound.imposers, whole=False)
        self._complements = any_of(sound.complements)
        self._not_names = any_of(sound.not_names)
        self._fragments = any_of(sound.fragments, whole=False)
        self._quantifiers = any_of(sound.quantifiers, whole=False)
        self._articles = any_of(sound.articles, whole=False)
        self._impersonal = any_of(sound.impersonal, whole=False)
        self._detaching = any_of(sound.detaching)
        self._stating = any_of(sound.stating)
        self._asking = any_of(sound.asking)
        self._correlates = any_of(sound.correlates)
        self._undefining = any_of(sound.undefining)
        self._relatives = any_of(sound.relatives)
        self._cut_short = any_of(sound.cut_short)
        self._comparing = any_of(sound.comparing)
        self._second_rules = any_of(sound.second_rules)
        self._enabling = any_of(sound.enabling)
        self._labels = any_of(sound.labels, whole=False)
        self._openers = frozenset(words.openers)

    def refuses(self, text: ClauseText) -> bool:
        """Returns whether nothing should be asked about a clause."""
        clause, whole = text.clause, text.whole
        if _REMNANT.search(whole) or len(_CAPITALS.findall(whole)) > _MAX_CAPITALS:
            return True
        if self._is_fragment(text):
            return True
        if self._labels is not None and self._labels.match(whole):
            return True
        if clause.modality == "definition":
            return not self._defines(text)
        if clause.modal is None:
            # "The responsibilities depend on the service:" leads to descriptions.
            return clause.modality == "obligation"
        return (
            self._is_quoted(text)
            or self._only_describes(text)
            or self._is_detached(text)
            or self._is_title(text)
            or self._allows_nobody(text)
            or self._only_compares(text)
        )

    def _is_fragment(self, text: ClauseText) -> bool:
        """Returns whether the words of a clause begin or end in the middle of a sentence."""
        body = _NUMBER.sub("", text.body.strip())
        if body.endswith(_OPEN_END):
            return True
        first = _FIRST.match(body)
        if first is None or text.lead:
            return False
        return (self._language in _CASED and first[1].islower()) or not first[1].isalnum()

    def _is_quoted(self, text: ClauseText) -> bool:
        """Returns whether the modal stands within a quotation: an example, no rule."""
        clause = text.clause
        assert clause.modal is not None
        before = text.around(clause.modal)[0]
        return len(_QUOTES.findall(before)) % 2 == 1

    def _only_describes(self, text: ClauseText) -> bool:
        """Returns whether the clause says what something allows or needs: "the tool allows ..."."""
        clause = text.clause
        assert clause.modal is not None
        if clause.modality not in DEONTIC or self._describing is None:
            return False
        if not self._describing.search(text.words_on(clause.modal)):
            return False
        # "In order to foster safety, we encourage": the subject follows the last comma.
        until = f"{text.around(clause.modal)[0]} {text.words_on(clause.modal)}"
        subject = _INNER_STOP.split(until)[-1].strip()
        return self._imposers is None or self._imposers.match(subject) is None

    def _is_detached(self, text: ClauseText) -> bool:
        """Returns whether the modal does not stand for itself: "this does not mean you must"."""
        clause = text.clause
        assert clause.modal is not None
        if clause.action is not None and clause.action.start == clause.modal.start:
            # An imperative; as the subject of a statement it would be followed by its verb.
            words = text.fields.get("action", "")
            if self._language not in _DENSE and len(words.split()) < _MIN_TOLD_WORDS:
                # "Open source software."
                return True
            return self._stating is not None and self._stating.search(words) is not None
        if self._detaching is None:
            return False
        before, own = text.around(clause.modal)[0], clause.condition
        if own is not None and own.end <= clause.modal.start:
            before = before.replace(text.words_on(own), " ")
        return self._detaching.search(before) is not None

    def _is_title(self, text: ClauseText) -> bool:
        """Returns whether a clause is a title, which in some languages stands in capitals."""
        words = [word for word in text.body.split() if word[0].isalpha()]
        capitals = sum(word[0].isupper() for word in words)
        return self._language == "en" and len(words) > 3 and capitals > _TITLE * len(words)

    def _only_compares(self, text: ClauseText) -> bool:
        """Returns whether the row of a comparison was taken for an instruction or permission."""
        clause = text.clause
        if self._comparing is None or not clause.section or clause.modal is None:
            return False
        told = clause.action is not None and clause.action.start == clause.modal.start
        if not told and clause.modality != "permission":
            return False
        return self._comparing.search(clause.section[-1]) is not None

    def _allows_nobody(self, text: ClauseText) -> bool:
        actor = text.fields.get("actor", "")
        return (
            text.clause.modality == "permission"
            and self._impersonal is not None
            and self._impersonal.match(actor) is not None
        )

    def _defines(self, text: ClauseText) -> bool:
        """Returns whether a definition has a term that is a name, and a meaning that is whole."""
        term, meaning = text.fields.get("object"), text.fields.get("action")
        if term is None or meaning is None:
            return True
        place = text.clause.object
        quoted = place is not None and _QUOTES.search(text.around(place)[0][-1:]) is not None
        if not quoted and not self.is_name(term):
            return False
        if not is_balanced(meaning) or meaning.endswith(_OPEN_END):
            return False
        if self._fragments is not None and self._fragments.match(meaning):
            return False
        if self._undefining is not None and self._undefining.search(meaning):
            return False
        if self._language in _DENSE:
            return len(meaning) >= _MIN_MEANING_CHARS
        return quoted or len(meaning.split()) >= _MIN_MEANING_WORDS

    def is_name(self, words: str) -> bool:
        """Returns whether words can be a term: no part of a sentence, no pronoun."""
        starts = self._quantifiers is not None and self._quantifiers.match(words)
        return not starts and self.is_actor(words)

    def is_actor(self, words: str) -> bool:
        """Returns whether words can name who or what is spoken of: no part of a sentence."""
        if self._not_names is not None and self._not_names.search(words):
            return False
        if self._fragments is not None and self._fragments.match(words):
            return False
        if self.ends_open(words):
            return False
        return is_balanced(words) and len(words.split()) <= _MAX_NAME_WORDS

    def ends_open(self, words: str) -> bool:
        """Returns whether words end with one after which more has to come."""
        return words.rpartition(" ")[2].lower() in self._openers

    def with_article(self, text: ClauseText) -> str | None:
        """Returns the meaning of a term with the article that stands before it, or None.

        "A weakness or a flaw" is not to become "weakness or a flaw".
        """
        span = text.clause.action
        if self._articles is None or span is None or "action" not in text.fields:
            return None
        before = text.around(span)[0].rstrip()
        last = before.rpartition(" ")[2]
        found = self._articles.match(last)
        if found is None or found.end() != len(last):
            return None
        joined = "" if last.endswith(("'", "’")) else " "
        return f"{last}{joined}{text.fields['action']}"

    def doubts(self, field: str, text: ClauseText) -> bool:
        """Returns whether a field may not be what it is taken for, or may be cut."""
        words = text.fields[field]
        if field in {"actor", "object"}:
            if text.clause.modality == "definition":
                return False
            return not self.is_actor(words) or self._stands_apart(field, text)
        if field == "quantity":
            return self._is_no_measure(words)
        if field == "action":
            own = text.fields.get("condition")
            return not is_balanced(words) or (own is not None and own in words)
        if not self._opens(field, words) or not is_balanced(words) or self.ends_open(words):
            return True
        if field == "rationale":
            if self._is_within_relative(text):
                return True
        elif self._cut_short is not None and self._cut_short.search(words):
            return True
        if field != "rationale" and _INNER_STOP.search(_ASIDE.sub("", words)):
            return True
        return self._language not in _DENSE and self._stands_badly(field, text)

    def _stands_apart(self, field: str, text: ClauseText) -> bool:
        """Returns whether a comma parts a name from the modal behind which it stands."""
        span, modal = getattr(text.clause, field), text.clause.modal
        if modal is None or span.start < modal.end or not text.around(span)[0]:
            return False
        if not text.clause.span.start <= modal.end < text.clause.span.end:
            return False
        return _INNER_STOP.search(text.words_on(Span(modal.end, span.start))) is not None

    def _opens(self, field: str, words: str) -> bool:
        """Returns whether a field begins, or ends, with a word that leaves no doubt on its kind."""
        begins, ends = self._begins[field], self._ends[field]
        if begins is None and ends is None:
            return True
        return (begins is not None and begins.match(words) is not None) or (
            ends is not None and ends.search(words) is not None
        )

    def _stands_badly(self, field: str, text: ClauseText) -> bool:
        """Returns whether what stands around a field shows that it is cut, or part of a phrase."""
        span: Span = getattr(text.clause, field)
        before, after = text.around(span)
        following = after.strip()
        others = (
            getattr(text.clause, name)
            for name in ("condition", "exception", "rationale", "modal", "actor")
        )
        next_to = any(other is not None and 0 <= other.start - span.end <= 1 for other in others)
        if following and following[0] not in _AFTER and not next_to:
            return True
        last = before.rstrip()
        if last.rpartition(" ")[2].lower().strip('"“„«(') in self._openers:
            return True
        if last and self._after_comma is not None and self._after_comma.match(text.fields[field]):
            return last[-1] not in ",;:()–—"
        if field == "condition":
            asking = self._asking is not None and self._asking.search(" ".join(last.split()[-4:]))
            return bool(asking) or (
                self._correlates is not None and self._correlates.search(last) is not None
            )
        if field != "rationale" or not last:
            return False
        # "Unless they agree to ...": the reason belongs to the exception.
        if last[-1] not in ",;:()–—" and any(
            other is not None and 0 <= span.start - other.end <= 1
            for other in (text.clause.condition, text.clause.exception)
        ):
            return True
        if self._complements is None:
            return False
        return self._complements.search(" ".join(last.split()[-3:])) is not None

    def _is_within_relative(self, text: ClauseText) -> bool:
        """Returns whether a relative clause before a reason may be what it belongs to.

        "Describe the measures that were taken to protect data": the purpose is that of the
        measures, none of describing them.
        """
        span, modal = text.clause.rationale, text.clause.modal
        if self._relatives is None or span is None or modal is None or span.start <= modal.end:
            return False
        if not text.clause.span.start <= modal.end <= text.clause.span.end:
            return False
        return self._relatives.search(text.words_on(Span(modal.end, span.start))) is not None

    def _is_no_measure(self, words: str) -> bool:
        if _DIGIT.search(words):
            return _YEAR.search(words) is not None
        return self._articles is not None and self._articles.match(words) is not None

    def is_debatable(self, text: ClauseText) -> bool:
        """Returns whether readers may differ on the force of the clause's modal."""
        if self._debatable is None or text.clause.modal is None:
            return False
        return self._debatable.search(text.words_on(text.clause.modal)) is not None

    def only_enables(self, text: ClauseText) -> bool:
        """Returns whether a permission may only tell what is possible: "you can track changes"."""
        if self._enabling is None or text.clause.modal is None:
            return False
        return self._enabling.search(text.words_on(text.clause.modal)) is not None

    def goes_on(self, words: str) -> bool:
        """Returns whether an act goes over into a second rule: "... and they must ..."."""
        return self._second_rules is not None and self._second_rules.search(words) is not None

    def is_hedged(self, text: ClauseText) -> bool:
        """Returns whether a clause may hold a condition or exception that was not found."""
        if self._hedges is None:
            return False
        rest = text.whole
        for name in ("condition", "exception"):
            if name in text.fields:
                rest = rest.replace(text.fields[name], " ")
        return self._hedges.search(rest) is not None


def _at_end(phrases: tuple[str, ...]) -> re.Pattern[str] | None:
    if not phrases:
        return None
    ordered = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    return re.compile("(?:" + "|".join(map(re.escape, ordered)) + r")\W*$")
