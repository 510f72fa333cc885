"""The sample corpus that ships: its documents, written into one file of every format that is read.

`sample/documents/<lang>.yaml` is the source. Each document names the format of the one file of
`sample/corpus/` that it goes to, so that the corpus as a whole holds every document once. After a
change to a document, rebuild and commit both:

    python -m raicurate.corpora_manifests.sample_corpus

The files come out the same byte for byte every time. Another version of zlib, zstd or pyarrow may
choose other bytes for the same content.

Documents of all languages are mixed within a file, as on the web; their labels (`expect`) go into
no file, since a classifier must not see them.
"""

import argparse
import hashlib
import html
import json
import struct
import uuid
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import PACKAGE_FOLDER, read_yaml, validated
from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Hazard, Stance

DOCUMENTS = PACKAGE_FOLDER / "sample" / "documents"
CORPUS = PACKAGE_FOLDER / "sample" / "corpus"

Format = Literal[
    "jsonl",
    "jsonl_gz",
    "jsonl_zst",
    "parquet",
    "warc",
    "wet",
    "markdown",
    "html",
    "text",
    "dolma",
    "datatrove",
    "damaged",
]

Language = Literal["ar", "de", "en", "es", "fr", "hi", "it", "ja", "pt"]

SOURCE = "sample-web"
COLLECTED = "2025-01-15T06:00:00Z"
"""When the documents were collected, as far as the files say."""

_LANGUAGE_CODES: dict[Language, str] = {
    "ar": "ara",
    "de": "deu",
    "en": "eng",
    "es": "spa",
    "fr": "fra",
    "hi": "hin",
    "it": "ita",
    "ja": "jpn",
    "pt": "por",
}
"""The names by which WET files call the languages (ISO 639-3)."""

_INTACT_IN_DAMAGED = 4
"""Documents in the first member of `damaged.jsonl.gz`."""
_READABLE_IN_DAMAGED = 3
"""Documents that stand whole before the cut in its second member."""

_PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;"
)
"""A transparent picture of one pixel: a response that holds no document."""


class Expectation(Model):
    """What a careful reader says of a document."""

    hazard: Hazard | Literal["none"]
    stance: Stance | Literal["none"]
    operational: bool


class Document(Model):
    """One document of web text."""

    id: str
    title: str
    url: str
    created: date
    format: Format
    expect: Expectation
    text: str


class PageFrame(Model):
    """What stands around the text on a web page, in the language of the text."""

    navigation: tuple[str, ...]
    sidebar: tuple[str, ...]
    footer: str


class DocumentsFile(Model):
    """One file of documents, all in one language."""

    language: Language
    page: PageFrame
    documents: tuple[Document, ...]


def read_documents(documents: Path) -> tuple[DocumentsFile, ...]:
    """Returns the files of a folder of documents, in the order of their names.

    Raises:
        ManifestError: A file is not valid, or two documents share an id or an address.
    """
    files = tuple(
        validated(DocumentsFile, read_yaml(path), str(path))
        for path in sorted(documents.glob("*.yaml"))
    )
    if not files:
        raise ManifestError(f"there are no documents (*.yaml) in {documents}; correct the path")
    for key in ("id", "url"):
        values = [getattr(document, key) for file in files for document in file.documents]
        doubled = sorted({value for value in values if values.count(value) > 1})
        if doubled:
            raise ManifestError(
                f"two documents in {documents} have the {key} {doubled[0]!r}; rename one"
            )
    return files


def build(documents: Path, corpus: Path) -> None:
    """Writes the documents to the files of a corpus; other files there stay as they are.

    Args:
        documents: Folder of the YAML files.
        corpus: Folder to write to.

    Raises:
        ManifestError: The documents are not valid.
    """
    files = read_documents(documents)
    pages = {
        document.id: _html_page(file, document) for file in files for document in file.documents
    }
    languages = {document.id: file.language for file in files for document in file.documents}
    everything = sorted(
        (document for file in files for document in file.documents),
        key=lambda document: hashlib.sha256(document.id.encode()).digest(),
    )

    def of(name: Format) -> list[Document]:
        return [document for document in everything if document.format == name]

    contents = {
        "web.jsonl": _json_lines(_plain_record, of("jsonl")),
        "web.jsonl.gz": _gzip_member(_json_lines(_plain_record, of("jsonl_gz"))),
        "web.jsonl.zst": _zstd_frames(of("jsonl_zst")),
        "damaged.jsonl.gz": _damaged(of("damaged")),
        "web.parquet": _parquet(of("parquet")),
        "crawl.warc.gz": _warc(of("warc"), pages),
        "crawl.wet.gz": _wet(of("wet"), languages),
        "dolma.jsonl.gz": _gzip_member(_json_lines(_dolma_record, of("dolma"))),
        "datatrove.jsonl.gz": _gzip_member(_json_lines(_datatrove_record, of("datatrove"))),
    }
    for document in of("markdown"):
        contents[f"pages/{document.id}.md"] = f"# {document.title}\n\n{document.text}\n".encode()
    for document in of("html"):
        contents[f"pages/{document.id}.html"] = pages[document.id]
    for document in of("text"):
        contents[f"pages/{document.id}.txt"] = f"{document.text}\n".encode()

    (corpus / "pages").mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (corpus / name).write_bytes(content)


