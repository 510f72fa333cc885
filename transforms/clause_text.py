"""The words of a clause, whole or without some of its fields."""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable

from raicurate.transforms.clause import Clause, Span

WordsOf = Callable[[Span], str]
"""Returns the words on a stretch of the document, without markup and with single spaces."""

FIELDS = ("actor", "action", "object", "condition", "exception", "quantity", "rationale")

_BEFORE_SIGN = re.compile(r"\s+([,.;:!?)\]”。、，।])")
_DOUBLED = re.compile(r"([,;:、，])\s*(?=[,;:.!?。、，])")
_EDGES = " ,;:–—-、，；：•*"
_SPACES = re.compile(r"\s{2,}")
_LIST_TAIL = re.compile(
    r"[;,]?\s*\b(?:and|or|und|oder|sowie|et|ou|y|o|e|ed)\s*[.;]?\s*$|[;,]\s*$", re.IGNORECASE
)
_OPENING = re.compile(r"^[\W_]*(\w)")
_NO_STOP = ("ja", "zh")


class ClauseText:
    """A clause with its words at hand.

    Attributes:
        clause: The clause.
        lead: Words of the sentence that introduces its list, without the colon.
        body: Its own words, without what ends an item of a list.
        fields: Words of its fields by name; a field that it lacks is missing.
    """

    __slots__ = ("_words", "body", "clause", "fields", "lead")

    def __init__(self, clause: Clause, words: WordsOf) -> None:
        self.clause = clause
        self._words = words
        self.lead = words(clause.lead).rstrip(" :：") if clause.lead is not None else ""
        body = words(clause.span)
        self.body = _LIST_TAIL.sub("", body).strip() if self.lead else body
        self.fields = {
            name: text.strip(_EDGES)
            for name in FIELDS
            if (span := getattr(clause, name)) is not None and (text := words(span))
        }

    def is_cut(self, field: str) -> bool:
        """Returns whether a field ends or begins in the middle of a word."""
        if self.clause.language in _NO_STOP:
            return False
        words, whole = self.fields[field], self.whole
        at = whole.find(words)
        if at < 0:
            return False
        around = whole[at - 1 : at] + words[:1], words[-1:] + whole[at + len(words) :][:1]
        return any(len(pair) == 2 and all(map(_is_of_word, pair)) for pair in around)

    def words_on(self, span: Span) -> str:
        """Returns the words on a stretch of the document."""
        return self._words(span)

    @property
    def whole(self) -> str:
        """The whole clause: the lead of its list and its own words."""
        return f"{self.lead}: {self.body}" if self.lead else self.body

    def without(
        self, fields: Iterable[str], blank: str | None = None, elision: str = ""
    ) -> str | None:
        """Returns the clause without some fields, as a sentence.

        Args:
            fields: What to leave out.
            blank: What to put in their place; None to close the gap.
            elision: What to put in the place of one that opens the sentence, where its order of
                words would not be right without it.

        Returns:
            The text, or None if nothing but a fragment would be left.
        """
        hidden = [span for name in fields if (span := getattr(self.clause, name)) is not None]
        opening = elision and any(span.start == self.clause.span.start for span in hidden)
        body = self._pieces(self.clause.span, hidden, elision if opening else blank)
        lead = ""
        if self.clause.lead is not None:
            lead = self._pieces(self.clause.lead, hidden, blank).rstrip(" :：")
            body = _LIST_TAIL.sub("", body).strip()
            if not lead:
                return None
        if not body:
            return None
        return f"{lead}: {body}" if lead else sentence(body, self.clause.language)

    def replaced(self, span: Span, text: str, without: Iterable[str] = ()) -> str | None:
        """Returns lead and clause as one sentence, with the words on `span` replaced.

        Fields named in `without` are left out. None if `span` is in neither.
        """
        hidden = [found for name in without if (found := getattr(self.clause, name)) is not None]
        hidden = [found for found in hidden if not overlap(found, span)]
        parts = []
        for stretch in (self.clause.lead, self.clause.span):
            if stretch is None:
                continue
            cut = [(found, "") for found in hidden] + [(span, text)]
            parts.append(self._replaced(stretch, cut))
        if not any(_inside(span, s) for s in (self.clause.lead, self.clause.span) if s):
            return None
        if len(parts) == 2:
            parts[1] = _LIST_TAIL.sub("", parts[1]).strip()
            parts[0] = parts[0].rstrip(" :：")
        return " ".join(part for part in parts if part)

    def at_edge(self, field: str) -> bool:
        """Returns whether a field stands at the beginning or the end of the clause.

        Taken out of the middle, it may leave a sentence that is none.
        """
        span: Span | None = getattr(self.clause, field)
        if span is None:
            return True
        before, after = self.around(span)
        return not before.strip(_EDGES) or not after.strip(_EDGES + ".;!?。।؟")

    def around(self, span: Span) -> tuple[str, str]:
        """Returns what stands before and after a stretch, in the lead or in the clause itself."""
        for stretch in (self.clause.lead, self.clause.span):
            if stretch is not None and _inside(span, stretch):
                before = after = ""
                if span.start > stretch.start:
                    before = self._words(Span(stretch.start, span.start))
                if span.end < stretch.end:
                    after = self._words(Span(span.end, stretch.end))
                return before, after
        return "", ""

    def _pieces(self, stretch: Span, hidden: list[Span], blank: str | None) -> str:
        return self._replaced(stretch, [(span, blank or "") for span in hidden])

    def _replaced(self, stretch: Span, cut: list[tuple[Span, str]]) -> str:
        inside = sorted(
            ((span, text) for span, text in cut if _inside(span, stretch)),
            key=lambda pair: (pair[0].start, -pair[0].end),
        )
        if not inside:
            return self._words(stretch)
        pieces, at = [], stretch.start
        for span, text in inside:
            if span.start < at:
                continue
            if span.start > at:
                pieces.append(self._words(Span(at, span.start)))
            pieces.append(text)
            at = span.end
        if at < stretch.end:
            pieces.append(self._words(Span(at, stretch.end)))
        return tidy(" ".join(piece for piece in pieces if piece), self.clause.language)


