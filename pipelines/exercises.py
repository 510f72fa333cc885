"""Exercises of the units of policy corpora: made of what was published, unit by unit.

They are made of the parts under `data/`, so of nothing that was dropped, restricted, withdrawn or
masked, and of clauses of the taught arm only. The key `exercises` of a unit, by which its parts are
named, digests its published rows, the arms of its clauses, and the words and code they are made of.
"""

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ContractError
from raicurate.exercise_templates.exercises import ExerciseLibrary
from raicurate.pipelines import arms_verdict, storage
from raicurate.pipelines.answer_cache import AnswerWithdrawals
from raicurate.pipelines.arms_verdict import clause_ids, clauses_of_unit, wanted_corpora
from raicurate.pipelines.curate_unit import Job
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.model_rewording import (
    REJECTED,
    REWORDED,
    TOGETHER,
    TOKENS,
    ModelRewording,
)
from raicurate.pipelines.parts import PartWriter
from raicurate.pipelines.plan import parts_stand
from raicurate.pipelines.receipts import (
    DATA,
    EXERCISES,
    Receipt,
    with_layer,
    write_receipt,
    written_receipt,
)
from raicurate.pipelines.snapshots import located
from raicurate.pipelines.units import Unit
from raicurate.transforms import make_exercises, schema
from raicurate.transforms.clause_packs import shipped_packs
from raicurate.transforms.exercise_gates import Seen
from raicurate.transforms.exercise_rows import DocumentExercises, DocumentRow, ExerciseMaker
from raicurate.transforms.exercise_tokens import token_counter

WRITTEN, LEFT_OUT = "exercises", "exercises_left_out"
"""Tables of a receipt: exercises by family, and what gave none, by reason."""

_TABLES = (WRITTEN, LEFT_OUT, REWORDED, REJECTED, TOKENS)

_BATCH_ROWS = 256

_LOGGER = logging.getLogger(__name__)

Execute = Callable[[Sequence[Job], str], None]


def library_of(config: RunConfig) -> ExerciseLibrary:
    """Returns the families and words that the manifest wants."""
    wanted = config.manifest.exercises
    return ExerciseLibrary.load(
        [Path(folder) for folder in wanted.templates], wanted.families, wanted.with_consent
    )


def maker_of(config: RunConfig) -> ExerciseMaker:
    """Returns what makes the exercises of a document."""
    wanted = config.manifest.exercises
    return ExerciseMaker(
        library_of(config),
        shipped_packs(),
        token_counter(wanted.tokenizer),
        shapes=wanted.shapes,
        passage_tokens=wanted.passage_tokens,
        probes=wanted.probes,
        sidecars=wanted.sidecars,
    )


