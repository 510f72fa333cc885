"""The same curation by raicurate, by datatrove's own blocks and by a loop without a framework.

    RAI_DATA=/path/to/shared/data python benchmarks/curate.py [--work DIR] [--json FILE]

Everything runs in one go, interleaved, so that what else the machine does hits all alike. See
`benchmarks/README.md` for what is measured and how.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from measured_process import Measurement, measure  # noqa: E402

LANGUAGE_MODEL = HERE.parent / "transforms" / "models" / "language" / "model.bin"
ANNOTATORS = ("language@1", "fasttext@1", "personal_data@1")
CLASSIFIER_LABEL = "encyclopedia"
PERSONAL_DATA = ["email", "phone", "ip", "card", "iban"]

TARGETS = {
    "raicurate x2 / datatrove x2, throughput": (">=", 8.0),
    "raicurate x1 / bare loop, CPU": ("<=", 1.3),
    "raicurate x2 / x1, throughput, large input": (">=", 1.75),
    "raicurate x1, peak memory, large / small input": ("<=", 1.2),
    "raicurate x2, peak memory, large / small input": ("<=", 1.2),
}
START_UP_SECONDS = 4.0
PEAK_BYTES = 1e9


class UnusableError(Exception):
    """The benchmark cannot run here."""


@dataclass(frozen=True)
class Corpus:
    """Shards to curate.

    Attributes:
        folder: Where they are.
        text_bytes: UTF-8 bytes of text in all of them.
        documents: Number of documents.
        unit_bytes: Size of a unit by which raicurate makes one of every shard.
    """

    folder: Path
    text_bytes: int
    documents: int
    unit_bytes: int


Command = Callable[[Corpus, Path], list[str]]


@dataclass(frozen=True)
class Contestant:
    """One way to do the work.

    Attributes:
        name: As printed.
        processes: Processes that work at the same time.
        command: From a corpus and a folder that does not exist to what is run.
    """

    name: str
    processes: int
    command: Command


@dataclass(frozen=True)
class Result:
    """What a contestant took for a corpus.

    Attributes:
        contestant: Its name.
        processes: Processes that work at the same time.
        text_bytes: UTF-8 bytes of text.
        start_up: The same command on a corpus of one short document a shard: start, shutdown and
            what a shard costs whatever its size.
        full: The command on the corpus.
    """

    contestant: str
    processes: int
    text_bytes: int
    start_up: Measurement
    full: Measurement

    @property
    def cpu_seconds(self) -> float:
        """CPU time without start-up."""
        return max(self.full.cpu_seconds - self.start_up.cpu_seconds, 1e-9)

    @property
    def wall_seconds(self) -> float:
        """Wall-clock time without start-up."""
        return max(self.full.wall_seconds - self.start_up.wall_seconds, 1e-9)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its tables."""
    options = _options(arguments)
    try:
        general = _general_documents()
        with tempfile.TemporaryDirectory(dir=options.work, prefix="curate-") as folder:
            report = run(options, general, Path(folder))
    except UnusableError as error:
        print(f"benchmarks/curate.py: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines(report)))
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=float, default=200, help="text, in 10^6 bytes")
    parser.add_argument(
        "--large-megabytes", type=float, default=1600,
        help="text of the large input for memory and for two workers against one; 0 for none",
    )  # fmt: skip
    parser.add_argument("--shards", type=int, default=8, help="files of the small input")
    parser.add_argument(
        "--characters", type=int, default=3000,
        help="longer documents are cut into pieces of at most this length; 0 for never",
    )  # fmt: skip
    parser.add_argument("--repeats", type=int, default=3, help="rounds of the small input")
    parser.add_argument("--large-repeats", type=int, default=1, help="rounds of the large input")
    parser.add_argument(
        "--annotators", default=",".join(ANNOTATORS), help="which of the annotators run"
    )
    parser.add_argument("--work", type=Path, help="folder for input and output (by default /tmp)")
    parser.add_argument("--json", type=Path, help="write all measurements to this file")
    return parser.parse_args(arguments)


