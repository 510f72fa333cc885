"""How well clauses are found: precision and recall on the hand-labelled sample.

    RAI_DATA=/path/to/data python benchmarks/clauses.py [--part held_out] [--errors]

The sample is `clause_sample.jsonl`: stretches of public policy documents, drawn by digest and
labelled by a reader who had not seen what is extracted from them (see `clause_sample.md` for the
rules). It holds places and labels, no text.
"""

import argparse
import gzip
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from raicurate.transforms.clause import Clause
from raicurate.transforms.clause_packs import shipped_packs
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.policy_document import read_policy

SAMPLE = Path(__file__).with_name("clause_sample.jsonl")
PARTS = ("tuning", "held_out")
# A clause is the labelled stretch if they share this much of both together.
_SAME = 0.5


@dataclass(frozen=True)
class Labelled:
    """A stretch of a document and what it is.

    Attributes:
        labels: All modalities that are right; `none` where it is no clause. Several where a
            sentence carries several, or where readers may differ.
    """

    language: str
    part: str
    document: str
    text_sha256: str
    start: int
    end: int
    labels: tuple[str, ...]


@dataclass
class Score:
    """Counts over labelled stretches."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        """Share of the clauses found that are clauses, of the modality that was said."""
        return self.right / max(self.right + self.wrong, 1)

    @property
    def recall(self) -> float:
        """Share of the clauses of the sample that were found with their modality."""
        return self.right / max(self.right + self.missed, 1)


def read_sample(path: Path = SAMPLE) -> list[Labelled]:
    """Returns the labelled stretches."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [Labelled(**{**row, "labels": tuple(row["labels"])}) for row in rows]


def found_in(sample: Iterable[Labelled], data: Path) -> list[tuple[Labelled, Clause | None]]:
    """Returns each labelled stretch with the clause that was found there."""
    wanted = defaultdict(list)
    for unit in sample:
        wanted[unit.document].append(unit)
    pairs = []
    with gzip.open(data / "policy" / "policy_documents.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["id"] not in wanted:
                continue
            document = read_policy(row["text"], "markdown", row["id"], row["lang"])
            clauses = extract_clauses(document, shipped_packs())
            for unit in wanted[row["id"]]:
                if document.text_sha256 != unit.text_sha256:
                    raise SystemExit(
                        f"{unit.document} is not the text that was labelled, so its offsets say "
                        "nothing; use the data that the sample was drawn from"
                    )
                pairs.append((unit, _best(unit, clauses)))
    return pairs


def _best(unit: Labelled, clauses: Iterable[Clause]) -> Clause | None:
    best, most = None, 0.0
    for clause in clauses:
        common = min(unit.end, clause.span.end) - max(unit.start, clause.span.start)
        whole = max(unit.end, clause.span.end) - min(unit.start, clause.span.start)
        if common / whole > max(most, _SAME):
            best, most = clause, common / whole
    return best


def score(pairs: Iterable[tuple[Labelled, Clause | None]]) -> Score:
    """Returns the counts over pairs of what was labelled and what was found."""
    total = Score()
    for unit, clause in pairs:
        if clause is not None and clause.modality in unit.labels:
            total.right += 1
            continue
        total.wrong += clause is not None
        total.missed += "none" not in unit.labels
    return total


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, help="one part of the sample (default: both)")
    parser.add_argument("--errors", action="store_true", help="list where it goes wrong, by place")
    options = parser.parse_args()
    sample = [unit for unit in read_sample() if options.part in (None, unit.part)]
    pairs = found_in(sample, Path(os.environ["RAI_DATA"]))
    print(f"{'language':<10}{'part':<10}{'stretches':>10}{'clauses':>9}{'found':>7}"
          f"{'precision':>11}{'recall':>8}")  # fmt: skip
    for language in sorted({unit.language for unit, _ in pairs}):
        for part in (*PARTS, None):
            chosen = [
                (unit, clause)
                for unit, clause in pairs
                if unit.language == language and part in (None, unit.part)
            ]
            _print_row(language, part or "all", chosen)
    print()
    for modality in sorted({clause.modality for _, clause in pairs if clause is not None}):
        chosen = [pair for pair in pairs if modality in (pair[0].labels[0], _modality(pair[1]))]
        _print_row(modality, "", chosen)
    if options.errors:
        _print_errors(pairs)


def _modality(clause: Clause | None) -> str:
    return "none" if clause is None else clause.modality


def _print_row(name: str, part: str, pairs: list[tuple[Labelled, Clause | None]]) -> None:
    if not pairs:
        return
    total = score(pairs)
    clauses = sum("none" not in unit.labels for unit, _ in pairs)
    found = sum(clause is not None for _, clause in pairs)
    print(f"{name:<16}{part:<10}{len(pairs):>4}{clauses:>9}{found:>7}"
          f"{total.precision:>11.3f}{total.recall:>8.3f}")  # fmt: skip


def _print_errors(pairs: list[tuple[Labelled, Clause | None]]) -> None:
    confused: Counter[tuple[str, str]] = Counter()
    for unit, clause in pairs:
        if _modality(clause) not in unit.labels:
            confused["|".join(unit.labels), _modality(clause)] += 1
            print(f"{unit.language} {unit.part} {unit.document} {unit.start}-{unit.end}: "
                  f"{'|'.join(unit.labels)}, found {_modality(clause)}")  # fmt: skip
    print(confused.most_common())


if __name__ == "__main__":
    main()
