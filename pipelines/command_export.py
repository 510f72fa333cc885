"""`raicurate export`: write the annotations of an output in Dolma's attribute layout."""

import argparse

from raicurate.corpora_manifests.errors import UsageError
from raicurate.pipelines import storage
from raicurate.pipelines.dolma_export import export_attributes
from raicurate.pipelines.run import resolved_manifest
from raicurate.pipelines.snapshots import current_snapshot, load_snapshot


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("out", metavar="DIR", help="output of a run")
    parser.add_argument("--to", required=True, metavar="FOLDER", help="folder or URI to write to")
    parser.add_argument("--snapshot", type=int, metavar="N", help="default: the current one")


def execute(options: argparse.Namespace) -> int:
    """Runs the command."""
    out = storage.absolute(options.out)
    snapshot = (
        current_snapshot(out) if options.snapshot is None else load_snapshot(out, options.snapshot)
    )
    if snapshot is None:
        raise UsageError(f"{options.out} holds no snapshot; finish a run there first")
    sources = {
        corpus["name"]: corpus["source"] or corpus["name"]
        for corpus in resolved_manifest(out)["corpora"]
    }
    files = export_attributes(out, snapshot, sources, storage.absolute(options.to))
    print(f"{len(files)} files written to {options.to}")
    return 0