class ExerciseWriter:
    """Writes the exercises of units; holds what a process needs for that."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._maker = maker_of(config)
        self._model = ModelRewording.of(config.manifest.exercises, config.out, self._maker)

    def do(self, job: Job) -> Receipt:
        """Writes the exercises of a unit and returns its new receipt, which is written by then."""
        (receipt,) = job.previous
        config = self._config
        output = config.manifest.output
        key = exercises_key(config, receipt, made_by(self._maker, self._model))
        prefix = f"exercises/{receipt.corpus}"
        writer = PartWriter(
            schema.EXERCISES, storage.join(config.out, prefix), output.row_group_bytes,
            output.part_bytes, "text",
        )  # fmt: skip
        written: Counter[str] = Counter()
        left_out: Counter[str] = Counter()
        seen = Seen()
        model = None if self._model is None else self._model.for_unit(receipt.unit)
        try:
            documents = self._made(receipt, left_out, seen)
            while group := list(itertools.islice(documents, 1 if model is None else TOGETHER)):
                for document in group if model is None else model.reworded(group, seen):
                    writer.append(self._maker.batch(document))
                    written.update(exercise.family for exercise in document.exercises)
            footer = {
                "rai.unit": receipt.unit,
                **{f"rai.{name}": receipt.keys[name] for name in ("read", "annotate", "apply")},
                "rai.exercises": key,
            }
            parts = writer.commit(EXERCISES, prefix, f"part-{receipt.unit}-{key[:16]}", footer)
        finally:
            writer.discard()
        tables = {WRITTEN: written, LEFT_OUT: left_out, **({} if model is None else model.tables())}
        done = with_layer(receipt, EXERCISES, key, parts, tables, _TABLES)
        write_receipt(config.out, done)
        return done

    def _made(
        self, receipt: Receipt, left_out: Counter[str], seen: Seen
    ) -> Iterator[DocumentExercises]:
        """Yields the documents of a unit that have exercises."""
        taught, parallel = _arms(self._config.out, receipt.unit)
        for row in _published(self._config, receipt):
            made = self._maker.made(
                row, taught.get(row.id, frozenset()), parallel.get(row.id, {}), left_out, seen
            )
            if made is not None:
                yield made


def made_by(maker: ExerciseMaker, model: ModelRewording | None) -> str:
    """Returns the digest of what makes exercises, and words their questions."""
    # The older form where no model is named, so that keys hold.
    return maker.digest if model is None else digest(maker.digest, model.digest)


def _arms(
    out: str, unit: str
) -> tuple[dict[str, frozenset[str]], dict[str, dict[str, list[tuple[str, str]]]]]:
    """Returns the taught clauses of the documents of a unit, and their parallels."""
    taught: dict[str, set[str]] = {}
    parallel: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for row in clauses_of_unit(out, unit).to_pylist():
        if row["arm"] != "taught" or row["repeats"]:
            continue
        taught.setdefault(row["document"], set()).add(row["clause"])
        if row["parallel"]:
            parallel.setdefault(row["document"], {})[row["clause"]] = [
                (other["language"], other["text"]) for other in row["parallel"]
            ]
    return {name: frozenset(ids) for name, ids in taught.items()}, parallel


def _published(config: RunConfig, receipt: Receipt) -> Iterator[DocumentRow]:
    """Yields the documents of a unit as they were published."""
    columns = ["id", "text", "lang", "spans", "src_file", "metadata", "source", "added",
               "text_sha256", "corpus", "license"]  # fmt: skip
    for part in receipt.parts:
        if part.layer != DATA:
            continue
        path = located(config.out, config.restricted, part)
        if path is None:
            raise ContractError(f"{part.path} disappeared while it was needed; run again")
        with storage.open_read(path) as opened, pq.ParquetFile(opened) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                for values in batch.to_pylist():
                    yield DocumentRow(**values)


def exercises_key(config: RunConfig, receipt: Receipt, made_by: str) -> str:
    """Returns the key of the exercises of a unit."""
    rows = clauses_of_unit(config.out, receipt.unit)
    arms = rows.select(["document", "clause", "arm", "repeats"]).to_pydict()
    parallel = rows.column("parallel").to_pylist()
    output = config.manifest.output
    return digest(
        make_exercises.VERSION, arms_verdict.VERSION, schema.SCHEMA_VERSION, made_by,
        receipt.keys["apply"], arms, parallel, output.part_bytes, output.row_group_bytes,
    )  # fmt: skip


def without_exercises(receipt: Receipt) -> Receipt:
    """Returns a receipt as it would be if no exercises were wanted."""
    return with_layer(receipt, EXERCISES, None, [], {}, _TABLES)


class ExerciseStage:
    """What a run does about exercises, between its units and its snapshot."""

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
        """Returns the receipts with the exercises that the manifest wants, and no others."""
        config = self._config
        corpora = wanted_corpora(config)
        done = list(receipts)
        missing: list[int] = []
        maker = maker_of(config) if corpora else None
        made = ""
        if maker:
            model = ModelRewording.of(config.manifest.exercises, config.out, maker)
            made = made_by(maker, model)
            for note in maker.unknown_notes(clause_ids(config.out)):
                _LOGGER.warning("%s", note)
        for index, receipt in enumerate(receipts):
            if receipt.corpus not in corpora:
                done[index] = without_exercises(receipt)
                if done[index] != receipt:
                    write_receipt(config.out, done[index])
                continue
            standing = [part for part in receipt.parts if part.layer == EXERCISES]
            key = exercises_key(config, receipt, made)
            if receipt.keys.get("exercises") != key or not parts_stand(config, standing):
                missing.append(index)
        if missing:
            if config.manifest.exercises.rewording is not None:
                AnswerWithdrawals(config.out).note_inputs(
                    (receipt.corpus, file[0]) for receipt in receipts for file in receipt.files
                )
            self._execute(
                [Job(self._units[i], receipts[i].request, (receipts[i],)) for i in missing],
                "write_exercises",
            )
        for index in missing:
            done[index] = written_receipt(config.out, receipts[index].unit, receipts[index].request)
        return tuple(done)
