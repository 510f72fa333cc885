"""What it costs to run again: nothing changed, one shard changed, a threshold moved.

    RAI_DATA=... python benchmarks/reprocess.py WORK_FOLDER [--megabytes 200] [--shards 8]

All figures are CPU seconds of one run on this machine; the ratios are what counts. The bare rewrite
reads the shards whose units change and writes their rows as Parquet, with no framework.

Start-up, with Beam, models and templates, is left out of the ratios: it is the same run over one
document, which the moved threshold changes.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from measured_process import Measurement, measure
from text_corpus import write_corpus

_DEFAULT_THRESHOLD = 0.5

MANIFEST = """\
name: reprocess
policy: policies/default.yaml
corpora:
  - name: web
    root: {folder}
    paths: ["shard-*.jsonl.zst"]
    license: various
    added: "2026-11-01"
output:
  restricted: "{{out}}.restricted"
  unit_bytes: 16777216
  error_budget: 1.0
"""


def main() -> int:
    """Runs the benchmark and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--threshold", type=float, default=0.3)
    parser.add_argument("--bare-rewrite", nargs="*", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare_rewrite is not None:
        bare_rewrite(options.bare_rewrite, options.folder)
        return 0
    if not os.environ.get("RAI_DATA"):
        print("RAI_DATA names no folder of real data, so there is no text to use", file=sys.stderr)
        return 2
    run_all(options)
    return 0


def run_all(options: argparse.Namespace) -> None:
    """Makes the corpus, runs every case once, and prints costs and ratios."""
    work: Path = options.folder
    shards = work / "shards"
    description = write_corpus(
        Path(os.environ["RAI_DATA"]) / "general", shards, options.megabytes, options.shards
    )
    (work / "manifest.yaml").write_text(MANIFEST.format(folder=shards))
    out = work / "out"

    def run(name: str, *settings: str) -> Measurement:
        return _run(work, name, out, *settings)

    costs = {"first run": run("first"), "nothing changed": run("again")}
    (shards / "shard-00000.jsonl.zst").write_bytes(_without_last_line(shards))
    costs["one shard changed"] = run("shard")
    before = _parts(out)
    threshold = f"policy.thresholds.default={options.threshold}"
    # The manifest names its policy by file; an inline copy can be changed by --set.
    _inline_policy(work / "manifest.yaml")
    costs["threshold moved"] = run("threshold", "--set", threshold)
    changed = sorted(_parts(out) - before)
    costs["first run, start-up"], costs["threshold moved, start-up"] = _start_up(
        work, out, threshold
    )
    files = _input_files(out, changed)
    bare = [sys.executable, __file__, str(work / "bare"), "--bare-rewrite", *map(str, files)]
    costs["bare rewrite of the changed units"] = measure(bare, work / "bare.log")
    print(
        f"{description['text_bytes'] / 1e6:.0f} MB of text in {options.shards} shards; the "
        f"threshold moved to {options.threshold} changed {len(changed)} of {len(before)} units"
    )
    for name, cost in costs.items():
        print(f"{name:<36} {cost.cpu_seconds:8.2f} CPU s {cost.wall_seconds:8.2f} s")
    start = costs["first run, start-up"].cpu_seconds
    first = costs["first run"].cpu_seconds - start
    one = costs["one shard changed"].cpu_seconds - start
    moved = costs["threshold moved"].cpu_seconds - costs["threshold moved, start-up"].cpu_seconds
    rewrite = costs["bare rewrite of the changed units"].cpu_seconds
    print(f"one shard of {options.shards}: {one / first:.3f} of the first run, without start-up")
    print(f"moved threshold / bare rewrite: {moved / rewrite:.2f} without start-up")


def _run(work: Path, name: str, out: Path, *settings: str) -> Measurement:
    command = [sys.executable, "-m", "raicurate.pipelines.cli", "run", str(work / "manifest.yaml")]
    command += ["--out", str(out), "--workers", "1", *settings]
    return measure(command, work / f"{name}.log")


def _start_up(work: Path, out: Path, threshold: str) -> tuple[Measurement, Measurement]:
    """Returns what a first run and a moved threshold cost over one document that it changes."""
    (source, row), *_ = sorted(
        (row["src_file"], row["src_row"])
        for path in sorted((out / "ledger").rglob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
        if row["action"] == "contextualize" and row["harm_score"] < _DEFAULT_THRESHOLD
    )
    content = zstandard.ZstdDecompressor().stream_reader((work / "shards" / source).open("rb"))
    line = content.read().splitlines()[row]
    one = work / "one" / "shards"
    one.mkdir(parents=True, exist_ok=True)
    (one / "shard-00000.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(line + b"\n"))
    manifest = (work / "manifest.yaml").read_text().replace(str(work / "shards"), str(one))
    (work / "one" / "manifest.yaml").write_text(manifest)
    first = _run(work / "one", "first", work / "one" / "out")
    return first, _run(work / "one", "threshold", work / "one" / "out", "--set", threshold)


def bare_rewrite(files: list[Path], out: Path) -> None:
    """Reads shards and writes their documents as Parquet, as plainly as that can be done."""
    out.mkdir(parents=True, exist_ok=True)
    for path in files:
        content = zstandard.ZstdDecompressor().stream_reader(path.open("rb")).read()
        records = [orjson.loads(line) for line in content.splitlines()]
        table = pa.table(
            {
                "id": [record["id"] for record in records],
                "text": [record["text"] for record in records],
                "url": [record["url"] for record in records],
                "metadata": [orjson.dumps(record["metadata"]).decode() for record in records],
            }
        )
        pq.write_table(
            table, out / f"{path.name}.parquet", compression="zstd", compression_level=3,
            use_dictionary=False, write_page_index=True,
        )  # fmt: skip


def _without_last_line(shards: Path) -> bytes:
    path = shards / "shard-00000.jsonl.zst"
    content = zstandard.ZstdDecompressor().stream_reader(path.open("rb")).read()
    kept = content.rstrip(b"\n").rpartition(b"\n")[0] + b"\n"
    return zstandard.ZstdCompressor(level=3).compress(kept)


def _parts(out: Path) -> set[str]:
    return {path.name for path in (out / "ledger").rglob("*.parquet")}


def _input_files(out: Path, parts: list[str]) -> list[Path]:
    folder = out.parent / "shards"
    names = set()
    for part in parts:
        (path,) = (out / "ledger").rglob(part)
        names |= set(pq.read_table(path, columns=["src_file"]).column(0).to_pylist())
    return [folder / name for name in sorted(names)]


def _inline_policy(path: Path) -> None:
    import yaml

    from raicurate.corpora_manifests.load import load_manifest

    content = yaml.safe_load(path.read_text())
    content["policy"] = json.loads(load_manifest(path).policy.model_dump_json())
    path.write_text(yaml.safe_dump(content, sort_keys=False))


if __name__ == "__main__":
    sys.exit(main())
