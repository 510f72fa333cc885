"""One unit, from input to receipt: read, annotate, decide, apply, verify, commit.

Runs in whatever process a runner gives it and imports nothing of Beam. Memory holds a batch and a
row group, never a unit. Repeating it, at any time and place, changes nothing.
"""

from dataclasses import dataclass, replace

from raicurate.corpora_manifests.errors import ContractError
from raicurate.pipelines.arms_verdict import ArmsVerdict
from raicurate.pipelines.blocks import Blocks
from raicurate.pipelines.deny_list import DenyList
from raicurate.pipelines.keys import Keys, RunConfig
from raicurate.pipelines.model_context import ModelContext
from raicurate.pipelines.model_judge import Judge
from raicurate.pipelines.output_rows import error_rows, ledger_rows, published_rows, unread_rows
from raicurate.pipelines.receipts import Receipt, write_receipt
from raicurate.pipelines.stored_annotations import StoredAnnotations
from raicurate.pipelines.tally import Tally
from raicurate.pipelines.unit_input import read_unit
from raicurate.pipelines.unit_writer import UnitWriter
from raicurate.pipelines.units import Unit
from raicurate.transforms.contextualize import contextualize
from raicurate.transforms.decide import Decider


@dataclass(frozen=True)
class Job:
    """A unit that has to be done, and what earlier runs left for it.

    Attributes:
        unit: The unit.
        request: Key of all that is asked for it, as the plan saw it.
        previous: Earlier receipts of the same unit whose parts stand, the current one first.
    """

    unit: Unit
    request: str
    previous: tuple[Receipt, ...] = ()


class UnitCurator:
    """Curates units under one configuration; holds the loaded models of a process."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._blocks = Blocks.create(config.manifest)
        self._arms = ArmsVerdict.load(config)
        self._keys = Keys(config, self._blocks.annotators, self._blocks.library, self._arms.digest)
        self._deny = DenyList(config.manifest.withdrawn)
        self._model = ModelContext.of(config.manifest, config.out)
        self._judge = Judge(self._blocks.annotators, config.out)

    def curate(self, job: Job) -> Receipt:
        """Does a unit and returns its receipt, which is written by then.

        Raises:
            ContractError: Input, templates, models or code are not those that were planned with,
                or what was written does not add up.
            OSError: The input cannot be read or the output cannot be written, after retries.
        """
        if self._keys.request(job.unit) != job.request:
            raise ContractError(
                f"unit {job.unit.id}: templates, models or code changed since the run was planned, "
                "or the worker has others installed, so nothing of it was done; run again"
            )
        stored = self._stored_annotations(job)
        if stored is not None:
            receipt = self._carried_over(job, stored)
            if receipt is not None:
                write_receipt(self._config.out, receipt)
                return receipt
        receipt = self._written(job.unit, stored)
        write_receipt(self._config.out, receipt)
        return receipt

    def _stored_annotations(self, job: Job) -> StoredAnnotations | None:
        """Returns the annotations that an earlier run made of the same documents, if any."""
        for receipt in job.previous:
            stored = StoredAnnotations.of(self._config.out, receipt)
            met = self._withdrawn(receipt, stored)
            if stored.key == self._keys.annotate(self._keys.read(job.unit, met)):
                return stored
        return None

    def _withdrawn(self, receipt: Receipt, stored: StoredAnnotations) -> list[str]:
        """Returns which entries of the deny list the documents of an earlier receipt meet."""
        met = set(receipt.withdrawn) & self._deny.entries
        if receipt.components["withdrawn"] != self._keys.withdrawn:
            for labels in stored.batches(["id", "text_sha256"]):
                met |= self._deny.split(labels)[1]
        return sorted(met)

    def _carried_over(self, job: Job, stored: StoredAnnotations) -> Receipt | None:
        """Returns a receipt for parts that stand already, if every decision is as it was."""
        unit = job.unit
        decider = Decider(self._config.manifest.policy, self._config.corpus(unit.corpus))
        reachable = self._blocks.reachable_templates()
        for labels in stored.batches():
            decisions = self._arms.held_out(unit.id, labels, decider.decide(labels))
            reachable.add(labels, decisions)
        apply_key = self._keys.apply(unit, stored.key, decider.digest(), reachable.digests())
        for receipt in job.previous:
            if receipt.keys["apply"] == apply_key:
                return replace(
                    receipt,
                    request=self._keys.request(unit),
                    components=self._keys.components(unit),
                )
        return None

    def _written(self, unit: Unit, stored: StoredAnnotations | None) -> Receipt:
        corpus = self._config.corpus(unit.corpus)
        decider = Decider(self._config.manifest.policy, corpus)
        reachable = self._blocks.reachable_templates()
        tally = Tally()
        model = None if self._model is None else self._model.for_unit(unit.id, unit.corpus)
        self._judge.begin(unit.id, unit.corpus)
        withdrawn: set[str] = set()
        with UnitWriter(self._config, unit) as writer:
            for batch in read_unit(unit, self._config):
                tally.add_read(batch)
                writer.write_unread(*unread_rows(unit.id, batch.errors))
                documents, hits = self._deny.split(batch.documents)
                withdrawn |= hits
                tally.withdrawn += batch.documents.num_rows - documents.num_rows
                if not documents.num_rows:
                    continue
                if stored is None:
                    labels = self._blocks.annotate(documents)
                    writer.write_annotations(labels)
                else:
                    labels = stored.take(documents)
                decisions = self._arms.held_out(unit.id, documents, decider.decide(labels))
                reachable.add(labels, decisions)
                applied = self._blocks.apply(
                    documents, labels, decisions, corpus, model or contextualize
                )
                tally.add_decided(labels, decisions, applied)
                writer.write(
                    published_rows(
                        documents, labels, decisions, applied, corpus, self._blocks.signature
                    ),
                    ledger_rows(documents, labels, decisions, applied),
                    error_rows(unit.id, labels),
                )
            if stored is not None:
                stored.finish()
            read_key = self._keys.read(unit, sorted(withdrawn))
            annotate_key = self._keys.annotate(read_key)
            apply_key = self._keys.apply(unit, annotate_key, decider.digest(), reachable.digests())
            keys = {"read": read_key, "annotate": annotate_key, "apply": apply_key}
            parts = writer.commit(keys)
        if stored is not None:
            parts = [*stored.parts, *parts]
        receipt = Receipt(
            unit=unit.id,
            corpus=unit.corpus,
            files=[[file.name, file.start, file.end, file.content] for file in unit.files],
            request=self._keys.request(unit),
            components=self._keys.components(unit),
            keys=keys,
            counts=tally.counts(writer.reopened_counts(parts)),
            text_bytes=tally.text_bytes,
            tables=tally.tables() | ({} if model is None else model.tables()),
            damage=tally.damage(),
            withdrawn=sorted(withdrawn),
            parts=parts,
        )
        if not receipt.balanced:
            raise ContractError(
                f"unit {unit.id} of corpus {unit.corpus!r} does not add up: {receipt.counts}. Its "
                "receipt was not written, so its parts are not used; run again, and report this "
                "if it repeats"
            )
        return receipt
