"""Pairs beside the documents: offered by unit, taken over all corpora, written by unit.

The first and the last step are done by the executor of the run, unit by unit; the one between looks
at digests only. What is taken of a unit stands in a verdict file, whose digest enters the key
`pairs` of the unit, by which its parts are named. The key `apply` does not depend on it, so that a
pair taken elsewhere, or a changed wish for pairs, renames no document.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pyarrow as pa

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.pairs import Pairs
from raicurate.exercise_templates.pairs import PairLibrary
from raicurate.pipelines import storage
from raicurate.pipelines.curate_unit import Job
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.parts import PartWriter
from raicurate.pipelines.plan import parts_stand
from raicurate.pipelines.receipts import (
    PAIRS,
    Part,
    Receipt,
    with_layer,
    write_receipt,
    written_receipt,
)
from raicurate.pipelines.stored_annotations import StoredAnnotations
from raicurate.pipelines.units import Unit
from raicurate.transforms import decide, schema
from raicurate.transforms.decide import Decider
from raicurate.transforms.pairs import OFFERS, VERSION, Taken, offers, pair_rows, take

WRITTEN, LEFT_OUT = "pairs", "pairs_left_out"
"""Tables of a receipt: pairs by theme, and offers that were not taken, by theme and reason."""


class PairProposer:
    """Writes what a unit offers; the same annotations under the same policy are looked at once."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._policy = _wanted(config)
        self._library = PairLibrary.load()

    def do(self, job: Job) -> Receipt:
        """Writes the offers of a unit and returns its receipt."""
        (receipt,) = job.previous
        decider = Decider(self._config.manifest.policy, self._config.corpus(receipt.corpus))
        found, row = [], 0
        for labels in StoredAnnotations.of(self._config.out, receipt).batches():
            decisions = decider.decide(labels)
            found.append(offers(labels, decisions, self._policy, self._library, row))
            row += labels.num_rows
        table = pa.Table.from_batches(found, schema=OFFERS)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, OFFERS) as writer:
            writer.write_table(table)
        storage.write_bytes(
            offers_path(self._config, receipt, self._library), sink.getvalue().to_pybytes()
        )
        return receipt


