"""A run, from manifest to `_SUCCESS`: plan, do what is to be done, prove it adds up, commit."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from raicurate.corpora_manifests import load
from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ContractError, ManifestError
from raicurate.corpora_manifests.manifest import Manifest
from raicurate.exercise_templates.pairs import PairLibrary
from raicurate.pipelines import storage
from raicurate.pipelines.answer_cache import AnswerWithdrawals
from raicurate.pipelines.arms_verdict import write_heldout
from raicurate.pipelines.curate_unit import Job
from raicurate.pipelines.dataset_card import dataset_card
from raicurate.pipelines.deny_list import DenyList
from raicurate.pipelines.exercise_audit import audited, gate_error
from raicurate.pipelines.exercises import ExerciseStage
from raicurate.pipelines.failures import clear_failures, failure_error, read_failures
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.pairs import PairStage
from raicurate.pipelines.plan import Plan, dump_jobs, make_plan
from raicurate.pipelines.receipts import Receipt, read_receipts
from raicurate.pipelines.runners import BeamExecutor, Executor
from raicurate.pipelines.snapshots import Snapshot, arrange, commit_snapshot, numbers
from raicurate.pipelines.stages import Stage
from raicurate.pipelines.totals import Totals
from raicurate.pipelines.withdrawals import erase_withdrawn


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        totals: Sums over all units of the output.
        plan: What was found and why units were done.
        snapshot: Number of the snapshot.
        seconds: Wall-clock seconds by phase.
    """

    totals: Totals
    plan: Plan
    snapshot: int
    seconds: dict[str, float] = field(default_factory=dict)


def make_config(
    manifest: Manifest, out: str, *, limit: int | None = None, sample: float | None = None
) -> RunConfig:
    """Returns the configuration of a run, with the place of the restricted tier filled in.

    Raises:
        ManifestError: The restricted tier lies inside the output, or pairs are wanted in a
            language without words for them.
    """
    out = storage.absolute(out)
    if manifest.policy.pairs is not None:
        PairLibrary.load().require(manifest.policy.pairs.languages)
    restricted = manifest.output.restricted
    if restricted is not None:
        restricted = restricted.replace("{out}", out)
        if f"{restricted}/".startswith(f"{out}/"):
            raise ManifestError(
                f"the restricted tier {restricted} lies inside the output {out}, where readers of "
                "the data set would find it; set `output.restricted` to a place outside"
            )
    return RunConfig(manifest, out, restricted, limit, sample)


def run(
    config: RunConfig,
    executor: Executor | None = None,
    announce: Callable[[Plan], None] | None = None,
) -> RunResult:
    """Runs a manifest to its end; what an earlier run did and still holds is not done again.

    Args:
        config: What to do.
        executor: How the jobs are done; by default a local Beam runner.
        announce: Called with the plan before the work begins.

    Raises:
        OutputBusyError: Another run holds the output.
        ContractError: Counts do not add up, input is missing or is not what was promised.

    Damaged input or too many errors do not raise: everything else is written, and a snapshot
    made, but no `_SUCCESS`; `Totals.check` of the result raises for them.
    """
    started = time.monotonic()
    with storage.exclusive(config.out):
        for folder in (config.out, config.restricted):
            if folder is not None:
                storage.remove_temporaries(folder)
        plan = make_plan(config)
        planned = time.monotonic()
        plan.arms.save(config.out)
        if announce is not None:
            announce(plan)
        if plan.jobs:
            _execute(config, plan, executor or BeamExecutor())
        receipts = _with_layers(
            config, plan, _all_receipts(config, plan), executor or BeamExecutor()
        )
        executed = time.monotonic()
        totals, number = finish(config, receipts, plan.snapshot)
    seconds = {
        "plan": planned - started,
        "work": executed - planned,
        "commit": time.monotonic() - executed,
    }
    return RunResult(totals, plan, number, seconds)


def _execute(config: RunConfig, plan: Plan, executor: Executor) -> None:
    storage.delete(storage.join(config.out, "_SUCCESS"))
    clear_failures(config.out)
    _write_manifest(config)
    storage.write_bytes(storage.join(config.out, "_rai", "plan.json"), plan.to_json())
    names = {spec.use for spec in config.manifest.annotators}
    if config.manifest.language_model is not None or "llm_judge@1" in names:
        units = (planned.job.unit for planned in plan.units)
        places = ((unit.corpus, file.name) for unit in units for file in unit.files)
        AnswerWithdrawals(config.out).note_inputs(places)
    jobs_path = storage.join(config.out, "_rai", "jobs.jsonl")
    storage.write_bytes(jobs_path, dump_jobs(plan.jobs))
    executor(config, plan.jobs, jobs_path)
    failures = read_failures(config.out)
    if failures:
        raise failure_error(failures)


