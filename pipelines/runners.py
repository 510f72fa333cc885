"""How jobs are executed: in this process without Beam, or by a Beam runner."""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raicurate.corpora_manifests.errors import RaicurateError
from raicurate.pipelines.beam_worker import WorkerHost
from raicurate.pipelines.curate_unit import Job, UnitCurator
from raicurate.pipelines.failures import write_failure
from raicurate.pipelines.keys import RunConfig

SMALL_PLAN_BYTES = 64 << 20
"""Below this much text, starting worker processes costs more than they save."""

Executor = Callable[[RunConfig, Sequence[Job], str], None]
"""Does all jobs. The last argument is the path where they are written as JSON lines."""


def in_process(config: RunConfig, jobs: Sequence[Job], jobs_path: str) -> None:  # noqa: ARG001
    """Does all jobs one after the other, without Beam."""
    curator = UnitCurator(config)
    for job in jobs:
        try:
            curator.curate(job)
        except (RaicurateError, OSError) as error:
            write_failure(config.out, job.unit, error)


@dataclass(frozen=True)
class BeamExecutor:
    """Does all jobs by a Beam runner.

    Attributes:
        options: Options for Beam, as they stand after `--` on the command line.
        workers: Worker processes for a local run; None for one a core, or none for a small plan.
        bundle_repeat: How often the local runner repeats each bundle (for tests).
    """

    options: tuple[str, ...] = ()
    workers: int | None = None
    bundle_repeat: int = 0

    def __call__(self, config: RunConfig, jobs: Sequence[Job], jobs_path: str) -> None:
        """Runs the graph to its end."""
        named = any(option.partition("=")[0] == "--runner" for option in self.options)
        workers = 1 if named else self._workers(jobs)
        with contextlib.ExitStack() as stack:
            # Before the import of Beam, so that the imports of the workers run beside it.
            host = stack.enter_context(WorkerHost()) if workers > 1 else None

            import apache_beam as beam
            from apache_beam.options.pipeline_options import PipelineOptions
            from apache_beam.runners.portability.fn_api_runner import FnApiRunner

            from raicurate.pipelines.beam_environment import ForkedWorkers
            from raicurate.pipelines.curate import Curate

            options = (
                list(self.options) if named else [*self.options, f"--direct_num_workers={workers}"]
            )
            pipeline_options = PipelineOptions(options, save_main_session=False)
            # Never the default runner: it tries to download a binary first.
            runner = None
            if not named:
                environment = (
                    None
                    if host is None
                    else stack.enter_context(ForkedWorkers(host, pipeline_options))
                )
                runner = FnApiRunner(environment, bundle_repeat=self.bundle_repeat)
            pipeline = beam.Pipeline(runner=runner, options=pipeline_options)
            pipeline | "Curate" >> Curate(config, jobs_path)
            pipeline.run().wait_until_finish()

    def _workers(self, jobs: Sequence[Job]) -> int:
        if self.workers is not None:
            return min(self.workers, len(jobs))
        total = sum(job.unit.decoded_bytes for job in jobs)
        cores = len(os.sched_getaffinity(0))
        return 1 if total < SMALL_PLAN_BYTES else min(cores, len(jobs))