def _general_documents() -> Path:
    root = os.environ.get("RAI_DATA")
    if not root:
        raise UnusableError(
            "RAI_DATA is not set, so there is no text to curate; set it to the folder of the "
            "shared data, which holds general/general_documents_english.jsonl.gz"
        )
    general = Path(root, "general")
    if not (general / "general_documents_english.jsonl.gz").is_file():
        raise UnusableError(
            f"{general} holds no general_documents_english.jsonl.gz, so there is no text to "
            "curate; set RAI_DATA to the folder of the shared data"
        )
    if platform.system() != "Linux":
        raise UnusableError(
            "CPU time and memory of worker processes are measured by what Linux offers, so this "
            "benchmark runs only there"
        )
    return general


def run(options: argparse.Namespace, general: Path, work: Path) -> dict[str, Any]:
    """Runs all contestants and returns their measurements as plain values.

    Raises:
        UnusableError: A command failed, or did not write every document.
    """
    # Whatever this environment says, modules are compiled once, as pip does when it installs them.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(work / "compiled")
    os.environ["HF_ASSETS_CACHE"] = str(work / "assets")  # where datatrove copies models to
    annotators = [
        {"use": use, "with": classifier(general, work) if use == "fasttext@1" else {}}
        for use in options.annotators.split(",")
    ]
    raicurate = [Contestant(f"raicurate x{n}", n, _raicurate(annotators, n)) for n in (1, 2)]
    contestants = [
        Contestant("bare loop", 1, _bare_loop(annotators)),
        *raicurate,
        Contestant("datatrove x2", 2, _datatrove(annotators)),
    ]

    def corpus(name: str, megabytes: float, shards: int) -> Corpus:
        return make_corpus(general, work / name, megabytes, shards, options.characters)

    tiny = corpus("tiny", 0, options.shards)
    small = corpus("small", options.megabytes, options.shards)
    results = rounds(contestants, tiny, small, options.repeats, work)
    large_results: list[Result] = []
    large = None
    if options.large_megabytes:
        shutil.rmtree(small.folder)
        # More shards of the same size, as corpora grow.
        shards = round(options.shards * options.large_megabytes / options.megabytes)
        large = corpus("large", options.large_megabytes, shards)
        large_results = rounds(raicurate, tiny, large, options.large_repeats, work)
    return {
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "python": platform.python_version(),
        "annotators": annotators,
        "small": _plain(small),
        "large": None if large is None else _plain(large),
        "results": [asdict(result) for result in results],
        "large_results": [asdict(result) for result in large_results],
        "ratios": ratios(results, large_results),
    }


def _plain(corpus: Corpus) -> dict[str, Any]:
    return asdict(corpus) | {"folder": corpus.folder.name}


def make_corpus(
    general: Path, folder: Path, megabytes: float, shards: int, characters: int
) -> Corpus:
    """Writes a corpus, in a process of its own so that this one stays small."""
    numbers = [str(number) for number in (megabytes, shards, characters)]
    _check([str(HERE / "text_corpus.py"), str(general), str(folder), *numbers])
    description = json.loads((folder / "corpus.json").read_text())
    # raicurate takes compressed files to hold four times their size, and makes a unit of a file
    # of at least half a unit.
    smallest = min(path.stat().st_size for path in folder.glob("*.zst"))
    unit_bytes = max(1024, smallest * 4)
    return Corpus(folder, description["text_bytes"], description["documents"], unit_bytes)


def classifier(general: Path, work: Path) -> dict[str, str]:
    """Trains the fastText model, in a process of its own, and returns what is asked of it."""
    path = work / "classifier.bin"
    if not path.exists():
        _check([str(HERE / "text_classifier.py"), str(general), str(path)])
    return {"model": str(path), "label": CLASSIFIER_LABEL}


def _raicurate(annotators: list[dict[str, Any]], workers: int) -> Command:
    def command(corpus: Corpus, out: Path) -> list[str]:
        manifest = out.with_suffix(".manifest.json")  # JSON is YAML
        manifest.write_text(
            json.dumps(
                {
                    "name": "benchmark",
                    "policy": {
                        "name": "benchmark",
                        "version": "1",
                        "gravity": {"default": {}},
                        "rules": [
                            {
                                "name": "personal-data",
                                "when": {"personal_data": PERSONAL_DATA},
                                "action": "redact",
                            },
                            {"name": "keep", "action": "keep"},
                        ],
                    },
                    "corpora": [
                        {
                            "name": "web",
                            "root": str(corpus.folder),
                            "paths": ["*.jsonl.zst"],
                            "license": "as the documents",
                        }
                    ],
                    "annotators": annotators,
                    "output": {"unit_bytes": corpus.unit_bytes},
                }
            )
        )
        module = [sys.executable, "-m", "raicurate.pipelines.cli", "run"]
        return [*module, str(manifest), "--out", str(out), "--workers", str(workers)]

    return command


