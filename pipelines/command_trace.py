"""`raicurate trace`: say where a document of an output came from and went to."""

import argparse

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from raicurate.corpora_manifests.errors import ContractError, UsageError
from raicurate.pipelines import storage
from raicurate.pipelines.cli import print_json
from raicurate.pipelines.receipts import LEDGER, RESTRICTED, Part, Receipt
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
            found += [_row(snapshot, receipt, row) for row in table.to_pylist()]
    return found


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
    if not isinstance(place, str) or not place.startswith("data/"):
        return ["", "(no published text)"]
    with storage.open_read(storage.join(out, place)) as opened:
        chosen = (ds.field("id") == row["id"]) & (ds.field("text_sha256") == row["text_sha256"])
        document = pq.read_table(opened, filters=chosen, columns=["text", "spans"]).to_pylist()[0]
    before = recover_original(document["text"], document["spans"])
    return ["", "--- before ---", before, "", "--- after ---", document["text"]]
