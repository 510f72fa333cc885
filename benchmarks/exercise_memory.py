"""Does memory stay flat while exercises are made? Runs over ever more policy documents.

    RAI_DATA=... python benchmarks/exercise_memory.py WORK_FOLDER

The policy documents below `$RAI_DATA` are written as shards of 200 documents, and an eighth, a half
and all of them are turned into exercises by `raicurate run` in one process. The peak is the largest
resident set of any process.
"""

import argparse
import gzip
import os
import sys
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).parent))
from measured_process import measure

SHARD_DOCUMENTS = 200
PARTS = (8, 2, 1)

MANIFEST = """\
schema_version: 1
name: exercise-memory
policy: policies/default.yaml
annotators: [{{use: language@1}}]
corpora:
  - {{name: policies, role: policy, root: {root}, paths: ["*.jsonl"], license: various}}
output: {{restricted: "{{out}}.restricted"}}
"""


def main() -> None:
    """Prints documents, exercises, seconds and peaks of the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    source = Path(os.environ["RAI_DATA"]) / "policy" / "policy_documents.jsonl.gz"
    with gzip.open(source) as file:
        lines = list(file)
    print("documents   exercises   CPU s   peak MB")
    for part in PARTS:
        taken = lines[::part]
        root = folder / f"in-{part}"
        root.mkdir(parents=True)
        for start in range(0, len(taken), SHARD_DOCUMENTS):
            (root / f"{start:06}.jsonl").write_bytes(
                b"".join(taken[start : start + SHARD_DOCUMENTS])
            )
        manifest, out = folder / f"{part}.yaml", folder / f"out-{part}"
        manifest.write_text(MANIFEST.format(root=root), encoding="utf-8")
        log = folder / f"{part}.log"
        cost = measure(
            [sys.executable, "-m", "raicurate.pipelines.cli", "run", str(manifest),
             "--out", str(out), "--workers", "1"], log,
        )  # fmt: skip
        receipts = [
            orjson.loads(path.read_bytes()) for path in (out / "_rai" / "receipts").glob("*.json")
        ]
        made = sum(sum(one["tables"].get("exercises", {}).values()) for one in receipts)
        print(
            f"{len(taken):9}   {made:9}   {cost.cpu_seconds:5.0f}   {cost.peak_bytes / 1e6:7.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
