"""The command `raicurate`; each of its commands is a module `command_<name>.py`."""

import argparse
import atexit
import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from raicurate.corpora_manifests.errors import RaicurateError
from raicurate.pipelines.process_start import share_memory_between_threads, spare_pandas

COMMANDS = {
    "run": "curate the corpora of a manifest",
    "plan": "say what a run would do, and why, without doing it",
    "preview": "show documents before and after, with the harm folded",
    "status": "say what an output holds and whether it is complete",
    "validate": "check manifests, policies, templates and outputs",
    "annotate": "annotate files, without a manifest",
    "trace": "say where a document of an output came from and went to",
    "exercises": "show what a policy document will teach, and audit what was made",
    "manifest": "build, verify or compare manifests",
    "train": "train the harm classifier from a manifest of labelled sets",
    "audit": "measure a harm model and hold it to the limits of a policy",
    "contamination": "say which texts of a suite stand in training data",
    "probe": "ask models what a suite asks, and say what they learned",
    "report": "draw the report of a probe anew from its results",
    "ablate": "train small models on mixes of an output, and ask what each taught",
    "export": "write the annotations of an output in Dolma's attribute layout",
    "gc": "remove what no kept snapshot needs",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    0 done; 1 crash; 2 wrong usage or manifest; 3 error budget exceeded or partial; 4 a data
    contract is broken; 5 a gate failed; 130 interrupted.
    """
    code = _run(list(sys.argv[1:] if arguments is None else arguments))
    if arguments is None and "apache_beam" in sys.modules:
        _end_at_once(code)
    return code


def _end_at_once(code: int) -> None:
    """Ends the process without taking Beam apart object by object, which takes half a second."""
    atexit._run_exitfuncs()
    logging.shutdown()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _run(given: list[str]) -> int:
    own, passed_on = _split(given)
    parser = argparse.ArgumentParser(
        prog="raicurate",
        description="Curate pretraining data that teaches responsible AI.",
        epilog="exit codes: 0 done, 1 crash, 2 wrong usage, 3 partial, 4 data contract broken, "
        "5 gate failed, 130 interrupted",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in own if word in COMMANDS), None)
    for name, text in COMMANDS.items():
        subparser = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        if name == chosen:
            _module(name).add_arguments(subparser)
    parsed = parser.parse_args(own)
    parsed.passed_on = passed_on
    _set_up_logging()
    share_memory_between_threads()
    spare_pandas()
    try:
        return int(_module(parsed.command).execute(parsed))
    except RaicurateError as error:
        print(f"raicurate: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output went away; that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(
            "raicurate: interrupted; what was done stays done, run again to go on", file=sys.stderr
        )
        return 130


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Splits off what stands after `--`, which goes to Beam as it is."""
    if "--" not in arguments:
        return arguments, []
    index = arguments.index("--")
    return arguments[:index], arguments[index + 1 :]


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"raicurate.pipelines.command_{name}")


def _set_up_logging() -> None:
    level = os.environ.get("RAI_LOG_LEVEL", "WARNING").upper()
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    # Beam tells of optional packages that nobody asked for, and repeats its workers' start-up.
    for name in ("root", "apache_beam"):
        logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.ERROR)
    logging.getLogger("apache_beam").setLevel(max(logging.ERROR, logging.root.level))


def print_json(value: object) -> None:
    """Prints a value for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())
