"""Reads trees of Markdown, HTML, PDF and plain text files: one document a file.

Markdown and text are taken as they are, front matter included; of HTML all that is visible, but
for what is marked as navigation; of PDF the text, with its headings and items as Markdown.
"""

from collections.abc import Callable, Iterator
from contextlib import closing

import orjson

from raicurate.corpora_manifests.errors import DocumentError
from raicurate.pipelines.decompress import Damage, decoded
from raicurate.pipelines.reading import (
    FileRange,
    Opener,
    ReadBatch,
    ReadOptions,
    compression_suffix,
    register,
)
from raicurate.pipelines.records import BatchBuilder, oversized
from raicurate.transforms import pdf_text
from raicurate.transforms.html_text import decode_page, html_text

_BOM = b"\xef\xbb\xbf"


@register("text", (".txt", ".text"))
@register("markdown", (".md", ".markdown", ".mdx"))
def read_text(part: FileRange, opener: Opener, options: ReadOptions) -> Iterator[ReadBatch]:
    """Reads a file of UTF-8 text as one document."""
    yield from _read(part, opener, options, _text)


@register("html", (".html", ".htm", ".xhtml"))
def read_html(part: FileRange, opener: Opener, options: ReadOptions) -> Iterator[ReadBatch]:
    """Reads a web page as one document, whatever its encoding."""
    yield from _read(part, opener, options, _page)


@register("pdf", (".pdf",), needs=("pypdfium2", pdf_text.INSTALL))
def read_pdf(part: FileRange, opener: Opener, options: ReadOptions) -> Iterator[ReadBatch]:
    """Reads a PDF as one document."""
    yield from _read(part, opener, options, lambda data: (pdf_text.pdf_text(data), {}))


def _text(data: bytes) -> tuple[str, dict[str, str]]:
    try:
        return data.removeprefix(_BOM).decode(), {}
    except UnicodeDecodeError as error:
        raise DocumentError(
            "invalid_utf8",
            f"the file is not UTF-8 from its byte {error.start} on; convert it to UTF-8",
        ) from error


def _page(data: bytes) -> tuple[str, dict[str, str]]:
    page = decode_page(data)
    return html_text(page.html, main_content=False), {"encoding": page.encoding}


def _read(
    part: FileRange,
    opener: Opener,
    options: ReadOptions,
    extract: Callable[[bytes], tuple[str, dict[str, str]]],
) -> Iterator[ReadBatch]:
    builder = BatchBuilder(part, options)
    with closing(opener(part.path)) as stream:
        named = compression_suffix(part.path)
        if not stream.read(1):
            builder.empty_file(compressed=named is not None)
        stream.seek(0)
        data, size, damage = _content(
            decoded(stream, named, options.max_expansion), options.record_limit
        )
    if damage is not None:
        builder.damage(0, damage)
    if damage is not None and damage.error_type != "checksum_mismatch":
        pass  # half a document is none: what was read is part of what is lost
    elif size > len(data):
        builder.error(0, "oversized_document", oversized(options.max_document_bytes), size)
    elif size:
        try:
            text, metadata = extract(data)
        except DocumentError as error:
            builder.error(0, error.error_type, str(error), size)
        else:
            builder.add_document(
                0,
                text,
                None,
                size,
                orjson.dumps(metadata),
                added=options.added,
                lang=options.lang,
            )
    yield from builder.close()


def _content(events: Iterator[bytes | Damage], limit: int) -> tuple[bytes, int, Damage | None]:
    """Returns the content of a file up to `limit` bytes, its size, and the first damage."""
    pieces: list[bytes] = []
    size = held = 0
    for event in events:
        if isinstance(event, Damage):
            return b"".join(pieces), size, event
        size += len(event)
        if held + len(event) <= limit:
            pieces.append(event)
            held += len(event)
    return b"".join(pieces), size, None
