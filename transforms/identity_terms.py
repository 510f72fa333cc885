"""Names of groups of people, which the passage-level model must not tell apart.

Before it reads a passage, every neutral word for a group becomes the same placeholder: one for a
single person or an adjective, one for several persons. So a sentence gets the same score whichever
group it names, for every word that is listed. Words for any person beside a placeholder join it,
so that "a gay man" reads as "a lesbian" does. Slurs are no neutral words and stay.
"""

import re
from collections.abc import Sequence

import ahocorasick_rs

PLACEHOLDERS = {"one": "xgroup", "many": "xgroups"}

Terms = dict[str, dict[str, list[str]]]
"""By language, then `one` or `many`: the words in lower case; `person` and `people`: words for any
person or people, which say nothing more beside a placeholder."""


class IdentityTerms:
    """Replaces the terms of one language; English ones are used everywhere."""

    def __init__(self, terms: Terms, lang: str) -> None:
        self._placeholder: dict[str, str] = {}
        for source in ("en", lang):
            for number, placeholder in PLACEHOLDERS.items():
                words = terms.get(source, {}).get(number, [])
                self._placeholder.update(dict.fromkeys(words, placeholder))
        self._words = sorted(self._placeholder)
        self._automaton = ahocorasick_rs.AhoCorasick(
            self._words, matchkind=ahocorasick_rs.MatchKind.LeftmostLongest
        )
        own = terms.get(lang, {})
        self._people = frozenset(own.get("people", ()))
        persons = "|".join(map(re.escape, (*own.get("person", ()), *own.get("people", ()))))
        beside = rf"(?:{persons})" if persons else r"(?!)"
        self._run = re.compile(
            rf"\b(?:{beside} )?xgroups?(?: xgroups?)*(?: {beside})?(?: xgroups?)*\b"
        )

    def replaced(self, lines: Sequence[str]) -> list[str]:
        """Returns lines in lower case with their terms replaced."""
        return [self._replace(line) for line in lines]

    def _replace(self, line: str) -> str:
        pieces = []
        position = 0
        for number, start, end in self._automaton.find_matches_as_indexes(line):
            placeholder = self._placeholder[self._words[number]]
            if _is_dense(line[start]):
                placeholder = f" {placeholder} "
            elif (start and line[start - 1].isalnum()) or line[end : end + 1].isalnum():
                continue
            pieces += [line[position:start], placeholder]
            position = end
        if not pieces:
            return line
        return self._run.sub(self._joined, "".join([*pieces, line[position:]]))

    def _joined(self, run: re.Match[str]) -> str:
        words = run[0].split(" ")
        several = PLACEHOLDERS["many"] in words or not self._people.isdisjoint(words)
        return PLACEHOLDERS["many" if several else "one"]


def _is_dense(character: str) -> bool:
    """Whether words of this script are not set apart by spaces, or carry particles (Hangul)."""
    return "\u2e80" <= character <= "\ud7ff"
