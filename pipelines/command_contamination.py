"""`raicurate contamination`: say which texts of a suite stand in training data."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from raicurate.corpora_manifests.errors import PartialRunError, UsageError
from raicurate.corpora_manifests.manifest import Keys
from raicurate.pipelines import reading, storage
from raicurate.pipelines.contamination import corpora_of, scan
from raicurate.probes.contamination import (
    CONTAMINATED_WORDS,
    LENGTHS,
    Coverage,
    ProbeIndex,
    ProbeText,
    Verdict,
    results,
)
from raicurate.probes.loaders import load_outside
from raicurate.probes.probe_texts import probe_texts
from raicurate.probes.suite import load_suite, resolve_suite

RESULTS_FILE = "contamination.parquet"
SUMMARY_FILE = "contamination.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "suite", metavar="SUITE",
        help="suite (.yaml) or the name of a shipped one, or texts with `id` and `text` (.jsonl, "
        ".jsonl.gz, .parquet)",
    )  # fmt: skip
    parser.add_argument(
        "inputs", nargs="+", metavar="RUN_OR_FILES",
        help="what models are trained on: outputs of runs, manifests, folders, files or globs",
    )  # fmt: skip
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def execute(options: argparse.Namespace) -> int:
    """Runs the command: a table with a verdict for each text, and a summary with the coverage."""
    index = ProbeIndex(texts_to_find(options.suite))
    found, coverage = scan(
        index, corpora_of(options.inputs), options.out, beam_options=options.passed_on
    )
    table = results(index, found, coverage)
    write_results(options.out, table)
    summary = summarised(index, table, coverage)
    storage.write_bytes(
        storage.join(options.out, SUMMARY_FILE), orjson.dumps(summary, option=orjson.OPT_INDENT_2)
    )
    if options.json:
        print(orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode())
    else:
        print_summary(summary)
    if not coverage.complete:
        raise PartialRunError(
            f"only a part of the training data was looked through ({coverage.units_scanned} of "
            f"{coverage.units} units, {coverage.unreadable} unreadable records, "
            f"{coverage.damaged} damaged files), so no text is called clean; mend it, or see "
            f"{storage.join(options.out, '_rai', 'failures')}, and scan again"
        )
    return 0


def texts_to_find(suite: str) -> list[ProbeText]:
    """Returns the texts of a suite, or of a file of texts with `id` and `text`.

    Raises:
        UsageError: There is no such file, or a part of it cannot be read.
        ManifestError: The suite is not valid.
    """
    if suite.endswith((".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")):
        if storage.file_size(suite) is None:
            raise UsageError(f"there is no file {suite}; correct the path")
        name = Path(suite).name
        options = reading.ReadOptions(keys=Keys(), source=name)
        found = []
        for batch in reading.read(
            reading.FileRange(suite, name), reading.detect_format(name), storage.open_read, options
        ):
            if batch.errors:
                raise UsageError(
                    f"{suite}: {len(batch.errors)} records cannot be read "
                    f"({batch.errors[0].error_type}), so they would be missing from the verdicts; "
                    "mend the file"
                )
            columns = (batch.documents.column(name).to_pylist() for name in ("id", "text"))
            found += [ProbeText(id, 0, text) for id, text in zip(*columns, strict=True)]
        return found
    loaded = load_suite(resolve_suite(suite))
    asked: list[Any] = [*loaded.items, *loaded.documents]
    for outside in loaded.outside:
        outside_set = load_outside(outside)
        asked += [*outside_set.items, *outside_set.documents]
    return list(probe_texts(asked))


def write_results(out: str, table: pa.Table) -> None:
    """Writes the verdicts of all texts."""
    temporary = storage.new_temporary(out)
    try:
        pq.write_table(table, temporary, compression="zstd")
        storage.publish(temporary, storage.join(out, RESULTS_FILE))
    finally:
        temporary.unlink(missing_ok=True)


def summarised(index: ProbeIndex, table: pa.Table, coverage: Coverage) -> dict[str, object]:
    """Returns what a report says: verdicts, runs by length, and how much was looked through."""
    verdicts = table["verdict"].to_pylist()
    return {
        "schema_version": "1",
        "probe_digest": index.digest,
        "texts": table.num_rows,
        "verdicts": {str(verdict): verdicts.count(str(verdict)) for verdict in Verdict},
        "contaminated_from_words": CONTAMINATED_WORDS,
        "texts_with_a_run_of": {
            str(size): sum(longest >= size for longest in table["longest"].to_pylist())
            for size in LENGTHS
        },
        "coverage": {
            **asdict(coverage), "complete": coverage.complete, "fraction": coverage.fraction,
        },
    }  # fmt: skip


def print_summary(summary: dict[str, object]) -> None:
    """Prints the summary for people."""
    verdicts, runs, coverage = (
        summary["verdicts"], summary["texts_with_a_run_of"], summary["coverage"]
    )  # fmt: skip
    assert isinstance(verdicts, dict)
    assert isinstance(runs, dict)
    assert isinstance(coverage, dict)
    print(f"{summary['texts']} texts of the probe")
    for name, count in verdicts.items():
        print(f"  {name:14} {count:8,}")
    for size, count in runs.items():
        print(f"  with a run of {size:>2} words or more: {count:,}")
    print(
        f"looked through {coverage['documents']:,} documents, {coverage['text_bytes']:,} bytes, "
        f"{coverage['files']:,} files: {coverage['fraction']:.2%} of what there is"
    )
