"""The words of a stretch of a document: without inline markup, each with its place."""

import re
from bisect import bisect_right
from dataclasses import dataclass

from raicurate.transforms.clause import Span
from raicurate.transforms.phrases import folded

_MARKUP = re.compile(
    r"""
      \[!\[[^\]\n]*\]\([^)\n]*\)\]\([^)\n]*\)              # image that is a link
    | !\[[^\]\n]*\](?:\([^)\n]*\)|\[[^\]\n]*\])?           # image
    | \[\^[^\]\n]{1,40}\]                                  # footnote
    | \[(?P<link>[^\[\]]*)\](?:\((?:[^()\n]|\([^()\n]*\))*\)|\[[^\]\n]*\])
    | <!--.*?-->
    | </?[A-Za-z][^<>]{0,500}>(?<!//[^<>]>)                # tag
    | <(?P<auto>[^<>\s]+[:@][^<>\s]+)>
    | \{[:\#][^}\n]*\} | \{\{[^}\n]*\}\} | \{%[^%\n]*%\}   # attributes, includes
    | `+(?P<code>[^`\n]+)`+
    | (?<!\w)[*_]{1,3}(?=\S) | (?<=\S)[*_]{1,3}(?!\w) | \*{1,3}
    | \\(?P<escaped>[^\w\s])
    | &(?:nbsp|\#160);
    | [ \t]*\n\s*(?:>[ \t]*)* | [ ]\s+ | [^\S ]\s*
    """,
    re.VERBOSE | re.DOTALL,
)
_SIGNS = re.compile(r"[\[\]*_`<>{}\\&!\n\t\u00a0\u202f\u3000]|  ")
_SPACES = re.compile(r" \s+|[^\S ]\s*")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a stretch.

    Attributes:
        text: The words, with single spaces.
        lower: The same in lower case, of the same length.
        at: Offsets in `text` at which a piece begins.
        place: Where in the document each of these pieces begins.
    """

    text: str
    lower: str
    at: list[int]
    place: list[int]

    def start(self, offset: int) -> int:
        """Returns where in the document the character at `offset` stands."""
        index = bisect_right(self.at, offset) - 1
        return self.place[index] + offset - self.at[index]

    def span(self, start: int, end: int) -> Span:
        """Returns the stretch of the document on which the words from `start` to `end` stand."""
        return Span(self.start(start), self.start(end - 1) + 1)

    def inside(self, span: Span) -> tuple[int, int]:
        """Returns the offsets of the words that stand on a stretch of the document."""
        return self._offset(span.start), self._offset(span.end)

    def _offset(self, place: int) -> int:
        index = bisect_right(self.place, place) - 1
        if index < 0:
            return 0
        following = self.at[index + 1] if index + 1 < len(self.at) else len(self.text)
        return min(self.at[index] + place - self.place[index], following)


def words_of(text: str, span: Span, markdown: bool) -> Words:
    """Returns the words on a stretch of `text`.

    Args:
        text: The document.
        span: The stretch.
        markdown: Whether its inline markup is Markdown (with HTML); else only spaces are folded.
    """
    source = text[span.start : span.end]
    if not _SIGNS.search(source):
        return Words(source, lower(source), [0], [span.start])
    pieces: list[str] = []
    at: list[int] = []
    place: list[int] = []
    length = 0

    def add(piece: str, offset: int) -> None:
        nonlocal length
        if piece and piece[0] == " " and (not length or pieces[-1][-1] == " "):
            shorter = piece.lstrip(" ")
            piece, offset = shorter, offset + len(piece) - len(shorter)
        if piece:
            at.append(length)
            place.append(span.start + offset)
            pieces.append(piece)
            length += len(piece)

    def take(begin: int, end: int) -> None:
        last = begin
        for match in (_MARKUP if markdown else _SPACES).finditer(source, begin, end):
            add(source[last : match.start()], last)
            last = match.end()
            kept = match.lastgroup
            if kept == "link":
                take(*match.span("link"))
            elif kept is not None:
                add(match[kept], match.start(kept))
            elif match[0][0].isspace() or match[0][0] == "&":
                add(" ", match.start())
        add(source[last:end], last)

    take(0, len(source))
    words = "".join(pieces)
    stripped = words.rstrip()
    if not at:
        return Words("", "", [0], [span.start])
    return Words(stripped, lower(stripped), at, place)


def lower(text: str) -> str:
    """Returns `text` as phrases are compared, character by character, so that offsets stay."""
    same = folded(text)
    if len(same) == len(text):
        return same
    return "".join(c if len(c.lower()) != 1 else folded(c) for c in text)
