"""What a sentence says that defines a term: the term, and what it means."""

import re

from raicurate.transforms.clause_packs import ClausePack
from raicurate.transforms.clause_stretch import COMMAS, Bounds, Fields, Stretch, quantity_in, trim

_QUOTED_TERM = re.compile(
    r"[(\d.)\s]{0,8}[\"“”„«‹「『'‘]([^\"“”„«»‹›「」『』]{2,80})[\"“”»›」』'’]"
)
_TERM_WORDS = 9
_TERM_CHARS = 120
_MIN_NAME_CHARS = 3
_PARENTHESES = re.compile(r"\([^()]*\)")
# How far from the quoted term the verb may stand.
_VERB_CHARS = 80


def definition_fields(pack: ClausePack, stretch: Stretch, title: str) -> Fields | None:
    """Returns the fields of a sentence that says what a term means."""
    lower = stretch.lower
    quoted = _QUOTED_TERM.match(lower, *stretch.bounds)
    if quoted is not None:
        verb = pack.definition_verbs.first(lower, quoted.end(), stretch.end)
        if verb is None or verb.start - quoted.end() > _VERB_CHARS:
            verb = pack.after_quote.first(lower, quoted.end(), stretch.end)
            if verb is not None and verb.start - quoted.end() > 2:
                verb = None
        if verb is not None and verb.start - quoted.end() <= _VERB_CHARS:
            return _defined(pack, stretch, quoted.span(1), (verb.start, verb.end))
    verb = pack.definition_verbs.first(
        lower, stretch.start, min(stretch.end, stretch.start + _TERM_CHARS)
    )
    if verb is not None:
        term = trim(lower, stretch.start, verb.start)
        name = "" if term is None else _PARENTHESES.sub("", lower[slice(*term)]).strip()
        if (
            term is not None
            and name.count(" ") < _TERM_WORDS
            and not any(mark in name for mark in COMMAS)
        ):
            return _defined(pack, stretch, term, (verb.start, verb.end))
    if (found := _described(pack, stretch, title)) is not None:
        return found
    if pack.definition_titles.first(title, 0, len(title)) is not None:
        colon = re.compile(r":|：| [–—-] ").search(lower, *stretch.bounds)
        if (
            colon is not None
            and 0 < lower.count(" ", stretch.start, colon.start()) + 1 < _TERM_WORDS
        ):
            term = trim(lower, stretch.start, colon.start())
            meaning = trim(lower, colon.end(), stretch.end)
            if term is not None and meaning is not None:
                return Fields("definition", object=term, action=meaning)
    return None


def _described(pack: ClausePack, stretch: Stretch, title: str) -> Fields | None:
    """Returns the fields of "A policy is a document that ...", or "Phishing is an attack ..."."""
    lower = stretch.lower
    copula = pack.copulas.first(lower, stretch.start, min(stretch.end, stretch.start + _TERM_CHARS))
    if copula is None or lower.count(" ", stretch.start, copula.start) > _TERM_WORDS:
        return None
    term = trim(lower, stretch.start, copula.start)
    if term is None or any(mark in lower[slice(*term)] for mark in COMMAS):
        return None
    article = pack.articles.at(lower, *stretch.bounds)
    name = _PARENTHESES.sub("", lower[slice(*term)]).strip()
    if article is None and (len(name) < _MIN_NAME_CHARS or name not in title):
        return None
    return _defined(pack, stretch, term, (copula.start, copula.end))


def _defined(pack: ClausePack, stretch: Stretch, term: Bounds, verb: Bounds) -> Fields | None:
    others = pack.not_defining.find(stretch.lower, *stretch.bounds)
    if any(other.start < verb[1] and verb[0] < other.end for other in others):
        return None
    copula = pack.copulas.at(stretch.lower, verb[0], stretch.end)
    if copula is not None and copula.end < verb[1]:
        # "is a measure that ...": the noun belongs to the meaning.
        verb = (verb[0], copula.end)
    meaning = trim(stretch.lower, verb[1], stretch.end)
    if pack.file.verb_final and meaning is None:
        meaning = trim(stretch.lower, term[1], verb[0])
    if meaning is None:
        return None
    return Fields(
        "definition", modal=verb, object=trim(stretch.lower, *term), action=meaning,
        quantity=quantity_in(pack, stretch),
    )  # fmt: skip
