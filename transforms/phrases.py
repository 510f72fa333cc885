"""Finds phrases in running text, in time that hardly grows with their number.

A phrase is written as plain words with four signs: `(is|are)` for one of several, `[not]` for a
word that may be missing, `*` for any letters, and `…` for words in between, within one clause.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")

_ALTERNATIVES = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]([ ]?)")
_GAP_CHARS = 90
_CLAUSE_END = ",;:.!?،؛؟。、；：।"
_SIGNS = re.compile(r"\((?P<any>[^()]*)\)|\[(?P<maybe>[^\[\]]*)\] ?|\s*…\s*|.")
_WORD = re.compile(r"\w")
# Words that may be missing at the end of a phrase.
_TAIL = re.compile(r"(?:[ ]?\[[^\[\]]*\])+$")
MAX_EXPANSIONS = 5000
"""How many plain phrases one phrase may stand for."""


class Found(NamedTuple, Generic[Value]):
    """A phrase in a text.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        value: What it stands for.
        gap: Where the words in between begin and end; None for a phrase without.
    """

    start: int
    end: int
    value: Value
    gap: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class _Phrase(Generic[Value]):
    pattern: re.Pattern[str]
    value: Value


def expand(phrase: str) -> list[str]:
    """Returns the plain phrases that a phrase with alternatives stands for.

    Raises:
        ValueError: Brackets do not pair, or it stands for too many.
    """
    choices: list[list[str]] = []
    last = 0
    for match in _ALTERNATIVES.finditer(phrase):
        choices.append([phrase[last : match.start()]])
        if match[1] is not None:
            choices.append(match[1].split("|"))
        else:
            choices.append(["", *(word + match[3] for word in match[2].split("|"))])
        last = match.end()
    choices.append([phrase[last:]])
    plain = []
    for number, pieces in enumerate(itertools.product(*choices)):
        if number == MAX_EXPANSIONS:
            raise ValueError(f"stands for more than {MAX_EXPANSIONS} phrases")
        plain.append(" ".join("".join(pieces).split()))
    if any(set("()[]|") & set(text) for text in plain):
        raise ValueError("brackets do not pair, or stand within each other")
    if any(not _WORD.search(text) or text.startswith("…") for text in plain):
        raise ValueError("a phrase must begin with a word")
    return plain


class PhraseFinder(Generic[Value]):
    """Finds phrases; of several that begin at one place, the one with most words."""

    def __init__(self, phrases: Iterable[tuple[str, Value]], spaces: bool) -> None:
        """Prepares the search.

        Args:
            phrases: Phrases and what they stand for; of the same phrase the first counts.
            spaces: Whether the language puts spaces between words.

        Raises:
            ValueError: A phrase cannot be read.
        """
        self._spaces = spaces
        self._open: list[_Phrase[Value]] = []
        by_key: dict[str, list[_Phrase[Value]]] = {}
        for phrase, value in phrases:
            plain = folded(phrase)
            ready = _Phrase(re.compile(self._pattern(plain)), value)
            for key in dict.fromkeys(self._key(words) for words in expand(plain)):
                if key:
                    by_key.setdefault(key, []).append(ready)
                elif ready not in self._open:
                    self._open.append(ready)
        self._by_key: dict[str, tuple[re.Pattern[str], tuple[_Phrase[Value], ...]]] = {}
        for key in by_key:
            # Where a key is found, one that it begins with is found too.
            near = [one for other, those in by_key.items() if key.startswith(other)
                    for one in those]  # fmt: skip
            any_of = "|".join(dict.fromkeys(one.pattern.pattern for one in near))
            self._by_key[key] = re.compile(any_of.replace("(?P<gap>", "(?:")), tuple(near)
        bound = r"\b" if spaces else ""
        self._finder = (
            re.compile(bound + _any_key(sorted(by_key, key=lambda key: (-len(key), key))))
            if by_key
            else None
        )

    def __bool__(self) -> bool:
        return self._finder is not None or bool(self._open)

    def find(self, lower: str, start: int, end: int) -> Iterator[Found[Value]]:
        """Yields the phrases in `lower[start:end]`, which do not overlap, in order."""
        if self._finder is None:
            return
        at = start
        while (hit := self._finder.search(lower, at, end)) is not None:
            at = hit.start() + 1
            any_of, phrases = self._by_key[hit[0]]
            if any_of.match(lower, hit.start(), end) and (
                found := self._best(phrases, lower, hit.start(), end)
            ):
                yield found
                at = found.end

    def first(self, lower: str, start: int, end: int) -> Found[Value] | None:
        """Returns the first phrase in `lower[start:end]`, if any."""
        return next(self.find(lower, start, end), None)

    def at(self, lower: str, start: int, end: int) -> Found[Value] | None:
        """Returns the phrase that begins at `start`, if any.

        Phrases that begin with `*` are found here only.
        """
        hit = None if self._finder is None else self._finder.match(lower, start, end)
        near = () if hit is None else self._by_key[hit[0]][1]
        return self._best((*near, *self._open), lower, start, end)

    def _best(
        self, phrases: Iterable[_Phrase[Value]], lower: str, start: int, end: int
    ) -> Found[Value] | None:
        best: Found[Value] | None = None
        most: tuple[int, int, int] | None = None
        for phrase in phrases:
            match = phrase.pattern.match(lower, start, end)
            if match is None:
                continue
            gap = match.span("gap") if match.re.groups and match["gap"] is not None else None
            between = gap[1] - gap[0] if gap else 0
            count = match[0].count(" ") - (lower.count(" ", *gap) + 1 if gap else 0)
            rank = (count, -between, match.end() - start)
            if most is None or rank > most:
                best, most = Found(start, match.end(), phrase.value, gap), rank
        return best

    def _key(self, words: str) -> str:
        first = re.split(r"[*…]", words, maxsplit=1)[0].rstrip()
        return first.partition(" ")[0] if self._spaces else first

    def _pattern(self, phrase: str) -> str:
        """Returns the phrase as a regular expression; its first gap is a group."""
        gap = rf"[^{re.escape(_CLAUSE_END)}]{{1,{_GAP_CHARS}}}?"
        named = rf"(?P<gap>{gap})"
        pattern = ""
        tail = _TAIL.search(phrase)
        ends = len(phrase) if tail is None else tail.start()
        for sign in _SIGNS.finditer(phrase):
            text = sign[0]
            if sign.start() >= ends:
                # "shall [also]" is found in "shall, if asked," too.
                pattern = pattern.rstrip(" ")
            if text.strip() == "…":
                middle = f"(?: {named})? " if self._spaces else f"{named}??"
                pattern += middle
                named = gap
            elif sign[1] is not None:
                pattern += f"(?:{_any_of(sign[1])})"
            elif sign[2] is not None:
                pattern += self._optional(sign[2], pattern.endswith(" "))
            else:
                pattern += {"*": r"\w*", " ": " "}.get(text, re.escape(text))
        pattern = pattern.rstrip(" ")
        return pattern + (r"\b" if self._spaces and phrase[-1] not in "*…" else "")

    def _optional(self, words: str, spaced: bool) -> str:
        """Returns the pattern of words that may be missing, with the space beside them."""
        any_of = _any_of(words)
        if not self._spaces:
            return f"(?:{any_of})?"
        return f"(?:(?:{any_of}) )?" if spaced else f"(?: (?:{any_of}))?"


def _any_of(words: str) -> str:
    """Returns the pattern of words divided by bars, longer ones first."""
    choices = sorted(words.split("|"), key=lambda word: (-len(word), word))
    return "|".join(re.escape(word).replace(r"\ ", " ") for word in choices).replace(r"\*", r"\w*")


def _any_key(keys: Sequence[str]) -> str:
    """Returns the pattern of any of `keys`, the longest first, with common beginnings once."""
    by_first: dict[str, list[str]] = {}
    for key in keys:
        by_first.setdefault(key[:1], []).append(key[1:])
    ends = by_first.pop("", None) is not None
    choices = [re.escape(first) + (_any_key(rest) if rest != [""] else "")
               for first, rest in by_first.items()]  # fmt: skip
    if not choices:
        return ""
    pattern = choices[0] if len(choices) == 1 and not ends else f"(?:{'|'.join(choices)})"
    return f"{pattern}?" if ends else pattern


def folded(text: str) -> str:
    """Returns `text` as phrases and words are compared: in lower case, with plain apostrophes."""
    return text.lower().replace("’", "'")