def _write_manifest(config: RunConfig) -> None:
    storage.write_bytes(
        storage.join(config.out, "_rai", "manifest.resolved.yaml"),
        load.dump(config.manifest).encode(),
    )


def _all_receipts(config: RunConfig, plan: Plan) -> tuple[Receipt, ...]:
    """Returns the receipt of every unit of the plan, in order.

    Raises:
        ContractError: A unit has none.
    """
    done = read_receipts(config.out) if plan.jobs else {}
    receipts = []
    for planned in plan.units:
        receipt = planned.receipt or done.get((planned.job.unit.id, planned.job.request))
        if receipt is None:
            raise ContractError(
                f"unit {planned.job.unit.id} of corpus {planned.job.unit.corpus!r} left no "
                "receipt, though no failure was reported: a worker was killed. What was done "
                "stays done; run again"
            )
        receipts.append(receipt)
    return tuple(receipts)


def _with_layers(
    config: RunConfig, plan: Plan, receipts: tuple[Receipt, ...], executor: Executor
) -> tuple[Receipt, ...]:
    """Returns the receipts with the pairs and exercises that policy and manifest want."""

    def execute(jobs: Sequence[Job], stage: Stage) -> None:
        storage.delete(storage.join(config.out, "_SUCCESS"))
        clear_failures(config.out)
        _write_manifest(config)
        path = storage.join(config.out, "_rai", "jobs.jsonl")
        storage.write_bytes(path, dump_jobs(jobs))
        executor(config, jobs, path, stage)
        failures = read_failures(config.out)
        if failures:
            raise failure_error(failures)

    units = [planned.job.unit for planned in plan.units]
    paired = PairStage(config, units, execute).finished(receipts)
    return ExerciseStage(config, units, execute).finished(paired)


def finish(
    config: RunConfig, receipts: tuple[Receipt, ...], previous: Snapshot | None
) -> tuple[Totals, int]:
    """Proves that everything adds up and commits the snapshot.

    Returns:
        The totals and the number of the snapshot.

    Raises:
        ContractError: Counts do not add up.
    """
    totals = Totals.of(receipts, expected_damage(config.manifest.model_dump()))
    totals.check_conservation()
    write_heldout(config)
    snapshot = _snapshot(config, receipts, previous)
    if not snapshot.same_content(previous):
        commit_snapshot(config.out, snapshot)
    # A first look with a limit or a sample withdraws nothing that it leaves out.
    if config.limit is None and config.sample is None:
        erase_withdrawn(config.out, config.restricted, snapshot)
        AnswerWithdrawals(config.out).erase(
            ((receipt.corpus, file[0]) for receipt in receipts for file in receipt.files),
            DenyList(config.manifest.withdrawn).entries,
        )
    arrange(config.out, config.restricted, snapshot.parts)
    storage.write_bytes(storage.join(config.out, "_rai", "totals.json"), totals.to_json())
    card = dataset_card(config.manifest, totals, snapshot)
    storage.write_bytes(storage.join(config.out, "README.md"), card.encode())
    success = storage.join(config.out, "_SUCCESS")
    audit = audited(config.out, receipts, config.manifest.exercises.probes)
    passed = gate_error(audit) is None
    if passed and totals.fault(config.manifest.output.error_budget) is None:
        storage.write_bytes(success, f"{snapshot.number}\n".encode())
    else:
        storage.delete(success)
    return totals, snapshot.number


def _snapshot(
    config: RunConfig, receipts: tuple[Receipt, ...], previous: Snapshot | None
) -> Snapshot:
    manifest, policy = config.manifest, config.manifest.policy
    snapshot = Snapshot(
        number=previous.number if previous else 1,
        manifest={
            "name": manifest.name,
            "version": manifest.version,
            "digest": digest(manifest.model_dump(mode="json", by_alias=True)),
        },
        policy={
            "name": policy.name,
            "version": policy.version,
            "digest": digest(policy.model_dump(mode="json")),
        },
        receipts=receipts,
        parent=previous.parent if previous else None,
    )
    if previous is None or snapshot.same_content(previous):
        return snapshot
    number = max(numbers(config.out), default=0) + 1
    return replace(snapshot, number=number, parent=previous.number)


def resolved_manifest(out: str) -> dict[str, Any]:
    """Returns the manifest of the last run of an output, as plain values."""
    content = storage.read_bytes(storage.join(out, "_rai", "manifest.resolved.yaml"))
    manifest: dict[str, Any] = yaml.safe_load(content)
    return manifest


def expected_damage(manifest: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Returns the globs of files that are known to be damaged, by corpus."""
    return {corpus["name"]: tuple(corpus["expected_damage"]) for corpus in manifest["corpora"]}


def restricted_tier(out: str) -> str | None:
    """Returns the restricted tier of an output."""
    restricted = resolved_manifest(out)["output"]["restricted"]
    return None if restricted is None else str(restricted).replace("{out}", out)
