"""`raicurate report`: draw the report of a probe anew from its results."""

import argparse
from pathlib import Path

import orjson

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.report import report_page

RESULTS_FILE = "results.json"
REPORT_FILE = "report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("folder", metavar="DIR", help="output of `raicurate probe`")


def execute(options: argparse.Namespace) -> int:
    """Runs the command: report.html from results.json; no model is asked."""
    folder = Path(options.folder)
    path = folder / RESULTS_FILE
    try:
        section = orjson.loads(path.read_bytes())["rai_probe"]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{path} holds no results of a probe ({type(error).__name__}), so there is nothing to "
            "report; run `raicurate probe` first"
        ) from error
    (folder / REPORT_FILE).write_text(report_page(section), encoding="utf-8")
    print(folder / REPORT_FILE)
    return 0
