"""`raicurate trace`: say where a document of an output came from and went to."""

import argparse
from collections.abc import Iterator
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from raicurate.corpora_manifests.errors import ContractError, UsageError
from raicurate.pipelines import storage
from raicurate.pipelines.cli import print_json
from raicurate.pipelines.receipts import LEDGER, PAIRS, RESTRICTED, Part, Receipt
from raicurate.pipelines.snapshots import Snapshot, current_snapshot
from raicurate.transforms.contextualize import recover_original

_SHOWN = ["action", "rule", "lang", "harm_score", "severity", "hazards", "text_sha256"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("out", metavar="DIR")
    parser.add_argument("document_id", metavar="DOC_ID")
    parser.add_argument(
        "--text", action="store_true", help="show the text before and after (it may be harmful)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Runs the command."""
    out = storage.absolute(options.out)
    snapshot = current_snapshot(out)
    if snapshot is None:
        raise UsageError(f"{options.out} holds no snapshot; finish a run there first")
    found = trace(out, snapshot, options.document_id)
    if not found:
        raise ContractError(
            f"no document {options.document_id!r} in snapshot {snapshot.number} of {options.out}; "
            "it was not in the input, or was withdrawn"
        )
    if options.json:
        print_json(found)
    else:
        for row in found:
            for name, value in row.items():
                print(f"{name:<12} {value}")
            if options.text:
                print("\n".join(text_lines(out, row)))
            print()
    return 0


def trace(out: str, snapshot: Snapshot, document_id: str) -> list[dict[str, object]]:
    """Returns, for each document of that id: its origin, what was decided, and where it stands."""
    found = []
    for receipt in snapshot.receipts:
        for part in receipt.parts:
            if part.layer != LEDGER:
                continue
            with storage.open_read(storage.join(out, part.path)) as opened:
                table = pq.read_table(opened, filters=ds.field("id") == document_id)
            found += [
                _row(snapshot, receipt, row) | _pairs_of(out, receipt, document_id)
                for row in table.to_pylist()
            ]
    return found or _traced_pair(out, snapshot, document_id)


def _pairs_of(out: str, receipt: Receipt, document_id: str) -> dict[str, object]:
    """Returns the ids of the pairs that were written beside a document."""
    ids = [
        row["id"]
        for _, row in _pair_rows(out, receipt, ["id", "derived_from"])
        if document_id in row["derived_from"]
    ]
    return {"pairs": ids} if ids else {}


def _traced_pair(out: str, snapshot: Snapshot, pair_id: str) -> list[dict[str, object]]:
    """Returns what there is to say about a text of a pair."""
    columns = ["id", "kind", "lang", "hazard", "derived_from", "refs"]
    return [
        {**row, "corpus": receipt.corpus, "stands in": part.path, "snapshot": snapshot.number}
        for receipt in snapshot.receipts
        for part, row in _pair_rows(out, receipt, columns)
        if row["id"] == pair_id
    ]


def _pair_rows(
    out: str, receipt: Receipt, columns: list[str]
) -> Iterator[tuple[Part, dict[str, Any]]]:
    for part in receipt.parts:
        if part.layer == PAIRS:
            with storage.open_read(storage.join(out, part.path)) as opened:
                for row in pq.read_table(opened, columns=columns).to_pylist():
                    yield part, row


def _row(snapshot: Snapshot, receipt: Receipt, row: dict[str, object]) -> dict[str, object]:
    return {
        "id": row["id"],
        "corpus": receipt.corpus,
        "from": f"{row['src_file']}, row {row['src_row']}",
        **{name: _short(row[name]) for name in _SHOWN},
        "stands in": _place(receipt, row),
        "unit": receipt.unit,
        "keys": receipt.keys,
        "policy": f"{snapshot.policy['name']} {snapshot.policy['version']}",
        "snapshot": snapshot.number,
    }


def _short(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value


def _place(receipt: Receipt, row: dict[str, object]) -> str | None:
    parts: list[Part] = [part for part in receipt.parts if part.layer == row["tier"]]
    number = row["part"]
    if not parts or not isinstance(number, int):
        return None
    prefix = "(restricted tier) " if row["tier"] == RESTRICTED else ""
    return prefix + parts[number].path


def text_lines(out: str, row: dict[str, object]) -> list[str]:
    """Returns the text of a published document: what was there before, then what is there now."""
    place = row["stands in"]
    if isinstance(place, str) and place.startswith("pairs/"):
        with storage.open_read(storage.join(out, place)) as opened:
            table = pq.read_table(opened, filters=ds.field("id") == row["id"], columns=["text"])
        return ["", *table.column("text").to_pylist()]
    if not isinstance(place, str) or not place.startswith("data/"):
        return ["", "(no published text)"]
    with storage.open_read(storage.join(out, place)) as opened:
        chosen = (ds.field("id") == row["id"]) & (ds.field("text_sha256") == row["text_sha256"])
        document = pq.read_table(opened, filters=chosen, columns=["text", "spans"]).to_pylist()[0]
    before = recover_original(document["text"], document["spans"])
    return ["", "--- before ---", before, "", "--- after ---", document["text"]]
