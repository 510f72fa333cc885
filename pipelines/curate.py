"""The Beam graph of a run, also for use in other pipelines.

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        receipts = pipeline | Curate(config)

The element is the unit, not the document: no text crosses a stage boundary. DoFns keep to what
every runner can do (`setup` and `process`, one output), and commit files inside `process`.
"""

from collections.abc import Iterator

import apache_beam as beam
import orjson
from apache_beam.metrics import Metrics

from raicurate.corpora_manifests.errors import RaicurateError
from raicurate.pipelines import storage
from raicurate.pipelines.curate_unit import Job
from raicurate.pipelines.failures import write_failure
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.plan import load_jobs
from raicurate.pipelines.stages import Stage, worker
from raicurate.transforms.stage_clock import taken

CPU = "cpu_microseconds"
"""Namespace of the counters of CPU time by stage."""


class Curate(beam.PTransform):  # type: ignore[misc]
    """Curates the units of a plan; yields their receipts as JSON.

    The plan is read by the workers, since one of a million units does not fit into a job graph.
    A unit that fails is reported in `_rai/failures/`, and the others go on.
    """

    def __init__(self, config: RunConfig, jobs_path: str, stage: Stage = "curate") -> None:
        """Prepares the graph.

        Args:
            config: What the run was asked to do.
            jobs_path: Where `run.prepare` wrote the units that have to be done.
            stage: What is done to them.
        """
        super().__init__()
        self._config = config
        self._jobs_path = jobs_path
        self._stage = stage

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Returns the receipts."""
        return (
            pipeline
            | "Plan" >> beam.Create([self._jobs_path], reshuffle=False)
            | "ReadPlan" >> beam.FlatMap(read_jobs)
            # Without it, all units of the plan would stay with the worker that read it.
            | "Distribute" >> beam.Reshuffle()
            | "CurateUnit" >> beam.ParDo(_CurateUnit(self._config, self._stage))
        )


def read_jobs(path: str) -> Iterator[Job]:
    """Yields the units that have to be done."""
    yield from load_jobs(storage.read_bytes(path))


class _CurateUnit(beam.DoFn):  # type: ignore[misc]
    def __init__(self, config: RunConfig, stage: Stage) -> None:
        self._config = config
        self._stage = stage

    def setup(self) -> None:
        self._work = worker(self._stage, self._config)

    def process(self, job: Job) -> Iterator[bytes]:
        try:
            yield orjson.dumps(self._work(job).keys)
        except (RaicurateError, OSError) as error:
            write_failure(self._config.out, job.unit, error)
        for stage, nanoseconds in taken().items():
            Metrics.counter(CPU, stage).inc(nanoseconds // 1000)