def _bare_loop(annotators: list[dict[str, Any]]) -> Command:
    script = str(HERE / "bare_loop.py")
    blocks = json.dumps(annotators)
    return lambda corpus, out: [sys.executable, script, str(corpus.folder), str(out), blocks]


def _datatrove(annotators: list[dict[str, Any]]) -> Command:
    script = str(HERE / "datatrove_blocks.py")
    parameters = {spec["use"]: spec["with"] for spec in annotators}
    language = str(LANGUAGE_MODEL) if "language@1" in parameters else "-"
    classifier = parameters.get("fasttext@1", {}).get("model", "-")
    return lambda corpus, out: [
        *(sys.executable, script, str(corpus.folder), str(out)),
        *(str(out.with_suffix(".logs")), "2", language, classifier),
    ]


def rounds(
    contestants: Sequence[Contestant], tiny: Corpus, corpus: Corpus, repeats: int, work: Path
) -> list[Result]:
    """Runs each contestant on both corpora, round after round."""
    results = []
    for contestant in contestants:
        _run(contestant, tiny, work)  # compiles modules, fills the caches of the file system
    for number in range(repeats):
        for contestant in contestants:
            _note(f"round {number + 1} of {repeats}: {contestant.name}")
            start_up = _run(contestant, tiny, work)
            full = _run(contestant, corpus, work)
            results.append(
                Result(contestant.name, contestant.processes, corpus.text_bytes, start_up, full)
            )
    return results


def _run(contestant: Contestant, corpus: Corpus, work: Path) -> Measurement:
    out = work / "out" / "data"
    shutil.rmtree(out.parent, ignore_errors=True)
    out.parent.mkdir()
    log = work / "log.txt"
    try:
        measured = measure(contestant.command(corpus, out), log)
    except RuntimeError as error:
        tail = log.read_text(errors="replace")[-2000:]
        raise UnusableError(f"{contestant.name} failed: {error}\n{tail}") from error
    _check([str(HERE / "count_rows.py"), str(out), str(corpus.documents)])
    return measured


def _check(script: list[str]) -> None:
    ended = subprocess.run([sys.executable, *script], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise UnusableError(f"{' '.join(script)} failed: {ended.stderr[-2000:]}")


def _note(line: str) -> None:
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)


def ratios(small: Sequence[Result], large: Sequence[Result]) -> dict[str, list[float]]:
    """Returns what the targets speak of, by round, as two lists: without and with start-up."""
    by_name = _by_name(small)
    by_name_large = _by_name(large)

    def pairs(
        table: dict[str, list[Result]], over: str, under: str, value: Callable[[Result], float]
    ) -> list[float]:
        matched = zip(table.get(over, []), table.get(under, []), strict=False)
        return [value(first) / value(second) for first, second in matched]

    def wall(result: Result) -> float:
        return result.wall_seconds

    found = {
        "raicurate x2 / datatrove x2, throughput": pairs(
            by_name, "datatrove x2", "raicurate x2", wall
        ),
        "raicurate x2 / datatrove x2, throughput with start-up": pairs(
            by_name, "datatrove x2", "raicurate x2", lambda result: result.full.wall_seconds
        ),
        "datatrove x2 / raicurate x2, CPU": pairs(
            by_name, "datatrove x2", "raicurate x2", lambda result: result.cpu_seconds
        ),
        "raicurate x1 / bare loop, CPU": pairs(
            by_name, "raicurate x1", "bare loop", lambda result: result.cpu_seconds
        ),
        "raicurate x1 / bare loop, CPU with start-up": pairs(
            by_name, "raicurate x1", "bare loop", lambda result: result.full.cpu_seconds
        ),
        "raicurate x2 / x1, throughput, large input": pairs(
            by_name_large, "raicurate x1", "raicurate x2", wall
        ),
        "raicurate x2 / x1, throughput with start-up, large input": pairs(
            by_name_large, "raicurate x1", "raicurate x2", lambda result: result.full.wall_seconds
        ),
        "raicurate x2 / x1, CPU, large input": pairs(
            by_name_large, "raicurate x2", "raicurate x1", lambda result: result.cpu_seconds
        ),
    }
    if large:
        found["raicurate x1, peak memory, large / small input"] = [
            _peak(by_name_large["raicurate x1"]) / _peak(by_name["raicurate x1"])
        ]
        found["raicurate x2, peak memory, large / small input"] = [
            _peak(by_name_large["raicurate x2"]) / _peak(by_name["raicurate x2"])
        ]
    return {name: values for name, values in found.items() if values}


