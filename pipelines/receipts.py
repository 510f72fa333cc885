"""Receipts: what was done for a unit, under which keys, and where it stands.

A receipt is written after the parts that it names, so a unit with a valid receipt is done. It
holds no time, no host and no text: two runs of the same work write the same bytes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ContractError
from raicurate.corpora_manifests.vocabulary import ACTIONS
from raicurate.pipelines import storage

OUTCOMES = (*ACTIONS, "errors", "withdrawn")
"""Where a document can end; in the law of conservation they add up to `documents_in`."""

DATA, RESTRICTED, ANNOTATIONS, ERRORS, LEDGER, PAIRS, EXERCISES = (
    "data",
    "restricted",
    "annotations",
    "errors",
    "ledger",
    "pairs",
    "exercises",
)


@dataclass(frozen=True)
class Part:
    """A Parquet file of the output.

    Attributes:
        layer: `data`, `restricted`, `annotations`, `errors`, `ledger`, `pairs` or
            `exercises`.
        path: Path below the output, or for `restricted` below the restricted tier.
        rows: Number of rows.
        bytes: Size of the file.
        sha256: Digest of the file.
    """

    layer: str
    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Damage:
    """One kind of damage to one input file.

    Attributes:
        file: Name of the file.
        error_type: Kind of damage.
        errors: Number of error rows that tell of it.
        bytes: Bytes that are there, but could not be used, as stored.
    """

    file: str
    error_type: str
    errors: int
    bytes: int


@dataclass(frozen=True)
class Receipt:
    """What was done for one unit.

    Attributes:
        unit: Id of the unit.
        corpus: Its corpus.
        files: `[name, start, end, content]` of each input file.
        request: Key of what was asked: input, annotators, policy, templates, blocks and output.
        components: The parts of `request`, to tell why a unit must be done again.
        keys: The keys `read`, `annotate` and `apply`, and `pairs` and `exercises` where there
            are any.
        counts: `documents_in` and each outcome.
        text_bytes: UTF-8 bytes of the documents that were read.
        tables: Counts by rule, language, hazard and so on, for the reports.
        damage: Damaged input files.
        withdrawn: Digests of the entries of the deny list that were met.
        parts: The files that were written.
    """

    unit: str
    corpus: str
    files: list[list[Any]]
    request: str
    components: dict[str, str]
    keys: dict[str, str]
    counts: dict[str, int]
    text_bytes: int
    tables: dict[str, dict[str, int]]
    damage: list[Damage] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Whether every document that was read ended in exactly one place."""
        return self.counts["documents_in"] == sum(self.counts[name] for name in OUTCOMES)

    def to_json(self) -> bytes:
        """Returns the receipt as JSON that carries its own digest."""
        content = asdict(self)
        content["digest"] = digest(content)
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)

    @classmethod
    def from_json(cls, content: bytes) -> "Receipt | None":
        """Returns the receipt, or None if it is half-written, changed or of another version."""
        try:
            values = orjson.loads(content)
            promised = values.pop("digest")
            return cls.from_plain(values) if promised == digest(values) else None
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
            return None

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> "Receipt":
        """Returns the receipt from what `dataclasses.asdict` made of it."""
        return cls(
            **{
                **values,
                "damage": [Damage(**item) for item in values["damage"]],
                "parts": [Part(**item) for item in values["parts"]],
            }
        )


def receipt_path(out: str, unit: str, request: str) -> str:
    """Returns where the receipt of a unit stands."""
    return storage.join(out, "_rai", "receipts", f"{unit}-{request[:16]}.json")


def write_receipt(out: str, receipt: Receipt) -> None:
    """Writes a receipt; after this, the unit is done."""
    storage.write_bytes(receipt_path(out, receipt.unit, receipt.request), receipt.to_json())


def written_receipt(out: str, unit: str, request: str) -> Receipt:
    """Returns the receipt that a worker has just written for a unit.

    Raises:
        ContractError: It is half-written or changed.
    """
    path = receipt_path(out, unit, request)
    receipt = Receipt.from_json(storage.read_bytes(path))
    if receipt is None:
        raise ContractError(
            f"{path} was written a moment ago and is not whole, so the unit does not count as "
            "done; run again"
        )
    return receipt


def with_layer(
    receipt: Receipt,
    layer: str,
    key: str | None,
    parts: Iterable[Part],
    tables: Mapping[str, dict[str, int]],
    own_tables: Collection[str],
) -> Receipt:
    """Returns a receipt with the parts and tables of a layer in place of those that it had.

    Args:
        receipt: The receipt.
        layer: The layer, under whose name its key stands.
        key: What the parts follow from; None for none.
        parts: The parts.
        tables: Counts by table; empty ones are left out.
        own_tables: Names of all tables of the layer.
    """
    keys = {name: value for name, value in receipt.keys.items() if name != layer}
    kept = {name: table for name, table in receipt.tables.items() if name not in own_tables}
    new = {name: dict(sorted(table.items())) for name, table in tables.items() if table}
    return replace(
        receipt,
        keys=keys if key is None else {**keys, layer: key},
        parts=[*(part for part in receipt.parts if part.layer != layer), *parts],
        tables=dict(sorted({**kept, **new}.items())),
    )


def read_receipts(out: str) -> dict[tuple[str, str], Receipt]:
    """Returns the valid receipts of an output by unit and request."""
    found = {}
    for file in storage.list_files(storage.join(out, "_rai", "receipts"), ("*.json",)):
        receipt = Receipt.from_json(storage.read_bytes(file.path))
        if receipt is not None:
            found[receipt.unit, receipt.request] = receipt
    return found


def add_tables(receipts: Iterable[Receipt]) -> dict[str, dict[str, int]]:
    """Returns the sums of the tables of many receipts, in sorted order."""
    total: dict[str, dict[str, int]] = {}
    for receipt in receipts:
        for table, counts in receipt.tables.items():
            into = total.setdefault(table, {})
            for name, count in counts.items():
                into[name] = into.get(name, 0) + count
    return {table: dict(sorted(counts.items())) for table, counts in sorted(total.items())}