def _plain_record(document: Document) -> dict[str, object]:
    return {
        "id": document.id,
        "text": document.text,
        "url": document.url,
        "created": document.created.isoformat(),
        "metadata": {"title": document.title},
    }


def _dolma_record(document: Document) -> dict[str, object]:
    return {
        "id": document.id,
        "text": document.text,
        "source": SOURCE,
        "added": COLLECTED,
        "created": f"{document.created.isoformat()}T00:00:00Z",
        "metadata": {"url": document.url, "title": document.title},
    }


def _datatrove_record(document: Document) -> dict[str, object]:
    return {
        "text": document.text,
        "id": document.id,
        "metadata": {
            "url": document.url,
            "date": f"{document.created.isoformat()}T00:00:00Z",
            "title": document.title,
        },
    }


def _json_lines(
    record: Callable[[Document], dict[str, object]], documents: Iterable[Document]
) -> bytes:
    return b"".join(
        json.dumps(record(document), ensure_ascii=False).encode() + b"\n" for document in documents
    )


def _gzip_member(content: bytes) -> bytes:
    """Returns a gzip member that names no file, time or system."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return _gzip_parts([deflate.compress(content) + deflate.flush()], content)


def _gzip_parts(deflated: Sequence[bytes], content: bytes) -> bytes:
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    trailer = struct.pack("<LL", zlib.crc32(content), len(content))
    return header + b"".join(deflated) + trailer


def _zstd_frames(documents: Sequence[Document]) -> bytes:
    """Returns JSON lines in two zstd frames, as they come out of `cat a.zst b.zst`."""
    half = len(documents) // 2
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    return b"".join(
        compressor.compress(_json_lines(_plain_record, part))
        for part in (documents[:half], documents[half:])
    )


def _damaged(documents: Sequence[Document]) -> bytes:
    """Returns JSON lines in two gzip members, the second of which breaks off in its middle.

    Each line of the second member is flushed, so that what can be read before the cut does not
    depend on how zlib divides its blocks: whole lines, and the beginning of one more.
    """
    first, second = documents[:_INTACT_IN_DAMAGED], documents[_INTACT_IN_DAMAGED:]
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    lines = [_json_lines(_plain_record, [document]) for document in second]
    deflated = [deflate.compress(line) + deflate.flush(zlib.Z_SYNC_FLUSH) for line in lines]
    member = _gzip_parts([*deflated, deflate.flush()], b"".join(lines))
    cut = 10 + sum(map(len, deflated[:_READABLE_IN_DAMAGED]))
    cut += len(deflated[_READABLE_IN_DAMAGED]) // 2
    return _gzip_member(_json_lines(_plain_record, first)) + member[:cut]


def _parquet(documents: Sequence[Document]) -> bytes:
    """Returns two row groups, with the id of a document under a name that needs a key mapping."""
    columns = {
        "doc_id": [document.id for document in documents],
        "text": [document.text for document in documents],
        "url": [document.url for document in documents],
        "title": [document.title for document in documents],
        "created": [document.created.isoformat() for document in documents],
    }
    schema = pa.schema([pa.field(name, pa.string(), nullable=False) for name in columns])
    stream = pa.BufferOutputStream()
    pq.write_table(
        pa.table(columns, schema=schema),
        stream,
        compression="zstd",
        row_group_size=(len(documents) + 1) // 2,
    )
    content: bytes = stream.getvalue().to_pybytes()
    return content


def _html_page(file: DocumentsFile, document: Document) -> bytes:
    """Returns a web page with the text of a document between what no reader came for."""
    direction = "rtl" if file.language == "ar" else "ltr"
    title = html.escape(document.title, quote=False)
    paragraphs = (
        html.escape(paragraph, quote=False).replace("\n", "<br>\n")
        for paragraph in document.text.split("\n\n")
    )
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="{file.language}" dir="{direction}">',
        "<head>",
        '<meta charset="utf-8">',
        f"<title>{title}</title>",
        f'<link rel="canonical" href="{html.escape(document.url)}">',
        "<style>nav li { display: inline; } aside { float: right; }</style>",
        "</head>",
        "<body>",
        "<header><nav><ul>",
        *(
            f'<li><a href="/{i}/">{html.escape(x)}</a></li>'
            for i, x in enumerate(file.page.navigation)
        ),
        "</ul></nav></header>",
        '<main><article class="post">',
        f"<h1>{title}</h1>",
        *(f"<p>{paragraph}</p>" for paragraph in paragraphs),
        "</article></main>",
        '<aside class="sidebar"><ul>',
        *(
            f'<li><a href="/s{i}/">{html.escape(x)}</a></li>'
            for i, x in enumerate(file.page.sidebar)
        ),
        "</ul></aside>",
        f'<footer class="footer"><p>{html.escape(file.page.footer)}</p></footer>',
        "<script>window.visits = (window.visits || 0) + 1;</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(lines).encode() + b"\n"


def _record_id(kind: str, name: str) -> str:
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{SOURCE}/{kind}/{name}')}>"


def _warc_record(kind: str, name: str, fields: dict[str, str], block: bytes) -> bytes:
    """Returns a WARC record in a gzip member of its own."""
    header = {
        "WARC-Type": kind,
        "WARC-Record-ID": _record_id(kind, name),
        "WARC-Date": COLLECTED,
        **fields,
        "Content-Length": str(len(block)),
    }
    lines = "".join(f"{key}: {value}\r\n" for key, value in header.items())
    return _gzip_member(f"WARC/1.0\r\n{lines}\r\n".encode() + block + b"\r\n\r\n")


def _warcinfo(name: str) -> bytes:
    fields = {"WARC-Filename": name, "Content-Type": "application/warc-fields"}
    content = f"software: raicurate\r\nformat: WARC File Format 1.0\r\nisPartOf: {SOURCE}\r\n"
    return _warc_record("warcinfo", name, fields, content.encode())


def _response(url: str, content_type: str, payload: bytes, info: str) -> bytes:
    http = (
        "HTTP/1.1 200 OK\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(payload)}\r\n"
        "Connection: close\r\n\r\n"
    )
    fields = {
        "WARC-Target-URI": url,
        "WARC-Warcinfo-ID": _record_id("warcinfo", info),
        "WARC-Identified-Payload-Type": content_type.partition(";")[0],
        "Content-Type": "application/http; msgtype=response",
    }
    return _warc_record("response", url, fields, http.encode() + payload)


def _warc(documents: Sequence[Document], pages: dict[str, bytes]) -> bytes:
    """Returns a crawl: its description, the pages, and after the first of them a picture."""
    name = "crawl.warc.gz"
    records = [
        _response(document.url, "text/html; charset=utf-8", pages[document.id], name)
        for document in documents
    ]
    picture = _response("https://static.example.org/pixel.gif", "image/gif", _PIXEL, name)
    return b"".join([_warcinfo(name), *records[:1], picture, *records[1:]])


def _wet(documents: Sequence[Document], languages: dict[str, Language]) -> bytes:
    """Returns a crawl of which only the text is left."""
    name = "crawl.wet.gz"
    records = [
        _warc_record(
            "conversion",
            document.url,
            {
                "WARC-Target-URI": document.url,
                "WARC-Refers-To": _record_id("response", document.url),
                "WARC-Identified-Content-Language": _LANGUAGE_CODES[languages[document.id]],
                "Content-Type": "text/plain",
            },
            document.text.encode(),
        )
        for document in documents
    ]
    return b"".join([_warcinfo(name), *records])


def main(arguments: Sequence[str] | None = None) -> None:
    """Rebuilds the sample corpus."""
    parser = argparse.ArgumentParser(description="Rebuild the sample corpus from its documents.")
    parser.add_argument("--documents", type=Path, default=DOCUMENTS, help="folder of YAML files")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder to write to")
    options = parser.parse_args(arguments)
    build(options.documents, options.corpus)


if __name__ == "__main__":
    main()
