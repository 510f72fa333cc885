"""Reads a policy document into sections and blocks, each with its place in the text.

Nothing is rewritten: a block knows the stretch of the document that it stands on, and beside it
its words, without inline markup and with folded spaces, on which clauses are found.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from raicurate.transforms.clause import Span
from raicurate.transforms.inline_markup import Words, words_of

Media = Literal["markdown", "html", "text"]
BlockKind = Literal["heading", "paragraph", "item", "row", "definition"]

_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", re.MULTILINE)
_LINE = re.compile(r"[^\n]*\n?")
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})")
# A space is missing after the signs of many headings, or is one that does not break.
_HEADING = re.compile(r"[ ]{0,3}(#{1,6})(?:[\s\u200b]+|(?=[^\W\d_]))(.*?)[ \t]*#*[ \t]*$")
_UNDERLINE = re.compile(r"[ ]{0,3}(=+|-+)[ \t]*$")
_RULE = re.compile(r"[ ]{0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_ITEM = re.compile(
    r"([ \t]*)((?:[-*+•◦‣▪–・●][ \t]+|・|(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)][ \t]+"
    r"|\((?:\d{1,3}|[a-z]{1,2}|[ivx]{1,5})\)[ \t]*"
    r"|[（(][0-9０-９一二三四五六七八九十]{1,3}[）)][ \t]*))(?=\S)"
)
_TASK = re.compile(r"\[[ xX]\][ \t]+")
_NUMBERED = re.compile(r"(?:§[ \t]*)?\d{1,3}(?:\.\d{1,3})+\.?[ \t]+(?=\S)")
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$")
_ROW_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)*\|?[ \t]*$")
_TERM_LINE = re.compile(r"[ ]{0,3}:[ \t]+(?=\S)")
_QUOTE = re.compile(r"[ ]{0,3}(?:>[ \t]?)+(?:\[![A-Za-z]+\][ \t]*$)?")
_ADMONITION = re.compile(r"[ \t]*(?:!!!|\?\?\?\+?|:::)[ \t]*[\w-]*")
# Lines that say nothing by themselves: attributes, includes, reference links, images, bare tags.
_SILENT = re.compile(
    r"[ \t]*(?:\{[:%#<][^\n]*|\{\{[^\n]*\}\}|\[[^\]\n]+\]:[ \t]*\S[^\n]*|!\[[^\n]*\]\([^\n]*\)"
    r"|</?[A-Za-z][^>\n]*>(?:[ \t]*</?[A-Za-z][^>\n]*>)*|\[toc\]|\[\[_TOC_\]\]|---)[ \t]*$",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_RAW_HTML = re.compile(
    r"<(script|style|pre|svg|fieldset|form|nav|footer)\b.*?(?:</\1\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_LINK = re.compile(r"!?\[[^\]\n]*\]\([^)\n]*\)|<?https?://[^\s>]+>?")
_DOTTED = re.compile(r"\.{4,}[ \t]*\d+$")
_LETTER = re.compile(r"[^\W\d_]")
_MARKDOWN_SIGNS = re.compile(
    r"^[ ]{0,3}#{1,6}[ \t]|^```|\]\((?:[^)\s]+)\)|\*\*[^*\n]+\*\*|^---\n", re.M
)
# A contents list holds at least this many items that are each a link and little else.
_CONTENTS_ITEMS = 3
_LINK_SHARE = 0.8
_HEADING_CHARS = 90
# Level of a title that stands out by being bold or alone, below all with a mark or number.
_LEAST_LEVEL = 7
_SENTENCE_END = ".;,!?。；，！？।؛،"
_LEAD_END = (":", "：", "—", "–")
_BOLD_LINE = re.compile(r"(?:\*\*|__)([^*_\n]+)(?:\*\*|__):?$")


@dataclass(frozen=True, slots=True)
class Section:
    """A section: the titles that lead to it, and its own heading.

    Attributes:
        path: Titles from the document's root.
        heading: Where its title stands; None for what comes before the first heading.
        level: Depth of its heading, 1 for the topmost.
    """

    path: tuple[str, ...]
    heading: Span | None
    level: int


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, an item of a list, a row of a table, a definition or a heading.

    Attributes:
        kind: What it is.
        span: Where it stands, without bullet or number.
        words: Its words without inline markup, and where each stands.
        section: Index into the sections of the document.
        lead: Index of the block that introduces the list of which this is an item, or of the term
            that this defines.
        header: Index of the first row of the table of which this is a row.
        depth: Depth of an item within its list, from 0.
        marker: The bullet or number of an item.
        cells: The cells of a row, as spans of the text.
    """

    kind: BlockKind
    span: Span
    words: Words
    section: int
    lead: int | None = None
    header: int | None = None
    depth: int = 0
    marker: str = ""
    cells: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A document in sections and blocks.

    Attributes:
        id: Id of the document.
        language: ISO 639-1.
        family: What the document is a version or translation of; its id where nothing is known.
        text: The whole text, as the pipeline stores it. All offsets belong to it.
        text_sha256: Its digest.
        title: The title that its front matter gives, or its first heading.
        sections: All sections, in order; the first is what comes before any heading.
        blocks: All blocks, in order.
    """

    id: str
    language: str
    family: str
    text: str
    text_sha256: str
    title: str
    sections: tuple[Section, ...]
    blocks: tuple[Block, ...]
    _starts: list[int] = field(repr=False, compare=False)

    def words(self, span: Span) -> str:
        """Returns the words on a stretch of the document, without markup, with folded spaces."""
        index = max(bisect_right(self._starts, span.start) - 1, 0)
        found = []
        while index < len(self.blocks) and self.blocks[index].span.start < span.end:
            words = self.blocks[index].words
            found.append(words.text[slice(*words.inside(span))].strip())
            index += 1
        return " ".join(piece for piece in found if piece)

    def section_path(self, block: Block) -> tuple[str, ...]:
        """Returns the titles that lead to a block."""
        return self.sections[block.section].path


def read_policy(
    text: str,
    media: Media | None,
    document_id: str,
    language: str,
    family: str | None = None,
) -> PolicyDocument:
    """Reads a document.

    Args:
        text: The document, as stored. Of a web page this is the text that the reader of pages
            made of it: bullets as "•", a blank line between paragraphs.
        media: What it was before; None to judge by its signs.
        document_id: Its id.
        language: ISO 639-1, with or without a region.
        family: What it is a version or translation of.
    """
    markdown = media == "markdown" or (media is None and _MARKDOWN_SIGNS.search(text) is not None)
    reader = _Reader(text, markdown)
    reader.read()
    blocks = tuple(_without_contents(text, reader.blocks))
    return PolicyDocument(
        id=document_id,
        language=language.replace("_", "-").partition("-")[0].lower(),
        family=family or document_id,
        text=text,
        text_sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        title=reader.title,
        sections=tuple(reader.sections),
        blocks=blocks,
        _starts=[block.span.start for block in blocks],
    )


@dataclass(slots=True)
class _Open:
    """A block that may go on in the next line."""

    kind: BlockKind
    start: int
    end: int
    indent: int = 0
    marker: str = ""
    lead: int | None = None
    depth: int = 0


class _Reader:
    """Goes over the lines of a document once."""

    def __init__(self, text: str, markdown: bool) -> None:
        self.text = text
        self.markdown = markdown
        self.title = ""
        self.sections = [Section((), None, 0)]
        self.blocks: list[Block] = []
        self.open: _Open | None = None
        # Indentation and block index of the items that a deeper item may belong to.
        self.parents: list[tuple[int, int, int | None]] = []
        self.lead: int | None = None
        self.header: int | None = None
        self.blank = True

    def read(self) -> None:
        start = 0
        hidden = list(self._hidden())
        if self.markdown and (front := _FRONT_MATTER.match(self.text)):
            start = front.end()
            if named := _FRONT_TITLE.search(front[1]):
                self.title = named[1]
        fence = ""
        for line in _LINE.finditer(self.text, start):
            at, end = line.span()
            if at == end:
                break
            while hidden and hidden[0][1] <= at:
                hidden.pop(0)
            if hidden and hidden[0][0] <= at:
                at = min(hidden[0][1], end)
                if not self.text[at:end].strip():
                    continue
            elif hidden and hidden[0][0] < end < hidden[0][1]:
                end = hidden[0][0]
            content = self.text[at:end].rstrip("\n")
            if self.markdown and (mark := _FENCE.match(content)):
                if not fence:
                    self._close()
                    fence = mark[1][:3]
                elif mark[1].startswith(fence):
                    fence = ""
                continue
            if not fence:
                self._line(at, content)
        self._close()
        if not self.title:
            first = next((s for s in self.sections if s.heading is not None), None)
            self.title = first.path[-1] if first is not None and first.path else ""

    def _hidden(self) -> Iterator[tuple[int, int]]:
        """Yields stretches that no reader of the page sees, or that are no prose."""
        if not self.markdown or "<" not in self.text:
            return
        found = [match.span() for match in _COMMENT.finditer(self.text)]
        found += [match.span() for match in _RAW_HTML.finditer(self.text)]
        yield from sorted(found)

    def _line(self, at: int, content: str) -> None:
        if not content.strip():
            self.blank = True
            self._close()
            self.header = None
            return
        if self.markdown and (quote := _QUOTE.match(content)):
            at, content = at + quote.end(), content[quote.end() :]
            if not content.strip():
                self._close()
                return
        blank, self.blank = self.blank, False
        if self.markdown and self._markdown_line(at, content):
            return
        if item := _ITEM.match(content):
            self._item(at, content, item)
        elif not self.markdown and "\t" in content.strip():
            self._row(at, content, re.compile(r"[^\t]+"))
        elif self._continues(content, blank):
            assert self.open is not None
            self.open.end = at + len(content.rstrip())
        else:
            self._paragraph(at, content)

    def _markdown_line(self, at: int, content: str) -> bool:
        """Handles what only Markdown knows, and returns whether it was that."""
        if heading := _HEADING.match(content):
            self._heading(at + heading.start(2), heading[2], len(heading[1]))
            return True
        if (
            (under := _UNDERLINE.match(content))
            and self.open is not None
            and self.open.kind == "paragraph"
            and "\n" not in self.text[self.open.start : self.open.end]
        ):
            start, title = self.open.start, self.text[self.open.start : self.open.end]
            self.open = None
            self._heading(start, title, 1 if under[1][0] == "=" else 2)
            return True
        if _ROW.match(content) or (_ROW_RULE.match(content) and "|" in content):
            if not _ROW_RULE.match(content):
                self._row(at, content, re.compile(r"(?:\\.|[^|\\])+"))
            return True
        if _RULE.match(content) or _SILENT.match(content) or _ADMONITION.match(content):
            self._close()
            return True
        if (define := _TERM_LINE.match(content)) and (self.open or self.blocks):
            self._close()
            self.open = _Open(
                "definition",
                at + define.end(),
                at + len(content.rstrip()),
                lead=len(self.blocks) - 1,
            )
            return True
        return False

    def _heading(self, at: int, title: str, level: int) -> None:
        self._close()
        self._leave_list()
        span = Span(at, at + len(title))
        words = words_of(self.text, span, self.markdown)
        if not words.text:
            return
        kept = [s for s in self._path() if s.level < level]
        path = (*(s.path[-1] for s in kept if s.path), words.text)
        self.sections.append(Section(path, span, level))
        self.lead = None
        self._add("heading", span, words)

    def _path(self) -> list[Section]:
        """Returns the open sections from the outermost to the innermost."""
        open_sections: list[Section] = []
        level = 99
        for section in reversed(self.sections):
            if section.heading is not None and section.level < level:
                open_sections.append(section)
                level = section.level
        return open_sections[::-1]

    def _item(self, at: int, content: str, item: re.Match[str]) -> None:
        self._close()
        indent = len(item[1].expandtabs(4))
        while self.parents and self.parents[-1][0] >= indent:
            self.parents.pop()
        if not self.parents and (not self.blocks or self.blocks[-1].kind != "item"):
            self.lead = self._lead()
        lead = self.parents[-1][1] if self.parents else self.lead
        start = at + item.end()
        if task := _TASK.match(self.text, start):
            start = task.end()
        self.open = _Open(
            "item",
            start,
            at + len(content.rstrip()),
            indent,
            item[2].strip(),
            lead,
            len(self.parents),
        )

    def _lead(self) -> int | None:
        """Returns the block that introduces a list that begins here."""
        if not self.blocks or self.blocks[-1].section != len(self.sections) - 1:
            return None
        last = self.blocks[-1]
        if last.kind == "paragraph" or (last.kind == "heading" and last.words.text.endswith(":")):
            return len(self.blocks) - 1
        return None

    def _row(self, at: int, content: str, cell: re.Pattern[str]) -> None:
        self._close()
        self._leave_list()
        cells = []
        for match in cell.finditer(content):
            inner = match[0].strip()
            if inner:
                start = at + match.start() + match[0].index(inner)
                cells.append(Span(start, start + len(inner)))
        if not cells:
            return
        span = Span(cells[0].start, cells[-1].end)
        index = len(self.blocks)
        self._add(
            "row",
            span,
            words_of(self.text, span, self.markdown),
            header=self.header,
            cells=tuple(cells),
        )
        if self.header is None:
            self.header = index

    def _continues(self, content: str, blank: bool) -> bool:
        """Returns whether a line belongs to the block before it."""
        if self.open is None or blank:
            return False
        if _NUMBERED.match(content):
            return False
        # A page's text has one line for each paragraph or item.
        return self.markdown or self.open.kind == "paragraph"

    def _paragraph(self, at: int, content: str) -> None:
        self._close()
        indent = len(content) - len(content.lstrip())
        start = at + indent
        end = at + len(content.rstrip())
        inside = bool(self.parents) and indent >= 2 and self.markdown
        if not inside:
            self.parents.clear()
        if number := _NUMBERED.match(content.strip()):
            start += number.end()
        self.open = _Open("paragraph", start, end, indent, number[0].strip() if number else "")
        if inside:
            self.open.kind = "item"
            self.open.lead = self.parents[-1][1]
            self.open.depth = len(self.parents)
            self.open.marker = ""

    def _close(self) -> None:
        """Ends the open block."""
        block, self.open = self.open, None
        if block is None:
            return
        span = Span(block.start, block.end)
        words = words_of(self.text, span, self.markdown)
        if not _LETTER.search(words.text):
            return
        if self._is_heading(block, words.text):
            number = block.marker.rstrip(".")
            level = 1 + number.count(".") if number else _LEAST_LEVEL
            self._heading(block.start, self.text[block.start : block.end], level)
            return
        index = len(self.blocks)
        if block.kind == "item" and block.marker:
            self.parents.append((block.indent, index, block.lead))
        self._add(block.kind, span, words, lead=block.lead, depth=block.depth, marker=block.marker)

    def _is_heading(self, block: _Open, words: str) -> bool:
        """Returns whether a paragraph is a title without the marks of one."""
        source = self.text[block.start : block.end]
        if "\n" in source or len(words) > _HEADING_CHARS or words[-1] in _SENTENCE_END:
            return False
        if self.markdown:
            return block.kind == "paragraph" and _BOLD_LINE.match(source) is not None
        if words.endswith(_LEAD_END) or not self.blank:
            return False
        if block.kind == "paragraph":
            return True
        # "1. Purpose" with space around it is a title, unless it stands in a list.
        lead = None if block.lead is None else self.blocks[block.lead].words.text
        return (
            block.marker.rstrip(".").isdigit()
            and block.depth == 0
            and not (self.blocks and self.blocks[-1].kind == "item")
            and not (lead or "").endswith(_LEAD_END)
        )

    def _leave_list(self) -> None:
        self.parents.clear()
        self.lead = None

    def _add(
        self,
        kind: BlockKind,
        span: Span,
        words: Words,
        lead: int | None = None,
        header: int | None = None,
        depth: int = 0,
        marker: str = "",
        cells: tuple[Span, ...] = (),
    ) -> None:
        section = len(self.sections) - 1
        self.blocks.append(Block(kind, span, words, section, lead, header, depth, marker, cells))


def _without_contents(text: str, blocks: list[Block]) -> list[Block]:
    """Leaves out lists of links: tables of contents, navigation and reading lists."""
    links = [block.kind == "item" and _is_link(text, block) for block in blocks]
    dropped: set[int] = set()
    begin = 0
    while begin < len(blocks):
        end = begin
        while end < len(blocks) and blocks[end].kind == "item":
            end += 1
        if sum(links[begin:end]) >= max(_CONTENTS_ITEMS, _LINK_SHARE * (end - begin)):
            dropped.update(range(begin, end))
        begin = max(end, begin + 1)
    if not dropped:
        return blocks
    new_index: dict[int, int] = {}
    for index in range(len(blocks)):
        if index not in dropped:
            new_index[index] = len(new_index)
    return [
        replace(
            block,
            lead=None if block.lead is None else new_index.get(block.lead),
            header=None if block.header is None else new_index.get(block.header),
        )
        for index, block in enumerate(blocks)
        if index not in dropped
    ]


def _is_link(text: str, block: Block) -> bool:
    """Returns whether a block is a link and little else."""
    source = block.span.of(text)
    linked = sum(len(link[0]) for link in _LINK.finditer(source))
    return linked >= _LINK_SHARE * len(source) or _DOTTED.search(source) is not None
