"""How jobs are executed: in this process without Beam, or by a Beam runner."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raicurate.corpora_manifests.errors import RaicurateError
from raicurate.pipelines.curate_unit import Job, UnitCurator
from raicurate.pipelines.failures import write_failure
from raicurate.pipelines.keys import RunConfig

SMALL_PLAN_BYTES = 64 << 20
"""Below this much text, starting worker processes costs more than they save."""

_WORKER_COMMAND = shlex.join([sys.executable, "-m", "raicurate.pipelines.beam_worker"])

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
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner
        from apache_beam.transforms.environments import SubprocessSDKEnvironment

        from raicurate.pipelines.curate import Curate

        named = any(option.partition("=")[0] == "--runner" for option in self.options)
        options = list(self.options)
        # Never the default runner: it tries to download a binary first.
        runner = None
        if not named:
            workers = self._workers(jobs)
            options.append(f"--direct_num_workers={workers}")
            environment = SubprocessSDKEnvironment.from_command_string(_WORKER_COMMAND)
            runner = FnApiRunner(
                environment if workers > 1 else None, bundle_repeat=self.bundle_repeat
            )
        pipeline_options = PipelineOptions(options, save_main_session=False)
        pipeline = beam.Pipeline(runner=runner, options=pipeline_options)
        pipeline | "Curate" >> Curate(config, jobs_path)  # noqa: B018
        pipeline.run().wait_until_finish()

    def _workers(self, jobs: Sequence[Job]) -> int:
        if self.workers is not None:
            return min(self.workers, len(jobs))
        total = sum(job.unit.decoded_bytes for job in jobs)
        cores = len(os.sched_getaffinity(0))
        return 1 if total < SMALL_PLAN_BYTES else min(cores, len(jobs))
