"""The plan: which units there are, which of them stand already, and why the others do not."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from raicurate.corpora_manifests.errors import ContractError
from raicurate.corpora_manifests.manifest import Corpus, FileEntry
from raicurate.pipelines import storage
from raicurate.pipelines.arms_verdict import ArmsVerdict
from raicurate.pipelines.blocks import Blocks
from raicurate.pipelines.curate_unit import Job
from raicurate.pipelines.keys import Keys, RunConfig
from raicurate.pipelines.receipts import Part, Receipt, read_receipts
from raicurate.pipelines.retrying import with_retries
from raicurate.pipelines.snapshots import Snapshot, current_snapshot, located
from raicurate.pipelines.units import Unit, UnitFile, find_files, plan_units

CARRIED_OVER = "carried over"

_REASONS = {
    "input": "input changed",
    "options": "options changed",
    "models": "model changed",
    "code": "code changed",
    "parameters": "annotators changed",
    "policy": "policy changed",
    "templates": "template changed",
    "language_model": "language model changed",
    "withdrawn": "withdrawals changed",
    "arms": "held-out documents changed",
}
"""Why a unit is done again, by the first component of its request that differs."""

_THREADS = 16


@dataclass(frozen=True)
class PlannedUnit:
    """A unit and what happens to it.

    Attributes:
        job: The unit, and what earlier runs left for it.
        reason: `new`, `carried over`, `part damaged`, or what changed.
        receipt: The receipt that stands, for a unit that is carried over.
    """

    job: Job
    reason: str
    receipt: Receipt | None = None


@dataclass(frozen=True)
class Plan:
    """All units of a run.

    Attributes:
        units: In the order of corpora and files.
        removed: Receipts of units of the current snapshot that are in the plan no more.
        snapshot: The current snapshot.
        arms: Which documents of the policy corpora are held out.
    """

    units: tuple[PlannedUnit, ...]
    removed: tuple[Receipt, ...] = ()
    snapshot: Snapshot | None = None
    arms: ArmsVerdict = field(default_factory=ArmsVerdict)

    @property
    def jobs(self) -> list[Job]:
        """The units that have to be done, the largest first, so that workers end together."""
        jobs = [unit.job for unit in self.units if unit.receipt is None]
        return sorted(jobs, key=lambda job: (-job.unit.decoded_bytes, job.unit.id))

    @property
    def standing(self) -> list[Receipt]:
        """The receipts of the units that are carried over."""
        return [unit.receipt for unit in self.units if unit.receipt is not None]

    def summary(self) -> dict[str, dict[str, int]]:
        """Returns units and estimated decoded bytes by reason."""
        table: dict[str, dict[str, int]] = {}
        for unit in self.units:
            row = table.setdefault(unit.reason, {"units": 0, "bytes": 0})
            row["units"] += 1
            row["bytes"] += unit.job.unit.decoded_bytes
        for receipt in self.removed:
            row = table.setdefault("removed", {"units": 0, "bytes": 0})
            row["units"] += 1
            row["bytes"] += receipt.text_bytes
        return dict(sorted(table.items()))

    def to_json(self) -> bytes:
        """Returns units with their reasons, for `_rai/plan.json` and `raicurate plan --json`."""
        units = [
            {
                "unit": planned.job.unit.id,
                "corpus": planned.job.unit.corpus,
                "reason": planned.reason,
                "files": [[file.name, file.start, file.end] for file in planned.job.unit.files],
                "bytes": planned.job.unit.decoded_bytes,
            }
            for planned in self.units
        ]
        return orjson.dumps({"summary": self.summary(), "units": units}, option=orjson.OPT_INDENT_2)


def make_plan(config: RunConfig) -> Plan:
    """Returns the plan of a run. Reads file lists, digests and receipts.

    Of text it reads the policy documents, where their clauses were not dealt to arms yet.

    Raises:
        ContractError: A pattern matches no file, or a file is not what the manifest promises.
        ManifestError: A block cannot be made.
    """
    blocks = Blocks.create(config.manifest)
    units = list(_units(config))
    arms = ArmsVerdict.dealt(config, units, blocks.annotators)
    keys = Keys(config, blocks.annotators, blocks.library, arms.digest)
    snapshot = current_snapshot(config.out)
    receipts = dict(read_receipts(config.out))
    if snapshot is not None:
        for receipt in snapshot.receipts:
            receipts.setdefault((receipt.unit, receipt.request), receipt)
    by_unit: dict[str, list[Receipt]] = {}
    for receipt in receipts.values():
        by_unit.setdefault(receipt.unit, []).append(receipt)
    # The receipt of the current snapshot comes first: a change is told against what stands.
    standing = {r.unit: r.request for r in snapshot.receipts} if snapshot else {}
    for unit_id, found in by_unit.items():
        found.sort(key=lambda receipt: (receipt.request != standing.get(unit_id), receipt.request))

    with ThreadPoolExecutor(_THREADS) as pool:
        planned = tuple(
            pool.map(lambda unit: _planned(config, keys, unit, by_unit.get(unit.id, [])), units)
        )
    ids = {unit.id for unit in units}
    removed = tuple(r for r in snapshot.receipts if r.unit not in ids) if snapshot else ()
    return Plan(planned, removed, snapshot, arms)


def _units(config: RunConfig) -> Iterator[Unit]:
    identities = _Identities(config.out)
    for corpus in config.manifest.corpora:
        files = find_files(corpus)
        _check_promises(corpus, files)
        contents = identities.of(files)
        _check_digests(corpus, files, contents)
        units = plan_units(
            corpus, zip(files, contents, strict=True), config.manifest.output.unit_bytes
        )
        if config.limit is None:
            yield from units
        else:
            yield next(units)
    identities.save()


def _planned(config: RunConfig, keys: Keys, unit: Unit, previous: Sequence[Receipt]) -> PlannedUnit:
    request = keys.request(unit)
    intact = tuple(receipt for receipt in previous if parts_stand(config, receipt.parts))
    job = Job(unit, request, intact)
    for receipt in intact:
        if receipt.request == request:
            return PlannedUnit(job, CARRIED_OVER, receipt)
    if not previous:
        return PlannedUnit(job, "new")
    if not intact or any(receipt.request == request for receipt in previous):
        return PlannedUnit(job, "part damaged")
    components = keys.components(unit)
    for name, reason in _REASONS.items():
        if components.get(name) != previous[0].components.get(name):
            return PlannedUnit(job, reason)
    return PlannedUnit(job, "options changed")


def parts_stand(config: RunConfig, parts: Iterable[Part]) -> bool:
    """Returns whether all parts have the size and the rows that their receipt says.

    A part that was superseded counts as standing: it is moved back when it is needed.
    """
    return all(_stands(config, part) for part in parts)


def _stands(config: RunConfig, part: Part) -> bool:
    path = located(config.out, config.restricted, part)
    if path is None or storage.file_size(path) != part.bytes:
        return False
    try:
        with storage.open_read(path) as opened, pq.ParquetFile(opened) as file:
            return bool(file.metadata.num_rows == part.rows)
    except (pa.ArrowException, OSError):
        return False


class _Identities:
    """Content identities of files, remembered by their stamp from one run to the next."""

    def __init__(self, out: str) -> None:
        self._folder = storage.join(out, "_rai")
        self._path = storage.join(self._folder, "identities.json")
        self._known: dict[str, list[str]] = {}
        self._used: dict[str, list[str]] = {}
        if storage.exists(self._path):
            try:
                self._known = orjson.loads(storage.read_bytes(self._path))
            except orjson.JSONDecodeError:
                self._known = {}

    def of(self, files: Sequence[storage.FileStatus]) -> list[str]:
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(self._of, files))

    def _of(self, file: storage.FileStatus) -> str:
        stamp, content = self._known.get(file.path, ["", ""])
        if stamp != file.stamp:
            content = with_retries(lambda: storage.checksum(file))
        self._used[file.path] = [file.stamp, content]
        return content

    def save(self) -> None:
        # A plan of an output that does not exist yet leaves nothing behind.
        if self._used != self._known and storage.folder_exists(self._folder):
            content = orjson.dumps(self._used, option=orjson.OPT_SORT_KEYS)
            storage.write_bytes(self._path, content)


def _check_promises(corpus: Corpus, files: Sequence[storage.FileStatus]) -> None:
    if not corpus.files:
        return
    sizes = {file.name: file.size for file in files}
    for promise in corpus.files:
        found = sizes.get(promise.path)
        if found is None:
            raise ContractError(
                f"corpus {corpus.name!r}: the manifest promises {promise.path}, which is not "
                f"below {corpus.root}; restore it, or run `raicurate manifest build`"
            )
        if found != promise.bytes:
            raise _broken_promise(corpus, promise, f"{found} bytes instead of {promise.bytes}")


def _check_digests(
    corpus: Corpus, files: Sequence[storage.FileStatus], contents: Sequence[str]
) -> None:
    promised = {promise.path: promise for promise in corpus.files if promise.sha256}
    for file, content in zip(files, contents, strict=True):
        promise = promised.get(file.name)
        # A store's own checksum cannot be compared; `manifest verify` reads such files.
        if promise and len(content) == 64 and promise.sha256 != content:
            raise _broken_promise(corpus, promise, f"the SHA-256 {content}")


def _broken_promise(corpus: Corpus, promise: FileEntry, found: str) -> ContractError:
    return ContractError(
        f"corpus {corpus.name!r}: {promise.path} has {found}, so it is not the file that the "
        "manifest promises; restore it, or accept the new one with `raicurate manifest build`"
    )


def dump_jobs(jobs: Sequence[Job]) -> bytes:
    """Returns jobs as JSON lines, for workers."""
    return b"\n".join(orjson.dumps(asdict(job)) for job in jobs)


def load_jobs(content: bytes) -> Iterator[Job]:
    """Yields the jobs that `dump_jobs` wrote."""
    for line in content.splitlines():
        values: dict[str, Any] = orjson.loads(line)
        unit = values["unit"]
        yield Job(
            Unit(unit["corpus"], tuple(UnitFile(**file) for file in unit["files"]),
                 unit["decoded_bytes"]),
            values["request"],
            tuple(Receipt.from_plain(receipt) for receipt in values["previous"]),
        )  # fmt: skip
