"""Names of groups of people, which the passage-level model must not tell apart.

Before it reads a passage, every neutral word for a group becomes the same placeholder: one for a
single person or an adjective, one for several persons. So a sentence gets the same score whichever
group it names, for every word that is listed. Slurs are no neutral words and stay.
"""

from collections.abc import Sequence

import ahocorasick_rs

PLACEHOLDERS = {"one": "xgroup", "many": "xgroups"}

Terms = dict[str, dict[str, list[str]]]
"""By language, then `one` or `many`: the words in lower case."""


class IdentityTerms:
    """Replaces the terms of one language; English ones are used everywhere."""

    def __init__(self, terms: Terms, lang: str) -> None:
        self._placeholder: dict[str, str] = {}
        for source in ("en", lang):
            for number, words in sorted(terms.get(source, {}).items()):
                self._placeholder.update(dict.fromkeys(words, PLACEHOLDERS[number]))
        self._words = sorted(self._placeholder)
        self._automaton = ahocorasick_rs.AhoCorasick(
            self._words, matchkind=ahocorasick_rs.MatchKind.LeftmostLongest
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
        return "".join([*pieces, line[position:]])


def _is_dense(character: str) -> bool:
    """Whether words of this script are not set apart by spaces, or carry particles (Hangul)."""
    return "\u2e80" <= character <= "\ud7ff"
