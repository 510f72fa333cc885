"""Writes shards of JSON Lines (zstd) of any size, made of the general documents.

Long documents are cut at line breaks, since web documents are shorter than books; those with a
run of 10,000 characters without a space (an embedded picture) are left out, because the email
pattern of datatrove takes minutes on one. Documents are mixed by a digest of their id, so that
every shard holds all languages. Each time round, a document is turned about a line break
elsewhere, so that no text is twice the same; and since the same document comes back only after
all others, far outside the window of zstd, the repetition does not compress.

    python benchmarks/text_corpus.py GENERAL_FOLDER OUT_FOLDER MEGABYTES SHARDS CHARACTERS
"""

import gzip
import hashlib
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import zstandard

SOURCES = (
    "general_documents_english.jsonl.gz",
    "general_documents_other_languages.jsonl.gz",
)
DESCRIPTION = "corpus.json"
_TURNS = 64
_ENDLESS_WORD = re.compile(r"\S{10000}")


def write_corpus(
    general: Path, out: Path, megabytes: float, shards: int, characters: int = 0
) -> dict[str, Any]:
    """Writes shards and their description.

    Args:
        general: Folder with `SOURCES`.
        out: Where shards go.
        megabytes: Text in all shards together, in 10^6 bytes of UTF-8; at least one document a
            shard is written.
        shards: Number of files.
        characters: Longer documents are cut into pieces of at most this length; 0 for never.

    Returns:
        The description: documents, text_bytes, stored_bytes and shards.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"shard-{index:05}.jsonl.zst" for index in range(shards)]
    # A compressor keeps the state of one stream, so every shard has its own.
    writers = [zstandard.ZstdCompressor(level=3).stream_writer(path.open("wb")) for path in paths]
    documents = text_bytes = 0
    for record in _records(general, characters):
        if text_bytes >= megabytes * 1e6 and documents >= shards:
            break
        writers[documents % shards].write(orjson.dumps(record) + b"\n")
        documents += 1
        text_bytes += len(record["text"].encode())
    for writer in writers:
        writer.close()  # type: ignore[no-untyped-call]
    description = {
        "documents": documents,
        "text_bytes": text_bytes,
        "stored_bytes": sum(path.stat().st_size for path in paths),
        "shards": shards,
    }
    (out / DESCRIPTION).write_bytes(orjson.dumps(description))
    return description


def _records(general: Path, characters: int) -> Iterator[dict[str, Any]]:
    documents = []
    for name in SOURCES:
        with gzip.open(general / name) as lines:
            documents += [orjson.loads(line) for line in lines]
    documents = [
        {**document, "id": f"{document['id']}.{number}", "text": piece}
        for document in documents
        if not _ENDLESS_WORD.search(document["text"])
        for number, piece in enumerate(_pieces(document["text"], characters))
    ]
    documents.sort(key=lambda document: hashlib.sha256(document["id"].encode()).digest())
    for turn in itertools.count():
        for document in documents:
            yield {
                "id": f"{document['id']}-{turn}",
                "text": _turned(document["text"], turn),
                "url": f"https://example.org/{document['id']}/{turn}",
                "metadata": {"title": document.get("title"), "doc_type": document["doc_type"]},
            }


def _pieces(text: str, characters: int) -> Iterator[str]:
    """Yields pieces of at most so many characters, which end at the last line break if any."""
    start = 0
    while characters and len(text) - start > characters:
        end = text.rfind("\n", start + 1, start + characters) + 1 or start + characters
        if text[start:end].strip():
            yield text[start:end]
        start = end
    if text[start:].strip():
        yield text[start:]


def _turned(text: str, turn: int) -> str:
    """Returns the text from a line break on, followed by what stood before it."""
    place = text.find("\n", len(text) * (turn % _TURNS) // _TURNS)
    return text if turn == 0 or place < 0 else f"{text[place + 1 :]}\n{text[:place]}"


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), *map(int, sys.argv[4:]))
