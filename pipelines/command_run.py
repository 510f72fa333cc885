"""`raicurate run`: curate the corpora of a manifest."""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from raicurate.corpora_manifests.load import load_manifest
from raicurate.pipelines.cli import print_json
from raicurate.pipelines.exercise_audit import check_audit
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.plan import Plan
from raicurate.pipelines.progress import progress
from raicurate.pipelines.run import RunResult, make_config, run
from raicurate.pipelines.runners import BeamExecutor, early_host
from raicurate.pipelines.text_report import cpu_lines, plan_lines, totals_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    add_config_arguments(parser)
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="worker processes (local runs)"
    )
    parser.usage = (
        "raicurate run MANIFEST --out DIR [--limit N] [--sample P] [--set a.b=c] [--workers N] "
        "[--json] [-- BEAM OPTIONS]"
    )


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what a run does; `plan` has them too."""
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument("--out", required=True, metavar="DIR", help="output folder or URI")
    parser.add_argument(
        "--limit", type=_positive, metavar="N",
        help="only the first N documents of the first unit of each corpus",
    )  # fmt: skip
    parser.add_argument(
        "--sample", type=_share, metavar="P", help="only this share of the documents, 0 to 1"
    )
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="a.b=c",
        help="set a value of the manifest",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a positive number")
    return number


def _share(value: str) -> float:
    share = float(value)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{value} is not a share between 0 and 1")
    return share


def execute(options: argparse.Namespace) -> int:
    """Runs the command."""
    started = time.monotonic()
    passed_on = tuple(options.passed_on)

    def read() -> RunConfig:
        manifest = load_manifest(options.manifest, options.overrides)
        return make_config(manifest, options.out, limit=options.limit, sample=options.sample)

    def announce(plan: Plan) -> None:
        if not options.json:
            print("\n".join(plan_lines(plan)), flush=True)

    with early_host(options.out, passed_on, options.workers, read) as (config, host):
        executor = BeamExecutor(passed_on, options.workers, host=host)
        with progress(config.out):
            result = run(config, executor, announce)
    for line in cpu_lines(executor.cpu):
        print(line, file=sys.stderr)
    if options.json:
        print_json(_as_json(result, executor.cpu))
    else:
        print("\n".join(totals_lines(result.totals)))
        seconds = time.monotonic() - started
        print(f"\nSnapshot {result.snapshot} in {options.out}, {seconds:.1f} s")
    result.totals.check(config.manifest.output.error_budget)
    check_audit(config.out)
    return 0


def _as_json(result: RunResult, cpu: Mapping[str, int]) -> dict[str, object]:
    return {
        "snapshot": result.snapshot,
        "plan": result.plan.summary(),
        "totals": result.totals.to_plain(),
        "seconds": {name: round(value, 3) for name, value in result.seconds.items()},
        "cpu_seconds": {name: round(value / 1e6, 3) for name, value in sorted(cpu.items())},
    }
