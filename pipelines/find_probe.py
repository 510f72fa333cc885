"""The Beam graph of a scan for contamination, also for use in other pipelines.

The element is the unit; the verdict of each is committed inside `process`, and no text crosses a
stage boundary. The index of the probe is small and travels with the graph.
"""

from collections.abc import Iterator

import apache_beam as beam

from raicurate.corpora_manifests.errors import RaicurateError
from raicurate.pipelines import storage
from raicurate.pipelines.contamination import ScanJob, read_jobs, scan_unit
from raicurate.pipelines.failures import write_failure
from raicurate.probes.contamination import ProbeIndex


class FindProbe(beam.PTransform):  # type: ignore[misc]
    """Looks through units for the texts of a probe; yields the ids of the units that are done."""

    def __init__(self, index: ProbeIndex, out: str, jobs_path: str) -> None:
        """Prepares the graph.

        Args:
            index: The texts of the probe.
            out: Folder of the output, where failures are reported.
            jobs_path: Where what `dump_jobs` returned was written.
        """
        super().__init__()
        self._index, self._out, self._jobs_path = index, out, jobs_path

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Returns the ids."""
        return (
            pipeline
            | "Plan" >> beam.Create([self._jobs_path], reshuffle=False)
            | "ReadPlan" >> beam.FlatMap(read_jobs)
            # Without it, all units of the plan would stay with the worker that read it.
            | "Distribute" >> beam.Reshuffle()
            | "ScanUnit" >> beam.ParDo(_ScanUnit(self._index, self._out))
        )


class _ScanUnit(beam.DoFn):  # type: ignore[misc]
    def __init__(self, index: ProbeIndex, out: str) -> None:
        self._index, self._out = index, out

    def process(self, job: ScanJob) -> Iterator[str]:
        try:
            storage.write_bytes(job.path, scan_unit(self._index, job))
            yield job.unit.id
        except (RaicurateError, OSError) as error:
            write_failure(self._out, job.unit, error)
