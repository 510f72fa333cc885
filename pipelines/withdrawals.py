"""Erasing what was withdrawn from everything that earlier runs left.

A corpus or file that is struck from the manifest, and a document on the deny list, must not survive
in superseded parts, earlier snapshots or receipts. What is erased is recorded by digest and path in
`_rai/withdrawals/`.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import orjson

from raicurate.pipelines import storage
from raicurate.pipelines.receipts import Receipt, read_receipts, receipt_path
from raicurate.pipelines.snapshots import (
    Snapshot,
    load_snapshot,
    located,
    numbers,
    snapshot_path,
)


@dataclass(frozen=True)
class Erasure:
    """What was erased, and from where.

    Attributes:
        snapshot: The snapshot that no longer holds it.
        files: Corpus and name of the input files that were struck.
        entries: Digests of the entries of the deny list that were met for the first time.
        parts: Paths of the part files that were deleted, by layer.
        snapshots: Earlier snapshots that lost units by it.
    """

    snapshot: int
    files: list[tuple[str, str]]
    entries: list[str]
    parts: dict[str, list[str]]
    snapshots: list[int]


def erase_withdrawn(out: str, restricted: str | None, current: Snapshot) -> Erasure | None:
    """Deletes whatever earlier runs left of inputs that `current` must not hold.

    Repeating it is harmless, so a run that was killed meanwhile is completed by the next one.

    Returns:
        What was erased, or None if there was nothing.
    """
    earlier = [load_snapshot(out, n) for n in numbers(out) if n != current.number]
    receipts = {(r.unit, r.request): r for snapshot in earlier for r in snapshot.receipts}
    receipts |= read_receipts(out)
    held = _Held(current.receipts)
    stale = {key: receipt for key, receipt in receipts.items() if held.forbids(receipt)}
    if not stale:
        return None
    erasure = Erasure(
        snapshot=current.number,
        files=sorted({place for r in stale.values() for place in held.struck(r)}),
        entries=sorted({entry for r in stale.values() for entry in held.new_entries(r)}),
        parts=_delete_parts(out, restricted, _versions(stale, earlier), current),
        snapshots=[_rewrite(out, s, stale) for s in earlier if _touches(s, stale)],
    )
    for unit, request in stale:
        storage.delete(receipt_path(out, unit, request))
    content = orjson.dumps(asdict(erasure), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    path = storage.join(out, "_rai", "withdrawals", f"{current.number:06d}.json")
    storage.write_bytes(path, content)
    return erasure


class _Held:
    """What the current snapshot holds, by input file."""

    def __init__(self, receipts: Iterable[Receipt]) -> None:
        self._withdrawn: dict[tuple[str, str], frozenset[str]] = {}
        for receipt in receipts:
            for file in receipt.files:
                place = (receipt.corpus, file[0])
                known = self._withdrawn.get(place, frozenset())
                self._withdrawn[place] = known | frozenset(receipt.withdrawn)

    def forbids(self, receipt: Receipt) -> bool:
        return bool(self.struck(receipt) or self.new_entries(receipt))

    def struck(self, receipt: Receipt) -> list[tuple[str, str]]:
        return [
            (receipt.corpus, file[0])
            for file in receipt.files
            if (receipt.corpus, file[0]) not in self._withdrawn
        ]

    def new_entries(self, receipt: Receipt) -> frozenset[str]:
        met: frozenset[str] = frozenset()
        for file in receipt.files:
            met |= self._withdrawn.get((receipt.corpus, file[0]), frozenset())
        return met - frozenset(receipt.withdrawn)


def _versions(stale: dict[tuple[str, str], Receipt], earlier: Iterable[Snapshot]) -> list[Receipt]:
    """Returns the stale receipts as they stand in any snapshot: their pairs may have changed."""
    found = [r for snapshot in earlier for r in snapshot.receipts if (r.unit, r.request) in stale]
    return [*stale.values(), *found]


def _delete_parts(
    out: str, restricted: str | None, stale: Iterable[Receipt], current: Snapshot
) -> dict[str, list[str]]:
    needed = {(part.layer, part.path) for part in current.parts}
    deleted: dict[str, list[str]] = {}
    for receipt in stale:
        for part in receipt.parts:
            if (part.layer, part.path) in needed:
                continue
            while (path := located(out, restricted, part)) is not None:
                storage.delete(path)
            deleted.setdefault(part.layer, []).append(part.path)
    return {layer: sorted(set(paths)) for layer, paths in sorted(deleted.items())}


def _touches(snapshot: Snapshot, stale: dict[tuple[str, str], Receipt]) -> bool:
    return any((receipt.unit, receipt.request) in stale for receipt in snapshot.receipts)


def _rewrite(out: str, snapshot: Snapshot, stale: dict[tuple[str, str], Receipt]) -> int:
    kept = tuple(r for r in snapshot.receipts if (r.unit, r.request) not in stale)
    storage.write_bytes(
        snapshot_path(out, snapshot.number), replace(snapshot, receipts=kept).to_json()
    )
    return snapshot.number
