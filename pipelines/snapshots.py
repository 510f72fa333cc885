"""Snapshots: what a finished run consists of, file by file.

A snapshot is committed by one pointer, `_rai/current`, written after it. What no snapshot needs any
more moves to `_rai/superseded/`, so that a glob over `data/` sees the current one only.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ContractError
from raicurate.pipelines import storage
from raicurate.pipelines.receipts import (
    ANNOTATIONS,
    DATA,
    ERRORS,
    EXERCISES,
    LEDGER,
    PAIRS,
    RESTRICTED,
    Part,
    Receipt,
)
from raicurate.transforms.schema import SCHEMA_VERSION


@dataclass(frozen=True)
class Snapshot:
    """A finished run.

    Attributes:
        number: Counts the snapshots of an output from 1.
        manifest: Name, version and digest of the manifest.
        policy: Name, version and digest of the policy.
        receipts: The receipt of every unit, in order.
        parent: Number of the snapshot before, or None.
    """

    number: int
    manifest: dict[str, str]
    policy: dict[str, str]
    receipts: tuple[Receipt, ...]
    parent: int | None = None

    @property
    def parts(self) -> Iterator[Part]:
        """All files of the snapshot."""
        for receipt in self.receipts:
            yield from receipt.parts

    def to_json(self) -> bytes:
        """Returns the snapshot as JSON that carries its own digest."""
        content: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        content["digest"] = digest(content)
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)

    def same_content(self, other: "Snapshot | None") -> bool:
        """Returns whether two snapshots differ in nothing but their number."""
        return other is not None and (self.manifest, self.policy, self.receipts) == (
            other.manifest,
            other.policy,
            other.receipts,
        )


def snapshot_path(out: str, number: int) -> str:
    """Returns where a snapshot stands."""
    return storage.join(out, "_rai", "snapshots", f"{number:06d}.json")


def pointer_path(out: str) -> str:
    """Returns where the pointer to the current snapshot stands."""
    return storage.join(out, "_rai", "current")


def current_snapshot(out: str) -> Snapshot | None:
    """Returns the snapshot that the pointer names, or None before the first run.

    Raises:
        ContractError: It cannot be read.
    """
    path = pointer_path(out)
    if not storage.exists(path):
        return None
    content = storage.read_bytes(path).strip()
    if not content.isdigit():
        raise ContractError(
            f"{path} does not name a snapshot, so the current one is not known; write one of the "
            f"numbers {numbers(out)} into it"
        )
    return load_snapshot(out, int(content))


def load_snapshot(out: str, number: int) -> Snapshot:
    """Returns a snapshot by number.

    Raises:
        ContractError: There is none of that number, or it was changed.
    """
    path = snapshot_path(out, number)
    try:
        values = orjson.loads(storage.read_bytes(path))
        promised = values.pop("digest")
    except (OSError, orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ContractError(f"{path} is no readable snapshot; known are {numbers(out)}") from error
    if promised != digest(values):
        raise ContractError(f"{path} was changed after it was written; take another snapshot")
    del values["schema_version"]
    receipts = tuple(Receipt.from_plain(receipt) for receipt in values.pop("receipts"))
    return Snapshot(**values, receipts=receipts)


def numbers(out: str) -> list[int]:
    """Returns the numbers of all snapshots of an output, sorted."""
    files = storage.list_files(storage.join(out, "_rai", "snapshots"), ("*.json",))
    names = [file.name.removesuffix(".json") for file in files]
    return sorted(int(name) for name in names if name.isdecimal())


def commit_snapshot(out: str, snapshot: Snapshot) -> None:
    """Writes a snapshot, then the pointer to it; between the two, the one before is current."""
    storage.write_bytes(snapshot_path(out, snapshot.number), snapshot.to_json())
    storage.write_bytes(pointer_path(out), f"{snapshot.number}\n".encode())


def superseded_path(root: str, part: Part) -> str:
    """Returns where a part of an earlier snapshot stands."""
    folder = "_superseded" if part.layer == RESTRICTED else "_rai/superseded"
    return storage.join(root, folder, part.path)


def located(out: str, restricted: str | None, part: Part) -> str | None:
    """Returns where a part stands now, current or superseded; None if it is gone."""
    root = restricted if part.layer == RESTRICTED and restricted else out
    for path in (storage.join(root, part.path), superseded_path(root, part)):
        if storage.file_size(path) is not None:
            return path
    return None


def arrange(out: str, restricted: str | None, parts: Iterable[Part]) -> None:
    """Makes the layers hold exactly `parts`: moves others away, and back what was moved."""
    wanted = {(part.layer == RESTRICTED, part.path): part for part in parts}
    for (in_restricted, path), part in wanted.items():
        root = restricted if in_restricted and restricted else out
        if storage.file_size(storage.join(root, path)) is None:
            storage.move(superseded_path(root, part), storage.join(root, path))
    for layer in (DATA, ANNOTATIONS, ERRORS, LEDGER, PAIRS, EXERCISES):
        for file in storage.list_files(storage.join(out, layer), ("**/*.parquet",)):
            path = f"{layer}/{file.name}"
            if (False, path) not in wanted:
                storage.move(file.path, storage.join(out, "_rai/superseded", path))
    if restricted is not None:
        for file in storage.list_files(restricted, ("**/*.parquet",)):
            if (True, file.name) not in wanted and not file.name.startswith("_superseded/"):
                storage.move(file.path, storage.join(restricted, "_superseded", file.name))


def unneeded_files(out: str, restricted: str | None, kept: Sequence[Snapshot]) -> list[str]:
    """Returns the superseded parts, receipts and snapshots that no kept snapshot needs."""
    paths = {(part.layer == RESTRICTED, part.path) for snapshot in kept for part in snapshot.parts}
    receipts = {
        f"{receipt.unit}-{receipt.request[:16]}.json"
        for snapshot in kept
        for receipt in snapshot.receipts
    }
    snapshots = {snapshot.number for snapshot in kept}
    unneeded = [
        file.path
        for file in storage.list_files(storage.join(out, "_rai/superseded"))
        if (False, file.name) not in paths
    ]
    if restricted is not None:
        unneeded += [
            file.path
            for file in storage.list_files(storage.join(restricted, "_superseded"))
            if (True, file.name) not in paths
        ]
    unneeded += [
        file.path
        for file in storage.list_files(storage.join(out, "_rai/receipts"), ("*.json",))
        if file.name not in receipts
    ]
    unneeded += [snapshot_path(out, number) for number in numbers(out) if number not in snapshots]
    return sorted(unneeded)
