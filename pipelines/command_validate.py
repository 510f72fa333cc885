"""`raicurate validate`: check manifests, policies, templates and outputs."""

import argparse
import sys
from pathlib import Path

from raicurate.corpora_manifests.errors import ContractError, ManifestError
from raicurate.corpora_manifests.load import is_uri
from raicurate.pipelines import storage
from raicurate.pipelines.run import restricted_tier
from raicurate.pipelines.validation import validate_file, validate_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="YAML files, or outputs of runs")
    parser.add_argument(
        "--deep", action="store_true", help="for outputs: compare the content of every part"
    )


def execute(options: argparse.Namespace) -> int:
    """Runs the command: checks everything, then ends with the gravest fault."""
    exit_code = 0
    for path in options.paths:
        if is_uri(path) or Path(path).is_dir():
            exit_code = max(exit_code, _output(path, options.deep))
            continue
        try:
            print(f"{path}: valid {validate_file(Path(path))}")
        except ManifestError as error:
            print(f"raicurate: {error}", file=sys.stderr)
            exit_code = max(exit_code, error.exit_code)
    return exit_code


def _output(path: str, deep: bool) -> int:
    out = storage.absolute(path)
    problems = list(validate_output(out, restricted_tier(out), deep))
    for problem in problems:
        print(f"raicurate: {path}: {problem}", file=sys.stderr)
    if not problems:
        print(f"{path}: valid output")
    return ContractError.exit_code if problems else 0
