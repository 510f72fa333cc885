"""`raicurate probe`: ask models what a suite asks, and say what they learned."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import GateError, UsageError
from raicurate.pipelines.cli import print_json
from raicurate.pipelines.command_report import REPORT_FILE, RESULTS_FILE
from raicurate.probes import gate
from raicurate.probes.asking import GENERATION_TOKENS, Probe, ask_model, prepare
from raicurate.probes.backend import open_backend
from raicurate.probes.contamination import read_verdicts
from raicurate.probes.handshake import handshake
from raicurate.probes.measuring import Measured
from raicurate.probes.model_references import ModelReference, model_references
from raicurate.probes.report import report_page
from raicurate.probes.results import analyse
from raicurate.probes.results_file import results_of
from raicurate.probes.results_gates import alarms
from raicurate.probes.score_cache import CachedBackend, ScoreCache
from raicurate.probes.statistics import RESAMPLES
from raicurate.probes.suite import OutsideSet, Suite, load_suite, resolve_suite

CACHE_FILE = "scores.sqlite"
_INTERVAL_SECONDS = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "suite", metavar="SUITE", help="suite (.yaml), or the name of a shipped one"
    )
    parser.add_argument(
        "--model", action="append", required=True, metavar="REF", dest="models",
        help="ngram:FILE.npz, hf:DIRECTORY_OR_NAME or openai:http://HOST/v1,model=NAME; LABEL=REF "
        "names it, and a glob is a family of checkpoints; may be repeated",
    )  # fmt: skip
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument(
        "--reference", metavar="LABEL", help="the model to compare with (default: the first one)"
    )
    parser.add_argument(
        "--documents", action="append", default=[], metavar="FILE",
        help="texts whose perplexity is measured, as .jsonl, .jsonl.gz or .parquet with `text` and "
        "`dimension` or `dimensions`; may be repeated",
    )  # fmt: skip
    parser.add_argument("--run", metavar="DIR", help="output of a run, to ask about its clauses")
    parser.add_argument(
        "--contamination", metavar="DIR", help="what `raicurate contamination` found of the suite"
    )
    parser.add_argument(
        "--shots", default="0", metavar="K,K", help="worked examples before questions (default: 0)"
    )
    parser.add_argument("--cache", metavar="FILE", help="where scores are kept (default: in DIR)")
    parser.add_argument(
        "--margin", type=float, default=gate.MARGIN, help="the rise that gates must exclude"
    )
    parser.add_argument("--gate", action="store_true", help="end with 5 if a gate alarms")
    parser.add_argument("--json", action="store_true", help="print the primary results as JSON")


def execute(options: argparse.Namespace) -> int:
    """Runs the command: results.json, samples, one file a model, and a report."""
    out = Path(options.out)
    references = model_references(options.models)
    reference = _reference(references, options.reference)
    suite = _with_documents(load_suite(resolve_suite(options.suite)), options.documents)
    probe = prepare(
        suite,
        run=Path(options.run) if options.run else None,
        shots=_shots(options.shots),
        contaminated=_contaminated(options.contamination),
    )
    cache = ScoreCache(Path(options.cache) if options.cache else out / CACHE_FILE)
    models, about = [], {}
    for number, one in enumerate(references, 1):
        measured, known = _ask(probe, one, cache, f"{number}/{len(references)} {one.label}")
        models.append(measured)
        about[one.label] = known
    section = analyse(
        probe,
        models,
        reference,
        margin=options.margin,
        about_models=about,
        contamination=_coverage(options.contamination),
    )
    write(out, models, section)
    if options.json:
        print_json(
            {
                "comparisons": [
                    {key: one[key] for key in ("a", "b", "primaries")}
                    for one in section["comparisons"]
                ],
                "gates": section["gates"],
            }
        )
    else:
        print("\n".join([*_lines(section), f"\nreport     {out / REPORT_FILE}"]))
    found = alarms(section)
    if options.gate and found:
        raise GateError(
            f"probe gates alarm ({'; '.join(found)}); the checkpoint must not go on before people "
            f"have looked at the items named in {out / 'samples'}"
        )
    return 0


def write(out: Path, models: Sequence[Measured], section: dict[str, Any]) -> None:
    """Writes all files of a probe; the results of the last model stand in `results.json`."""
    (out / "samples").mkdir(parents=True, exist_ok=True)
    (out / "models").mkdir(exist_ok=True)
    for name in ("samples", "documents"):
        table = pa.concat_tables([getattr(model.answers, name) for model in models])
        file = "items" if name == "samples" else name
        pq.write_table(table, out / "samples" / f"{file}.parquet", compression="zstd")
    written = pa.concat_tables([model.answers.completions for model in models])
    if written.num_rows:
        pq.write_table(written, out / "samples" / "completions.parquet", compression="zstd")
    for number, model in enumerate(models):
        label = model.reference.label
        content = orjson.dumps(results_of(label, section), option=orjson.OPT_INDENT_2)
        (out / "models" / f"{number:03}-{digest(label)[:8]}.json").write_bytes(content)
        if number == len(models) - 1:
            (out / RESULTS_FILE).write_bytes(content)
    (out / REPORT_FILE).write_text(report_page(section), encoding="utf-8")


def _ask(
    probe: Probe, reference: ModelReference, cache: ScoreCache, title: str
) -> tuple[Measured, dict[str, Any]]:
    backend = open_backend(reference.reference)
    checks = handshake(backend)
    show = _progress(title, probe.questions(backend))
    cached = CachedBackend(backend, cache, show)
    writes = backend.capabilities.generates

    def generate(prompts: Sequence[str]) -> list[str]:
        return cached.generate(prompts, max_tokens=GENERATION_TOKENS, stop=("\n",))

    answers = ask_model(cached, probe, reference.label, generate if writes else None)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    capabilities = backend.capabilities
    return Measured(reference, answers), {
        "digest": backend.digest,
        "window_tokens": capabilities.window_tokens,
        "stride_tokens": capabilities.stride_tokens,
        "bos": capabilities.prefix,
        "precision": capabilities.precision,
        "resamples": RESAMPLES,
        "backend_handshake": [{"name": check.name, "found": check.detail} for check in checks],
    }


def _progress(title: str, total: int) -> Callable[[int], None]:
    """Returns what shows how many questions are answered; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        return lambda _count: None
    done, started, shown = 0, time.monotonic(), 0.0
    width = 24

    def show(count: int) -> None:
        nonlocal done, shown
        done += count
        now = time.monotonic()
        if now - shown < _INTERVAL_SECONDS and done < total:
            return
        shown = now
        part = min(done / total, 1.0) if total else 1.0
        bar = ("█" * round(part * width)).ljust(width, "·")
        rate = done / max(now - started, 1e-9)
        line = f"{title} {bar} {done}/{total} ({rate:.0f} a second)"
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    return show


