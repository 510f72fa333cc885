"""`raicurate ablate`: train small models on mixes of a run's output, and ask what each taught."""

import argparse
import sys
from pathlib import Path

import orjson

from raicurate.corpora_manifests.ablation import load_ablation
from raicurate.pipelines.cli import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="an ablation manifest")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="results")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Runs the command: `ablation.json` holds all estimates, `ablation.md` the tables."""
    from raicurate.pipelines.ablate import ablate
    from raicurate.pipelines.ablation_table import tables

    manifest = load_ablation(options.manifest)
    options.out.mkdir(parents=True, exist_ok=True)
    result = ablate(manifest, options.out, _tell)
    text = tables(result)
    # JSON has no infinity: an interval without an end has null there.
    content = orjson.dumps(result, option=orjson.OPT_INDENT_2)
    (options.out / "ablation.json").write_bytes(content + b"\n")
    (options.out / "ablation.md").write_text(text, encoding="utf-8")
    if options.json:
        print_json(orjson.loads(content))
    else:
        print(text, end="")
    return 0


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)
