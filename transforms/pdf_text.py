"""From the bytes of a PDF to its text, as Markdown: headings, paragraphs and items.

PDFium gives lines with their font and place. What a PDF does not say is concluded from them: a line
in larger or bold type is a heading, a line close below another goes on with its paragraph, and what
stands at the edge of several pages is a running head. Tables come out line by line, and of
scanned pages there is no text.
"""

import ctypes
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from raicurate.corpora_manifests.errors import DocumentError, MissingExtraError

INSTALL = "pip install 'raicurate[pdf]'"

MAX_PAGES = 5000
"""Pages of a document that are read; a file with more is refused."""

_HEADING_SIZE = 1.12
"""How much larger than most of the text the type of a heading is."""

_LINE_GAP = 1.75
"""Distance of two lines of a paragraph at most, in heights of the type."""

_HEADING_CHARS = 120
_EDGE_LINES = 2
_REPEATED = 3
_NO_FLAGS = 256

_ITEM = re.compile(r"([•◦‣▪●○■□–—*·-]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)])[ \t]+(?=\S)")
_BULLET = re.compile(r"[•◦‣▪●○■□–—*·-][ \t]+")
_MARKUP = re.compile(r"(?=[#>|]|={2,}|`{3}|~{3})")
_ENDS = re.compile(r"[.!?:;…。！？।]['\"”’)\]]*$")
_PAGE = re.compile(r"[ivxlc]{1,7}|\d{1,4}|[-–] ?\d{1,4} ?[-–]")
_LEADER = re.compile(r"(?:\. ?){4,}[ivxlc\d]+$")
_DIGITS = re.compile(r"\d+")
_SPACES = re.compile(r"[ \t\u00a0\x00-\x08\x0b\x0c\x0e-\x1f]+")


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a page: its words, the size of its type in points, and its place."""

    text: str
    size: float
    bold: bool
    top: float
    bottom: float

    @property
    def key(self) -> str:
        """What running heads of different pages have in common."""
        return _DIGITS.sub("0", self.text)


def pdf_text(data: bytes) -> str:
    """Returns the text of a PDF as Markdown; empty where no page holds text.

    Raises:
        DocumentError: The file is no PDF, damaged, encrypted, or has too many pages.
        MissingExtraError: PDFium is not installed.
    """
    pages = [page for page in _pages(data) if page]
    _without_running_heads(pages)
    return "\n\n".join(_blocks([line for page in pages for line in page], _body(pages)))


def _pages(data: bytes) -> list[list[_Line]]:
    try:
        import pypdfium2
    except ImportError as error:
        raise MissingExtraError.for_package("pypdfium2", "reading PDF files", INSTALL) from error
    try:
        with closing(pypdfium2.PdfDocument(data)) as document:
            if len(document) > MAX_PAGES:
                raise DocumentError(
                    "oversized_document",
                    f"the PDF has {len(document)} pages and {MAX_PAGES} are allowed, so none of it "
                    "was read; split it",
                )
            return [list(_lines(page, pypdfium2.raw)) for page in document]
    except pypdfium2.PdfiumError as error:
        raise DocumentError(
            "unreadable_file",
            "the file is no PDF that can be read (damaged, encrypted, or none at all), so nothing "
            "of it was used; save it again without a password, or as text",
        ) from error


def _lines(page: Any, raw: Any) -> Iterator[_Line]:
    with closing(page), closing(page.get_textpage()) as text_page:
        begin = 0
        for line in text_page.get_text_range().split("\r\n"):
            words = _SPACES.sub(" ", line.replace("\ufffe", "").replace("\ufffd", "")).strip()
            if words and not _LEADER.search(words):
                shift = len(line) - len(line.lstrip())
                at = raw.FPDFText_GetCharIndexFromTextIndex(text_page.raw, begin + shift)
                if at >= 0:
                    _, bottom, _, top = text_page.get_charbox(at, loose=True)
                    size = raw.FPDFText_GetFontSize(text_page.raw, at)
                    bold = "bold" in _font_name(text_page, at, raw).lower()
                    # Some producers scale type of one point; the box tells how large it stands.
                    size = size if size > 2 else (top - bottom)
                    yield _Line(words, round(size, 1), bold, top, bottom)
            begin += len(line) + 2


def _font_name(text_page: Any, at: int, raw: Any) -> str:
    buffer = ctypes.create_string_buffer(_NO_FLAGS)
    length = raw.FPDFText_GetFontInfo(text_page.raw, at, buffer, len(buffer), None)
    return buffer.raw[: max(length - 1, 0)].decode("utf-8", "replace")


def _without_running_heads(pages: list[list[_Line]]) -> None:
    """Removes what stands at the edge of several pages, and numbers of pages."""
    edges: Counter[str] = Counter()
    for page in pages:
        edges.update({line.key for line in (*page[:_EDGE_LINES], *page[-_EDGE_LINES:])})

    def is_running(line: _Line) -> bool:
        return edges[line.key] >= _REPEATED or _PAGE.fullmatch(line.text) is not None

    for page in pages:
        for place in (0, -1):
            for _ in range(_EDGE_LINES):
                if page and is_running(page[place]):
                    del page[place]


def _body(pages: Sequence[Sequence[_Line]]) -> tuple[float, bool]:
    """Returns size and boldness of most of the text."""
    chars: Counter[tuple[float, bool]] = Counter()
    for page in pages:
        for line in page:
            chars[line.size, line.bold] += len(line.text)
    return min(chars, key=lambda kind: (-chars[kind], kind)) if chars else (0.0, False)


def _blocks(lines: Sequence[_Line], body: tuple[float, bool]) -> Iterator[str]:
    size, bold = body
    larger = sorted({line.size for line in lines if line.size > size * _HEADING_SIZE}, reverse=True)

    def level(line: _Line) -> int:
        if line.size > size * _HEADING_SIZE:
            return min(larger.index(line.size) + 1, 5)
        if line.bold and not bold and line.size >= size * 0.95 and not _ENDS.search(line.text):
            return min(len(larger) + 1, 6)
        return 0

    block: list[_Line] = []
    for line in lines:
        if block and _goes_on(block[-1], line, level(block[-1]), level(line)):
            block.append(line)
            continue
        if block:
            yield _block(block, level(block[0]))
        block = [line]
    if block:
        yield _block(block, level(block[0]))


def _goes_on(before: _Line, line: _Line, level_before: int, level: int) -> bool:
    """Returns whether a line belongs to the block of the one before it."""
    if level != level_before:
        return False
    if _ITEM.match(line.text):
        return False
    if line.top > before.top:  # the top of another page or column
        return level == 0 and not _ENDS.search(before.text) and not line.text[0].isupper()
    near = before.bottom - line.bottom <= _LINE_GAP * max(before.size, line.size)
    return near and abs(before.size - line.size) < 1


def _block(lines: Sequence[_Line], level: int) -> str:
    text = " ".join(line.text for line in lines)
    if level and len(text) <= _HEADING_CHARS:
        return f"{'#' * level} {text}"
    if _BULLET.match(text):
        return "- " + _BULLET.sub("", text, count=1)
    # Signs that mean something in Markdown, and nothing in the PDF.
    return _MARKUP.sub(r"\\", text, count=1) if _MARKUP.match(text) else text
