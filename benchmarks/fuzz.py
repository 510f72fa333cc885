"""Throws damaged input at the readers and the manifest loader.

    python benchmarks/fuzz.py [--inputs 1000000] [--seed 0] [--memory-mb 2048]

Each input is a small healthy file of one format, mutated: bits flipped, bytes cut, doubled, swapped
or inserted, within the archive and within what it holds. A reader must end without any exception,
within five seconds and under the memory cap, and account for what it read; the loader must end with
a manifest or with a designed error. The first violation ends the run with its seed.
"""

import argparse
import gzip
import io
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from raicurate.corpora_manifests.errors import RaicurateError
from raicurate.corpora_manifests.load import PACKAGE_FOLDER, load_manifest
from raicurate.corpora_manifests.manifest import Keys
from raicurate.pipelines import reading

SECONDS = 5.0
PLAIN = b"".join(
    orjson.dumps({"id": f"d{number}", "text": f"Text number {number}, caf\u00e9.", "n": [1, None]})
    + b"\n"
    for number in range(6)
)
PAGE = b"<html><head><title>T</title></head><body><nav>x</nav><p>A page of text.</p></body></html>"


def _warc() -> bytes:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE
    head = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:0>\r\n"
        b"WARC-Target-URI: http://example.org/\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
        b"Content-Type: application/http; msgtype=response\r\n"
    )
    record = head + b"Content-Length: %d\r\n\r\n" % len(http) + http + b"\r\n\r\n"
    return record * 2


def _wet() -> bytes:
    text = b"Plain text of a page.\n"
    head = b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://example.org/\r\n"
    return (head + b"Content-Length: %d\r\n\r\n" % len(text) + text + b"\r\n\r\n") * 2


def _parquet() -> bytes:
    table = pa.table({"id": ["a", "b", "c"], "text": ["one", "two", None], "n": [1, 2, 3]})
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=2)
    return sink.getvalue()


Seed = tuple[str, str, bytes, Callable[[bytes], bytes] | None]

SEEDS: list[Seed] = [
    ("jsonl", "x.jsonl", PLAIN, None),
    ("jsonl", "x.jsonl.gz", PLAIN, lambda content: gzip.compress(content, 1)),
    ("jsonl", "x.jsonl.zst", PLAIN, lambda content: zstandard.compress(content, 1)),
    ("parquet", "x.parquet", _parquet(), None),
    ("warc", "x.warc", _warc(), None),
    ("warc", "x.warc.gz", _warc(), lambda content: gzip.compress(content, 1)),
    ("wet", "x.wet.gz", _wet(), lambda content: gzip.compress(content, 1)),
    ("html", "x.html", PAGE, None),
    ("markdown", "x.md", "# T\n\nText \u00e9.\n".encode(), None),
    ("text", "x.txt", "Text \u00e9.\n".encode(), None),
]


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Returns `content` after one to four random changes."""
    result = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(result) + 1)
        length = min(len(result) - place, draw.choice([1, 1, 2, 8, 64]))
        kind = draw.randrange(6)
        if kind == 0 and result:
            result[min(place, len(result) - 1)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del result[place:]
        elif kind == 2:
            del result[place : place + length]
        elif kind == 3:
            result[place:place] = result[place : place + length]
        elif kind == 4:
            result[place:place] = draw.choice(
                [b"\x00", b"\xff\xfe", b"\n", b'"', b"{", b"\x1f\x8b\x08", b"9" * 20, b"\\ud800"]
            )
        else:
            result[place : place + length] = draw.randbytes(length)
    return bytes(result)


def read_one(draw: random.Random) -> str:
    """Reads one mutated file and returns its kind."""
    format_name, name, plain, pack = draw.choice(SEEDS)
    content = plain
    if pack is not None:
        content = pack(mutated(plain, draw) if draw.random() < 0.5 else plain)
    content = mutated(content, draw)
    options = reading.ReadOptions(Keys(), "fuzz", max_document_bytes=1000, max_expansion=50)
    part = reading.FileRange(name, name)
    for batch in reading.read(part, format_name, lambda _: io.BytesIO(content), options):
        batch.documents.validate(full=True)
        for error in batch.errors:
            if error.file != name or not error.error_type or not error.message:
                raise AssertionError(f"an error without place or reason: {error.error_type}")
    return name


def load_one(draw: random.Random, folder: Path, seeds: list[bytes]) -> str:
    """Loads one mutated manifest and returns its kind."""
    path = folder / "manifest.yaml"
    path.write_bytes(mutated(draw.choice(seeds), draw))
    try:
        load_manifest(path)
    except RaicurateError as error:
        if not str(error):
            raise AssertionError("an error without a message") from error
        return "manifest, refused"
    return "manifest, accepted"


def main() -> int:
    """Runs the fuzzer and prints how many inputs of each kind it survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory-mb", type=int, default=2048)
    options = parser.parse_args()
    limit = options.memory_mb << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    manifests = [(PACKAGE_FOLDER / "quickstart.yaml").read_bytes()]
    survived: Counter[str] = Counter()
    slowest = 0.0
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.inputs):
            draw = random.Random(f"{options.seed}/{number}")
            begun = time.monotonic()
            try:
                kind = (
                    load_one(draw, Path(folder), manifests) if number % 20 == 0 else read_one(draw)
                )
            except Exception as error:
                print(f"input {options.seed}/{number}: {type(error).__name__}: {error}")
                raise
            elapsed = time.monotonic() - begun
            slowest = max(slowest, elapsed)
            if elapsed > SECONDS:
                print(f"input {options.seed}/{number} ({kind}) took {elapsed:.1f} s")
                return 1
            survived[kind] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for kind, count in sorted(survived.items()):
        print(f"{kind:<20} {count:>9}")
    print(
        f"{options.inputs} inputs, seed {options.seed}, {time.monotonic() - started:.0f} s, "
        f"slowest {slowest:.2f} s, peak {peak:.0f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
