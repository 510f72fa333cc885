"""Looking for the texts of a probe in training data, unit by unit; the graph is `find_probe.py`.

The element is the unit. What a unit holds of the probe is written to a file of its own, named by
the unit, its content and the probe, so a scan that was killed goes on where it stopped and a scan
that was done is not done again. No text leaves a unit: verdicts are numbers and ids.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow.compute as pc

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ContractError
from raicurate.corpora_manifests.manifest import Corpus, Output
from raicurate.pipelines import reading, storage
from raicurate.pipelines.failures import clear_failures, failure_error, read_failures
from raicurate.pipelines.runners import execute_graph
from raicurate.pipelines.unit_input import read_options
from raicurate.pipelines.units import Unit, UnitFile, find_files, plan_units
from raicurate.probes.contamination import Coverage, Hits, ProbeIndex

VERSION = "1"
"""Raised when a unit of the same content gives another verdict."""

DAMAGE = frozenset({"lost_tail", "decompression_bomb", "unreadable_file"})
"""Errors after which it is not known how many documents are missing."""


@dataclass(frozen=True)
class ScanJob:
    """A unit to look through, and where its verdict goes.

    Attributes:
        corpus: What is read, and how.
        unit: The unit.
        path: Where the verdict stands.
    """

    corpus: Corpus
    unit: Unit
    path: str


def scan_unit(index: ProbeIndex, job: ScanJob) -> bytes:
    """Returns the verdict of a unit as JSON.

    Raises:
        ContractError: A file changed while it was read.
        OSError: A file cannot be read, after retries.
    """
    found: dict[int, Hits] = {}
    documents = unreadable = text_bytes = 0
    damaged = set()
    options = read_options(job.corpus, Output())
    for file in job.unit.files:
        path = storage.join(job.corpus.root, file.name)
        part = reading.FileRange(path, file.name, file.start, file.end)
        for batch in reading.read(part, file.format, storage.open_read, options):
            column = batch.documents.column("text")
            documents += len(column)
            text_bytes += pc.sum(pc.binary_length(column)).as_py() or 0
            unreadable += len(batch.errors)
            damaged |= {file.name for error in batch.errors if error.error_type in DAMAGE}
            for number, hits in index.scan(
                batch.documents.column("id").to_pylist(), column.to_pylist()
            ).items():
                found.setdefault(number, Hits()).add(hits)
        if storage.stamp(path) != file.stamp:
            raise ContractError(
                f"{path} changed while it was looked through, so nothing is known of it; scan "
                "again when it is complete"
            )
    return orjson.dumps(
        {
            "documents": documents,
            "unreadable": unreadable,
            "text_bytes": text_bytes,
            "damaged": sorted(damaged),
            "hits": {str(number): asdict(hits) for number, hits in sorted(found.items())},
        }
    )


def make_jobs(corpora: Sequence[Corpus], index: ProbeIndex, out: str) -> list[ScanJob]:
    """Returns a job for each unit of the corpora.

    Raises:
        ContractError: A corpus has no files.
    """
    unit_bytes = Output().unit_bytes
    jobs = []
    for corpus in corpora:
        files = [(file, file.stamp) for file in find_files(corpus)]
        stamps = {file.name: file.stamp for file, _ in files}
        for unit in plan_units(corpus, files, unit_bytes):
            held = [[corpus.root, corpus.keys.text, corpus.keys.id], unit.content]
            name = digest(VERSION, index.digest, [stamps[file.name] for file in unit.files], held)
            path = storage.join(out, "_rai", "contamination", f"{unit.id}-{name[:16]}.json")
            jobs.append(ScanJob(corpus, unit, path))
    return jobs


def dump_jobs(jobs: Sequence[ScanJob]) -> bytes:
    """Returns jobs as JSON lines, for workers."""
    return b"\n".join(
        orjson.dumps([job.corpus.model_dump(mode="json"), asdict(job.unit), job.path])
        for job in jobs
    )


def read_jobs(path: str) -> Iterator[ScanJob]:
    """Yields the jobs that `dump_jobs` wrote."""
    for line in storage.read_bytes(path).splitlines():
        corpus, unit, target = orjson.loads(line)
        files = tuple(UnitFile(**file) for file in unit["files"])
        yield ScanJob(
            Corpus.model_validate(corpus),
            Unit(unit["corpus"], files, unit["decoded_bytes"]),
            target,
        )


def scan(
    index: ProbeIndex,
    corpora: Sequence[Corpus],
    out: str,
    *,
    beam_options: Sequence[str] = (),
    bundle_repeat: int = 0,
) -> tuple[dict[int, Hits], Coverage]:
    """Looks through corpora for a probe; what an earlier scan of the same looked through stands.

    Returns:
        What was found by number of the text, and how much was looked through. Units that failed
        are not counted as scanned.

    Raises:
        ContractError: There is nothing to look through, or no unit could be.
    """
    jobs = make_jobs(corpora, index, out)
    missing = [job for job in jobs if not storage.exists(job.path)]
    clear_failures(out)
    if missing:
        jobs_path = storage.join(out, "_rai", "contamination", "jobs.jsonl")
        storage.write_bytes(jobs_path, dump_jobs(missing))

        def build(pipeline: Any) -> None:
            from raicurate.pipelines.find_probe import FindProbe

            pipeline | "FindProbe" >> FindProbe(index, out, jobs_path)

        execute_graph(
            build,
            [job.unit for job in missing],
            beam_options,
            bundle_repeat=bundle_repeat,
        )
    done = [job for job in jobs if storage.exists(job.path)]
    failures = read_failures(out)
    if not done and failures:
        raise failure_error(failures)
    return _combined(jobs, done)


def _combined(jobs: Sequence[ScanJob], done: Sequence[ScanJob]) -> tuple[dict[int, Hits], Coverage]:
    found: dict[int, Hits] = {}
    totals = {"documents": 0, "unreadable": 0, "text_bytes": 0}
    damaged = set()
    for job in done:
        verdict = orjson.loads(storage.read_bytes(job.path))
        for name in totals:
            totals[name] += verdict[name]
        damaged |= {(job.unit.corpus, name) for name in verdict["damaged"]}
        for number, values in verdict["hits"].items():
            covered = [(start, end) for start, end in values.pop("covered")]
            found.setdefault(int(number), Hits()).add(Hits(covered=covered, **values))
    files = {(job.unit.corpus, file.name) for job in jobs for file in job.unit.files}
    return found, Coverage(len(jobs), len(done), len(files), damaged=len(damaged), **totals)


def corpora_of(inputs: Sequence[str]) -> list[Corpus]:
    """Returns what to look through: runs, manifests, folders, files or globs.

    Of a run it is all that a model is trained on: data, exercises and pairs.

    Raises:
        ContractError: There is nothing of that name.
    """
    return [corpus for number, given in enumerate(inputs) for corpus in _corpora_of(number, given)]


def _corpora_of(number: int, given: str) -> list[Corpus]:
    from raicurate.corpora_manifests.load import load_manifest

    if storage.exists(storage.join(given, "_rai", "current")):
        return _run_layers(number, storage.absolute(given))
    if given.endswith((".yaml", ".yml")):
        manifest = load_manifest(Path(given))
        return [
            corpus.model_copy(update={"name": f"{number}-{corpus.name}"})
            for corpus in manifest.corpora
        ]
    # A glob is split before its first wildcard; a folder holds all that is below it.
    path = storage.absolute(given)
    parts = path.split("/")
    wild = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    if wild == len(parts) and storage.file_size(path) is not None and not Path(path).is_dir():
        wild -= 1
    root, pattern = "/".join(parts[:wild]), "/".join(parts[wild:]) or "**"
    return [Corpus(name=f"input-{number}", root=root, paths=(pattern,), license="not stated")]


def _run_layers(number: int, run: str) -> list[Corpus]:
    layers = [
        layer
        for layer in ("data", "exercises", "pairs")
        if storage.list_files(storage.join(run, layer), ("**/*.parquet",))
    ]
    if not layers:
        raise ContractError(
            f"{run} holds nothing that a model is trained on, so nothing can be said of it; finish "
            "the run first"
        )
    return [
        Corpus(
            name=f"{number}-{layer}", root=storage.join(run, layer), paths=("**/*.parquet",),
            format="parquet", license="see the run",
        )
        for layer in layers
    ]  # fmt: skip
