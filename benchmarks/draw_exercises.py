"""Draws exercises from the output of a run by seed, for readers who judge them.

    python -m benchmarks.draw_exercises OUT --seed 2026-11-20b --count 200 --to DIR

Writes `blind_1.jsonl` and `blind_2.jsonl` with what a reader sees (the stretch of the document
around the clauses, question and options) and `gold.jsonl` with everything. Families and languages
take turns in an order that the seed gives, so that small ones are seen as well. Only documents
whose licence lets short quotations stand are drawn from.
"""

import argparse
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

Row = dict[str, Any]

LICENCES = ("CC0", "CC-BY-4", "CC-BY-3", "MIT", "public domain")
PASSAGE_CHARS = 1500
_BLIND = ("number", "id", "document", "language", "family", "passage", "question", "choices")


def main() -> None:
    """Draws and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="output of `raicurate run`")
    parser.add_argument("--seed", required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--to", type=Path, default=Path())
    arguments = parser.parse_args()
    texts = {
        row["id"]: row["text"]
        for row in _rows(arguments.out / "data", ("id", "text", "license", "metadata"))
        if allowed(licence_of(row))
    }
    rows = [row for row in _rows(arguments.out / "exercises") if row["document"] in texts]
    chosen = drawn(rows, arguments.seed, arguments.count)
    wanted = {row["document"] for row in chosen}
    records = [
        {"number": number, **row, "passage": passage(texts[row["document"]], row["support"])}
        for number, row in enumerate(chosen, 1)
    ]
    half = (len(records) + 1) // 2
    _write(arguments.to / "gold.jsonl", records)
    for name, part in (("blind_1", records[:half]), ("blind_2", records[half:])):
        shown = [{field: record[field] for field in _BLIND} for record in part]
        _write(arguments.to / f"{name}.jsonl", shown)
    print(f"{len(records)} of {len(rows)} exercises, of {len(wanted)} documents")


def licence_of(row: Row) -> str | None:
    """Returns the licence of a document: its own where its metadata names one."""
    own = orjson.loads(row["metadata"] or "{}").get("license")
    return own if isinstance(own, str) else row["license"]


def allowed(licence: str | None) -> bool:
    """Returns whether short quotations from documents of a licence may stand in public."""
    return licence is not None and licence.startswith(LICENCES)


def drawn(rows: Iterable[Row], seed: str, count: int) -> list[Row]:
    """Returns `count` rows: one of each family and language in turn, by digest of seed and id."""
    cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        cells[row["family"], row["language"]].append(row)
    for cell in cells.values():
        cell.sort(key=lambda row: _key(seed, row["id"]), reverse=True)
    order = sorted(cells, key=lambda name: _key(seed, "\0".join(name)))
    chosen: list[Row] = []
    while len(chosen) < count and any(cells.values()):
        for name in order:
            if cells[name] and len(chosen) < count:
                chosen.append(cells[name].pop())
    return sorted(chosen, key=lambda row: _key(seed, f"place {row['id']}"))


def passage(text: str, support: Sequence[Mapping[str, int]]) -> str:
    """Returns the paragraphs around the stretches that prove an answer, cut at `PASSAGE_CHARS`.

    Stretches far apart are shown one after the other, each with its share of the characters.
    """
    room = max(PASSAGE_CHARS // max(len(support), 1), 200)
    pieces: list[tuple[int, int]] = []
    for span in sorted(support, key=lambda span: (span["start"], span["end"])):
        spare = max(room - (span["end"] - span["start"]), 0) // 2
        start, end = max(span["start"] - spare, 0), min(span["end"] + spare, len(text))
        if start > 0:
            start = text.find("\n", start, span["start"]) + 1 or start
        if end < len(text):
            stop = text.rfind("\n", span["end"], end)
            end = stop if stop > 0 else end
        if pieces and start <= pieces[-1][1]:
            pieces[-1] = pieces[-1][0], max(end, pieces[-1][1])
        else:
            pieces.append((start, end))
    return "\n[…]\n".join(text[start:end].strip() for start, end in pieces)


def _key(seed: str, name: str) -> str:
    return hashlib.sha256(f"{seed}\0{name}".encode()).hexdigest()


def _rows(folder: Path, columns: Sequence[str] | None = None) -> list[Row]:
    wanted = None if columns is None else list(columns)
    found: list[Row] = []
    for path in sorted(folder.rglob("*.parquet")):
        found += pq.read_table(path, columns=wanted).to_pylist()
    return found


def _write(path: Path, records: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))


if __name__ == "__main__":
    main()
