"""How jobs are executed: in this process without Beam, or by a Beam runner."""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from raicurate.corpora_manifests.errors import RaicurateError
from raicurate.pipelines import storage
from raicurate.pipelines.beam_worker import WorkerHost
from raicurate.pipelines.curate_unit import Job
from raicurate.pipelines.failures import write_failure
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.snapshots import pointer_path
from raicurate.pipelines.stages import Stage, worker
from raicurate.pipelines.units import Unit, find_files

SMALL_PLAN_BYTES = 64 << 20
"""Below this much text, starting worker processes costs more than they save."""

Executor = Callable[..., None]
"""Does all jobs: called with the configuration, the jobs, the path where they are written as JSON
lines, and the stage, where that is another than `curate`."""


def in_process(
    config: RunConfig,
    jobs: Sequence[Job],
    jobs_path: str,  # noqa: ARG001
    stage: Stage = "curate",
) -> None:
    """Does all jobs one after the other, without Beam."""
    work = worker(stage, config)
    for job in jobs:
        try:
            work(job)
        except (RaicurateError, OSError) as error:
            write_failure(config.out, job.unit, error)


@dataclass(frozen=True)
class BeamExecutor:
    """Does all jobs by a Beam runner.

    Attributes:
        options: Options for Beam, as they stand after `--` on the command line.
        workers: Worker processes for a local run; None for one a core, or none for a small plan.
        bundle_repeat: How often the local runner repeats each bundle (for tests).
        host: Where local worker processes come from; by default one is started when it is needed.
        cpu: CPU time by stage of the annotators in microseconds, added up over all calls, as far as
            the runner returns counters.
    """

    options: tuple[str, ...] = ()
    workers: int | None = None
    bundle_repeat: int = 0
    host: WorkerHost | None = None
    cpu: Counter[str] = field(default_factory=Counter, compare=False)

    def __call__(
        self, config: RunConfig, jobs: Sequence[Job], jobs_path: str, stage: Stage = "curate"
    ) -> None:
        """Runs the graph to its end."""

        def build(pipeline: Any) -> None:
            from raicurate.pipelines.curate import Curate

            pipeline | "Curate" >> Curate(config, jobs_path, stage)

        result = execute_graph(
            build,
            [job.unit for job in jobs],
            self.options,
            workers=self.workers,
            bundle_repeat=self.bundle_repeat,
            host=self.host,
        )
        self.cpu.update(_cpu_microseconds(result))


def _cpu_microseconds(result: Any) -> Counter[str]:
    from apache_beam.metrics import MetricsFilter

    from raicurate.pipelines.curate import CPU

    try:
        counters = result.metrics().query(MetricsFilter().with_namespace(CPU))["counters"]
    except NotImplementedError:  # not every runner returns counters
        return Counter()
    found: Counter[str] = Counter()
    for counter in counters:
        found[counter.key.metric.name] += counter.committed or counter.attempted or 0
    return found


def execute_graph(
    build: Callable[[Any], object],
    units: Sequence[Unit],
    options: Sequence[str] = (),
    *,
    workers: int | None = None,
    bundle_repeat: int = 0,
    host: WorkerHost | None = None,
) -> Any:
    """Runs a Beam graph to its end and returns what the runner says of it.

    Args:
        build: Adds the graph to a pipeline.
        units: What it works on, from which the number of workers follows.
        options: Options for Beam; where they name a runner, that one is taken.
        workers: See `BeamExecutor`.
        bundle_repeat: See `BeamExecutor`.
        host: See `BeamExecutor`.
    """
    named = any(option.partition("=")[0] == "--runner" for option in options)
    count = 1 if named else _workers(units, workers)
    with contextlib.ExitStack() as stack:
        # Before the import of Beam, so that the imports of the workers run beside it.
        if count > 1 and host is None:
            host = stack.enter_context(WorkerHost())

        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        from raicurate.pipelines.beam_environment import ForkedWorkers

        given = list(options) if named else [*options, f"--direct_num_workers={count}"]
        pipeline_options = PipelineOptions(given, save_main_session=False)
        # Never the default runner: it tries to download a binary first.
        runner = None
        if not named:
            environment = (
                None
                if host is None or count == 1
                else stack.enter_context(ForkedWorkers(host, pipeline_options))
            )
            runner = FnApiRunner(environment, bundle_repeat=bundle_repeat)
        pipeline = beam.Pipeline(runner=runner, options=pipeline_options)
        build(pipeline)
        result = pipeline.run()
        result.wait_until_finish()
        return result


@contextlib.contextmanager
def early_host(
    out: str, options: Sequence[str], workers: int | None, read: Callable[[], RunConfig]
) -> Iterator[tuple[RunConfig, WorkerHost | None]]:
    """Starts the host of local workers early where it will be needed, beside what comes before.

    Only a first run is sure to have work for workers.

    Args:
        out: The output.
        options: See `BeamExecutor`.
        workers: See `BeamExecutor`.
        read: Returns the configuration of the run.

    Yields:
        The configuration, and the host if one was started.
    """
    named = any(option.partition("=")[0] == "--runner" for option in options)
    is_first = not named and not storage.exists(pointer_path(storage.absolute(out)))
    with contextlib.ExitStack() as stack:
        host = None
        if is_first and workers is not None and workers > 1:
            host = stack.enter_context(WorkerHost())
        config = read()
        if is_first and workers is None and _has_much_input(config):
            host = stack.enter_context(WorkerHost())
        if host is not None:
            host.load([spec.model_dump(by_alias=True) for spec in config.manifest.annotators])
        yield config, host


def _has_much_input(config: RunConfig) -> bool:
    if config.limit is not None or len(os.sched_getaffinity(0)) == 1:
        return False
    try:
        files = [file for corpus in config.manifest.corpora for file in find_files(corpus)]
    except (RaicurateError, OSError):
        return False  # the plan says what is wrong
    # Compressed text is taken for a quarter of its size, as in the plan.
    return 4 * sum(file.size for file in files) >= 2 * SMALL_PLAN_BYTES


def _workers(units: Sequence[Unit], wanted: int | None) -> int:
    if wanted is not None:
        return min(wanted, len(units))
    total = sum(unit.decoded_bytes for unit in units)
    cores = len(os.sched_getaffinity(0))
    return 1 if total < SMALL_PLAN_BYTES else min(cores, len(units))
