"""Outside sets: items and documents from files that are not part of this project.

A file is JSON Lines (plain, gzip or zstd) or Parquet. A loader turns one row into one item, or says
why it cannot; what is left out is counted, never hidden. Which of many items are taken is decided
by the digests of their ids, so that every run and every checkpoint is asked the same ones.
"""

import gzip
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import zstandard
from pydantic import ValidationError

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.probes.items import OutsideItem, ProbeDocument, PromptItem
from raicurate.probes.loaders_fairness import bbq, bold, crows_pairs, dialect_pairs, stereoset
from raicurate.probes.loaders_fairness import winogender as winogender_pairs
from raicurate.probes.loaders_knowledge import choices, documents
from raicurate.probes.suite import OutsideSet

Row = Mapping[str, Any]
RowLoader = Callable[[Row, OutsideSet, int], OutsideItem | ProbeDocument | str]
"""From a row, its set and its place to an item, or to the reason why there is none."""

_BY_ROW: Mapping[str, RowLoader] = {
    "bbq": bbq,
    "bold": bold,
    "choices": choices,
    "crows_pairs": crows_pairs,
    "dialect_pairs": dialect_pairs,
    "documents": documents,
    "stereoset": stereoset,
}

_BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a set holds.

    Attributes:
        items: Its items, by their ids; without documents.
        documents: Its documents, by their ids.
        rows: Rows of the file.
        left_out: How many rows gave no item, by reason; those beyond `limit` among them.
        digest: Digest of what was taken.
    """

    items: tuple[OutsideItem, ...]
    documents: tuple[ProbeDocument, ...]
    rows: int
    left_out: Mapping[str, int]
    digest: str


def load_outside(outside: OutsideSet) -> Loaded:
    """Returns the items of an outside set.

    Raises:
        ManifestError: The file is missing, cannot be read, gives no item, or has an id twice.
    """
    path = Path(outside.path)
    if not path.is_file():
        raise ManifestError(
            f"outside set {outside.name!r}: there is no file {path}, so it cannot be asked; "
            "correct `path`, or take the set out of the suite"
        )
    left_out: Counter[str] = Counter()
    wanted = []
    total = 0
    for row in read_rows(path):
        total += 1
        if any(row.get(column) != value for column, value in outside.where.items()):
            left_out["not selected by `where`"] += 1
        else:
            wanted.append((total, row))
    found: dict[str, OutsideItem | ProbeDocument] = {}
    for entry in _entries(wanted, outside, left_out):
        if entry.id in found:
            raise ManifestError(
                f"outside set {outside.name!r}: {path} has the id {entry.id!r} twice, so results "
                "could not be told apart; give each row its own"
            )
        found[entry.id] = entry
    if not found:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in sorted(left_out.items()))
        raise ManifestError(
            f"outside set {outside.name!r}: none of the {total} rows of {path} is an item for the "
            f"loader {outside.loader!r} ({reasons or 'the file is empty'}); check the loader"
        )
    taken = _in_turn(sorted(found, key=lambda name: digest([outside.name, name])), found)
    taken = taken[: outside.limit]
    if len(taken) < len(found):
        left_out["beyond `limit`"] = len(found) - len(taken)
    entries = [found[name] for name in sorted(taken)]
    return Loaded(
        tuple(entry for entry in entries if not isinstance(entry, ProbeDocument)),
        tuple(entry for entry in entries if isinstance(entry, ProbeDocument)),
        total,
        dict(sorted(left_out.items())),
        digest([entry.model_dump(mode="json") for entry in entries]),
    )


def _in_turn(names: Sequence[str], found: Mapping[str, OutsideItem | ProbeDocument]) -> list[str]:
    """Returns names of items, prompts by turns of their groups, so that a limit leaves all some."""
    place: Counter[str] = Counter()
    turns = {}
    for name in names:
        entry = found[name]
        group = entry.group if isinstance(entry, PromptItem) else name
        turns[name] = place[group]
        place[group] += 1
    return sorted(names, key=turns.__getitem__)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a JSON Lines or Parquet file.

    Raises:
        ManifestError: The file is damaged, or a line is no JSON object.
    """
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH_ROWS):
                    yield from batch.to_pylist()
            return
        with _lines(path) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                row = orjson.loads(line)
                if not isinstance(row, dict):
                    raise ManifestError(f"{path}, line {number}: no JSON object; mend the file")
                yield row
    except (OSError, EOFError, ValueError, zstandard.ZstdError) as error:
        # A JSON error quotes nothing but its place; items on hazards end in no message.
        raise ManifestError(
            f"{path} cannot be read ({type(error).__name__}); fetch it anew, or mend it"
        ) from error


def _lines(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        stream = zstandard.ZstdDecompressor().stream_reader(
            path.open("rb"), read_across_frames=True, closefd=True
        )
        return io.BufferedReader(stream)
    return path.open("rb")


def _entries(
    rows: list[tuple[int, dict[str, Any]]], outside: OutsideSet, left_out: Counter[str]
) -> Iterator[OutsideItem | ProbeDocument]:
    if outside.loader == "winogender":
        yield from winogender_pairs([row for _, row in rows], outside, left_out)
        return
    load = _BY_ROW[outside.loader]
    for number, row in rows:
        try:
            entry = load(row, outside, number)
        except (KeyError, TypeError, AttributeError, ValidationError):
            left_out["lacks what the loader reads"] += 1
            continue
        if isinstance(entry, str):
            left_out[entry] += 1
        else:
            yield entry