def _peak(results: Sequence[Result]) -> float:
    return statistics.median(result.full.peak_bytes for result in results)


def _by_name(results: Sequence[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.contestant, []).append(result)
    return found


def lines(report: dict[str, Any]) -> list[str]:
    """Returns the report as text."""
    text = [
        f"{report['machine']}, Python {report['python']}; annotators: "
        + ", ".join(spec["use"] for spec in report["annotators"])
    ]
    for size in ("small", "large"):
        corpus = report[size]
        if corpus is None:
            continue
        results = _results(report["results" if size == "small" else "large_results"])
        count = len(next(iter(results.values())))
        megabytes = corpus["text_bytes"] / 1e6
        text += [
            "",
            f"{megabytes:.0f} MB of text, {corpus['documents']} documents, {count} rounds",
            "",
            *_table(results),
        ]
    text += [
        "",
        "MB/s without start-up. Start-up: the whole command, on one short document a shard, from",
        "process start to exit; that includes the shutdown, so the first document is read earlier.",
        "Peak: largest resident set of any one process. Other: cores kept busy by other programs.",
        "",
        f"{'ratio (median, then each round)':58}{'':>6}  target",
    ]
    for name, values in report["ratios"].items():
        sign, bound = TARGETS.get(name, ("", 0.0))
        median = statistics.median(values)
        verdict = ""
        if sign:
            met = median >= bound if sign == ">=" else median <= bound
            verdict = f"{sign} {bound:g}: {'met' if met else 'MISSED'}"
        each = " ".join(f"{value:.2f}" for value in values)
        text.append(f"{name:58}{median:6.2f}  {verdict:16} ({each})")
    text += _limits(report)
    return text


def _limits(report: dict[str, Any]) -> list[str]:
    everything = _by_name(
        [
            result
            for name in ("results", "large_results")
            for found in _results(report[name]).values()
            for result in found
        ]
    )
    text = []
    for name in ("raicurate x1", "raicurate x2"):
        start = statistics.median(result.start_up.wall_seconds for result in everything[name])
        peak = max(result.full.peak_bytes for result in everything[name])
        text.append(
            f"{name + ', start-up and shutdown, seconds':58}{start:6.2f}  "
            + f"< {START_UP_SECONDS:g}: {'met' if start < START_UP_SECONDS else 'MISSED'}"
        )
        text.append(
            f"{name + ', highest peak of a process, MB':58}{peak / 1e6:6.0f}  "
            + f"< {PEAK_BYTES / 1e6:g}: {'met' if peak < PEAK_BYTES else 'MISSED'}"
        )
    return text


def _results(plain: list[dict[str, Any]]) -> dict[str, list[Result]]:
    return _by_name(
        [
            Result(
                **entry
                | {
                    "start_up": Measurement(**entry["start_up"]),
                    "full": Measurement(**entry["full"]),
                }
            )
            for entry in plain
        ]
    )


def _table(results: dict[str, list[Result]]) -> list[str]:
    heads = ("MB/s/core", "MB/s", "CPU s", "wall s", "start-up s", "its CPU s", "peak MB", "other")
    text = [f"{'':14}" + "".join(f"{head:>11}" for head in heads)]
    for name, found in results.items():

        def median(value: Callable[[Result], float], found: list[Result] = found) -> float:
            return statistics.median(map(value, found))

        text.append(
            f"{name:14}"
            f"{median(lambda r: r.text_bytes / 1e6 / r.cpu_seconds):11.1f}"
            f"{median(lambda r: r.text_bytes / 1e6 / r.wall_seconds):11.1f}"
            f"{median(lambda r: r.full.cpu_seconds):11.1f}"
            f"{median(lambda r: r.full.wall_seconds):11.1f}"
            f"{median(lambda r: r.start_up.wall_seconds):11.2f}"
            f"{median(lambda r: r.start_up.cpu_seconds):11.2f}"
            f"{_peak(found) / 1e6:11.0f}"
            f"{median(lambda r: r.full.other_cores):11.1f}"
        )
    return text


if __name__ == "__main__":
    sys.exit(main())
