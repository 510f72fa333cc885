"""Draws further stretches for the labelled sample of clauses, and adds them once they are read.

    RAI_DATA=/path/to/data python benchmarks/draw_clauses.py en=360 de=270 > sheet.jsonl
    python benchmarks/draw_clauses.py --add sheet.jsonl

The sheet holds text for the reader, who fills in `labels` (`clause_sample.md` says what they
mean); it stays out of the repository. What is added to `clause_sample.jsonl` holds none.
"""

import argparse
import gzip
import hashlib
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from raicurate.transforms.clause import DEONTIC
from raicurate.transforms.policy_document import PolicyDocument, read_policy
from raicurate.transforms.sentences import sentences

SAMPLE = Path(__file__).with_name("clause_sample.jsonl")
LABELS = (*sorted(DEONTIC), "definition", "purpose", "consequence", "exception", "none")
# Narratives of attacks, which hold no rule for anybody.
_LEFT_OUT = {"mitre-atlas/atlas-data"}
_MIN_CHARS = 15
_MAX_SHARE = 4  # a source gives at most one in so many of a language
_STORED = ("language", "part", "document", "text_sha256", "start", "end", "labels")

Row = dict[str, Any]


def draw(rows: Iterable[Row], taken: Iterable[Row], language: str, total: int) -> Iterator[Row]:
    """Yields stretches of a language, beside those taken, until there are `total` of it.

    In each round every document gives its next stretch, documents and stretches in the order of
    the digests of their id and place. What is taken was drawn by the same rounds and comes first.

    Args:
        rows: Documents: `id`, `lang`, `source`, `text`.
        taken: Stretches that are in the sample already.
        language: ISO 639-1.
        total: How many of this language there are to be in the end.
    """
    known = {(unit["document"], unit["start"]) for unit in taken if unit["language"] == language}
    documents = {
        row["id"]: row for row in rows if row["lang"] == language and row["source"] not in _LEFT_OUT
    }
    sources = Counter(documents[document]["source"] for document, _ in known)
    rounds = [
        (number, digest(name), unit)
        for name, row in documents.items()
        for number, unit in enumerate(
            _stretches(read_policy(row["text"], "markdown", name, language))
        )
    ]
    count = len(known)
    for _, _, unit in sorted(rounds, key=lambda entry: entry[:2]):
        source = documents[unit["document"]]["source"]
        if count == total:
            return
        if (unit["document"], unit["start"]) in known or sources[source] >= total // _MAX_SHARE:
            continue
        sources[source] += 1
        count += 1
        yield unit


def digest(place: str) -> str:
    """Returns the digest by which documents and stretches are ordered."""
    return hashlib.sha256(f"clause-sample-1/{place}".encode()).hexdigest()


def part_of(document: str, start: int) -> str:
    """Returns the part of the sample to which a place belongs."""
    odd = hashlib.sha256(f"part/{document}/{start}".encode()).digest()[0] % 2
    return "tuning" if odd else "held_out"


def _stretches(document: PolicyDocument) -> list[Row]:
    units = []
    for block in document.blocks:
        if block.kind == "heading":
            continue
        words, before = block.words, ""
        for first, last in sentences(words.text, words.lower, ()):
            text = words.text[first:last]
            if last - first >= _MIN_CHARS:
                span = words.span(first, last)
                units.append({
                    "language": document.language,
                    "part": part_of(document.id, span.start),
                    "document": document.id,
                    "text_sha256": document.text_sha256,
                    "start": span.start,
                    "end": span.end,
                    "labels": [],
                    "section": document.section_path(block),
                    "kind": block.kind,
                    "lead": "" if block.lead is None else document.blocks[block.lead].words.text,
                    "before": before,
                    "text": text,
                })  # fmt: skip
            before = text
    return sorted(units, key=lambda unit: digest(f"{document.id}/{unit['start']}"))


def add(sheet: Iterable[Row], sample: Path) -> int:
    """Adds the stretches of a sheet to a sample, without their text; returns how many.

    Raises:
        SystemExit: A stretch has no label or an unknown one, or is there already.
    """
    rows = [json.loads(line) for line in sample.read_text(encoding="utf-8").splitlines()]
    known = {(row["document"], row["start"]) for row in rows}
    added = [{name: unit[name] for name in _STORED} for unit in sheet]
    for unit in added:
        place = f"{unit['document']} at {unit['start']}"
        if not unit["labels"] or not set(unit["labels"]) <= set(LABELS):
            raise SystemExit(f"{place}: labels must be of {', '.join(LABELS)}; nothing was added")
        if (unit["document"], unit["start"]) in known:
            raise SystemExit(f"{place} is in the sample already; nothing was added")
        known.add((unit["document"], unit["start"]))
    with sample.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(unit, ensure_ascii=False) + "\n" for unit in added)
    return len(added)


def main() -> None:
    """Draws, or adds what was drawn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("totals", nargs="*", metavar="LANGUAGE=TOTAL", help="how many in the end")
    parser.add_argument("--add", type=Path, metavar="SHEET", help="a sheet with its labels")
    options = parser.parse_args()
    if options.add is not None:
        lines = options.add.read_text(encoding="utf-8").splitlines()
        print(f"{add(map(json.loads, lines), SAMPLE)} stretches added")
        return
    with SAMPLE.open(encoding="utf-8") as sample:
        taken = [json.loads(line) for line in sample]
    policy = Path(os.environ["RAI_DATA"]) / "policy" / "policy_documents.jsonl.gz"
    by_language = defaultdict(list)
    with gzip.open(policy, "rt", encoding="utf-8") as documents:
        for row in map(json.loads, documents):
            by_language[row["lang"]].append(row)
    for entry in options.totals:
        language, _, total = entry.partition("=")
        for unit in draw(by_language[language], taken, language, int(total)):
            sys.stdout.write(json.dumps(unit, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