def _inside(span: Span, stretch: Span) -> bool:
    return stretch.start <= span.start and span.end <= stretch.end


_PAIRS = {"(": ")", "[": "]", "“": "”", "«": "»", "「": "」", "（": "）"}
_LOW = "„"


def is_balanced(text: str) -> bool:
    """Returns whether every bracket and quotation mark of a text is closed in it."""
    open_signs: list[str] = []
    for sign in text:
        if sign == _LOW:
            open_signs.append("“")
        elif open_signs and sign == open_signs[-1]:
            open_signs.pop()
        elif sign in _PAIRS:
            open_signs.append(_PAIRS[sign])
        elif sign in _CLOSING:
            return False
    return not open_signs and text.count('"') % 2 == 0


_CLOSING = frozenset(_PAIRS.values()) - {"“"}


def _is_of_word(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "LMN"


@functools.cache
def any_of(phrases: tuple[str, ...], whole: bool = True) -> re.Pattern[str] | None:
    """Returns a pattern for any of the phrases as whole words; `*` stands for any ending."""
    if not phrases:
        return None
    # "afin d'éviter": after an apostrophe the word goes on.
    ordered = sorted(
        (phrase + "*" * phrase.endswith("'") for phrase in phrases),
        key=lambda phrase: (-len(phrase), phrase),
    )
    body = "|".join(re.escape(phrase).replace(r"\*", r"\w*") for phrase in ordered)
    body = body.replace("'", "['’]")
    # Languages that write without spaces have no boundaries of words.
    spaced = all(ord(phrase[0]) < 0x3000 for phrase in phrases)
    edge = r"(?<!\w)(?:{})(?!\w)" if spaced else r"(?:{})"
    return re.compile(("" if whole else "^") + edge.format(body), re.IGNORECASE)


def overlap(first: Span, second: Span) -> bool:
    """Returns whether two stretches share a character."""
    return first.start < second.end and second.start < first.end


def tidy(text: str, language: str) -> str:
    """Returns a text without the doubled signs and spaces that a cut leaves."""
    text = _DOUBLED.sub("", _BEFORE_SIGN.sub(r"\1", text))
    if language in _NO_STOP:
        text = re.sub(r"(?<=[^\x00-\x7f])\s+(?=[^\x00-\x7f])", "", text)
    return _SPACES.sub(" ", text).strip(" ,;、，；")


def sentence(text: str, language: str) -> str:
    """Returns a text with a capital at its beginning and a stop at its end."""
    text = text.strip(_EDGES)
    if not text:
        return text
    if text[-1] not in '.!?。！？।؟…”"»」':
        text += {"ja": "。", "zh": "。", "hi": "।"}.get(language, ".")
    return text[0].upper() + text[1:]