def _reference(references: Sequence[ModelReference], wanted: str | None) -> str:
    labels = [one.label for one in references]
    if wanted is None:
        return labels[0]
    if wanted not in labels:
        raise UsageError(
            f"--reference {wanted} names none of the models, so there is nothing to compare with; "
            f"give one of: {', '.join(labels)}"
        )
    return wanted


def _with_documents(suite: Suite, files: Sequence[str]) -> Suite:
    sets = tuple(
        OutsideSet(name=f"documents-{number}", loader="documents", path=file)
        for number, file in enumerate(files, 1)
    )
    return suite.model_copy(update={"outside": (*suite.outside, *sets)})


def _shots(text: str) -> tuple[int, ...]:
    try:
        shots = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        shots = (-1,)
    if shots[0] < 0:
        raise UsageError(f"--shots {text}: give whole numbers from 0 up, such as 0,1,2,4,8")
    return shots


def _contaminated(folder: str | None) -> dict[str, bool]:
    if folder is None:
        return {}
    path = Path(folder) / "contamination.parquet"
    if not path.is_file():
        raise UsageError(
            f"{path} is missing, so nothing is known of contamination; run `raicurate "
            "contamination` with this suite first"
        )
    return read_verdicts(path)


def _coverage(folder: str | None) -> dict[str, Any] | None:
    path = Path(folder or "") / "contamination.json"
    if folder is None or not path.is_file():
        return None
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


def _lines(section: dict[str, Any]) -> list[str]:
    lines = [f"suite      {section['suite']['name']} {section['suite']['version']}"]
    for comparison in section["comparisons"]:
        lines.append(f"\n{comparison['a']} -> {comparison['b']}")
        lines.extend(_primary_line(primary) for primary in comparison["primaries"])
    if not section["comparisons"]:
        lines.extend(_level_lines(section))
    if section["gates"]:
        lines.append("\ngates")
        lines.extend(
            f"  {entry['model']:<28} {entry['name']:<24} {entry['state']}: {entry['reason']}"
            for entry in section["gates"]
        )
    return lines


def _primary_line(primary: dict[str, Any]) -> str:
    found = primary["estimate"]
    low, high = (f"{end:+.4f}" if end is not None else "?" for end in found["ci"])
    return (
        f"  {primary['name']:<24} {found['value']:+.4f} [{low}, {high}] {primary['unit']:<14} "
        f"p={primary['p_adj']:.4f}  {primary['verdict']}"
    )


def _level_lines(section: dict[str, Any]) -> list[str]:
    lines = []
    for label, levels in section["levels"].items():
        if "crossed" in levels and levels["crossed"]["macro"]:
            found = levels["crossed"]["macro"]
            lines.append(f"{label}: crossed margin {found['value']:+.4f} nats")
    return lines