class PairWriter:
    """Writes the pairs that were taken of a unit, and its receipt with them."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._library = PairLibrary.load()

    def do(self, job: Job) -> Receipt:
        """Writes the pairs of a unit and returns its new receipt, which is written by then."""
        (receipt,) = job.previous
        config, corpus = self._config, self._config.corpus(receipt.corpus)
        verdict = orjson.loads(storage.read_bytes(verdict_path(config.out, receipt.unit)))
        taken = [Taken(*values) for values in verdict["taken"]]
        key = pairs_key(config, receipt, taken, self._library)
        output = config.manifest.output
        prefix = f"pairs/{receipt.corpus}"
        writer = PartWriter(
            schema.PAIRS, storage.join(config.out, prefix), output.row_group_bytes,
            output.part_bytes, "text",
        )  # fmt: skip
        try:
            for documents in _sources(config.out, receipt, taken):
                writer.append(pair_rows(documents, corpus.name, corpus.added, self._library))
            footer = {
                "rai.unit": receipt.unit,
                "rai.read": receipt.keys["read"],
                "rai.annotate": receipt.keys["annotate"],
                "rai.pairs": key,
            }
            parts = writer.commit(PAIRS, prefix, f"part-{receipt.unit}-{key[:16]}", footer)
        finally:
            writer.discard()
        written = _with_pairs(receipt, key, parts, taken, verdict["left_out"])
        write_receipt(config.out, written)
        return written


def _sources(
    out: str, receipt: Receipt, taken: Sequence[Taken]
) -> Iterator[list[tuple[Taken, str, str]]]:
    """Yields, batch by batch, what was taken with id and text digest of its source."""
    first = position = 0
    for labels in StoredAnnotations.of(out, receipt).batches(["id", "text_sha256"]):
        found = []
        while position < len(taken) and taken[position].row < first + labels.num_rows:
            row = taken[position].row - first
            found.append(
                (taken[position], *(labels.column(index)[row].as_py() for index in (0, 1)))
            )
            position += 1
        if found:
            yield found
        first += labels.num_rows


def _wanted(config: RunConfig) -> Pairs:
    wanted = config.manifest.policy.pairs
    assert wanted is not None, "pairs are asked for where the policy wants none"
    return wanted


def offers_path(config: RunConfig, receipt: Receipt, library: PairLibrary) -> str:
    """Returns where the offers of a unit stand; another path where they would be others."""
    policy = config.manifest.policy.model_dump(
        mode="json", exclude={"name", "version", "description", "context", "personal_data"}
    )
    corpus = config.corpus(receipt.corpus).model_dump(
        mode="json", include={"name", "role", "trust", "source"}
    )
    key = digest(VERSION, decide.VERSION, receipt.keys["annotate"], policy, corpus, library.digest)
    return storage.join(_folder(config.out), "offers", f"{receipt.unit}-{key[:16]}.arrow")


def verdict_path(out: str, unit: str) -> str:
    """Returns where it stands what was taken of a unit."""
    return storage.join(_folder(out), "verdicts", f"{unit}.json")


def _folder(out: str) -> str:
    return storage.join(out, "_rai", "pairs")


def pairs_key(
    config: RunConfig, receipt: Receipt, taken: Sequence[Taken], library: PairLibrary
) -> str:
    """Returns the key of the pairs of a unit."""
    output = config.manifest.output
    corpus = config.corpus(receipt.corpus).model_dump(mode="json", include={"name", "added"})
    return digest(
        VERSION, schema.SCHEMA_VERSION, receipt.keys["annotate"], [list(one) for one in taken],
        library.digest, corpus, output.part_bytes, output.row_group_bytes,
    )  # fmt: skip


def without_pairs(receipt: Receipt) -> Receipt:
    """Returns a receipt as it would be if the policy wanted no pairs."""
    return with_layer(receipt, PAIRS, None, [], {}, (WRITTEN, LEFT_OUT))


def _with_pairs(
    receipt: Receipt,
    key: str,
    parts: Sequence[Part],
    taken: Sequence[Taken],
    left_out: dict[str, int],
) -> Receipt:
    tables = {WRITTEN: Counter(one.theme for one in taken), LEFT_OUT: left_out}
    return with_layer(receipt, PAIRS, key if parts else None, parts, tables, tuple(tables))


class PairStage:
    """What a run does about pairs, between its units and its snapshot."""

    def __init__(self, config: RunConfig, units: Sequence[Unit], execute: Any) -> None:
        """Prepares the stage.

        Args:
            config: What the run was asked to do.
            units: The unit of each receipt.
            execute: Does jobs: called with a list of them and the name of a stage.
        """
        self._config = config
        self._units = units
        self._execute = execute

    def finished(self, receipts: Sequence[Receipt]) -> tuple[Receipt, ...]:
        """Returns the receipts with the pairs that the policy wants, and no others."""
        config = self._config
        if config.manifest.policy.pairs is None:
            plain = [without_pairs(receipt) for receipt in receipts]
            self._write_changed(receipts, plain)
            _keep_only(config.out, set())
            return tuple(plain)
        library = PairLibrary.load()
        paths = [offers_path(config, receipt, library) for receipt in receipts]
        self._do(
            "propose_pairs",
            [index for index, path in enumerate(paths) if not storage.exists(path)],
            receipts,
        )
        offered = [
            (receipt.unit, _read_offers(path))
            for receipt, path in zip(receipts, paths, strict=True)
        ]
        taken, left = take(offered, config.manifest.policy.pairs)
        wanted: list[Receipt] = []
        missing: list[int] = []
        for index, receipt in enumerate(receipts):
            of_unit, left_out = taken[receipt.unit], left[receipt.unit]
            key = pairs_key(config, receipt, of_unit, library)
            standing = [part for part in receipt.parts if part.layer == PAIRS]
            if of_unit and (receipt.keys.get("pairs") != key or not parts_stand(config, standing)):
                verdict = {"taken": [list(one) for one in of_unit], "left_out": left_out}
                storage.write_bytes(verdict_path(config.out, receipt.unit), orjson.dumps(verdict))
                missing.append(index)
            parts = standing if of_unit else []
            wanted.append(_with_pairs(receipt, key, parts, of_unit, left_out))
        unchanged = [one for index, one in enumerate(wanted) if index not in set(missing)]
        before = [one for index, one in enumerate(receipts) if index not in set(missing)]
        self._write_changed(before, unchanged)
        self._do("write_pairs", missing, receipts)
        for index in missing:
            wanted[index] = written_receipt(
                config.out, receipts[index].unit, receipts[index].request
            )
        verdicts = {verdict_path(config.out, r.unit) for r in receipts if taken[r.unit]}
        _keep_only(config.out, {*paths, *verdicts})
        return tuple(wanted)

    def _do(self, stage: str, indices: Sequence[int], receipts: Sequence[Receipt]) -> None:
        jobs = [
            Job(self._units[index], receipts[index].request, (receipts[index],))
            for index in indices
        ]
        if jobs:
            self._execute(jobs, stage)

    def _write_changed(self, before: Sequence[Receipt], after: Sequence[Receipt]) -> None:
        for old, new in zip(before, after, strict=True):
            if new != old:
                write_receipt(self._config.out, new)


def _read_offers(path: str) -> pa.Table:
    return pa.ipc.open_file(pa.py_buffer(storage.read_bytes(path))).read_all()


def _keep_only(out: str, wanted: set[str]) -> None:
    """Removes offers and verdicts that no unit of the run has any more."""
    for file in storage.list_files(_folder(out)):
        if file.path not in wanted:
            storage.delete(file.path)
