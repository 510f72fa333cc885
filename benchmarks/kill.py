"""Kills runs at random moments and checks that nothing is lost, doubled or done twice.

    RAI_DATA=... python benchmarks/kill.py WORK_FOLDER [--kills 100] [--manifest shared_data.yaml]

A run is started, killed with SIGKILL after a random time (with its worker processes), and started
again, until it ends by itself; then the output is compared with that of a run that was left alone,
file by file, and a new output is begun. A part that a receipt named before the kill must stay as it
is; a receipt may only gain layers, as those of exercises are written after the data of all units.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from raicurate.corpora_manifests.load import PACKAGE_FOLDER


def main() -> int:
    """Runs the check and prints what it saw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--manifest", type=Path, default=PACKAGE_FOLDER / "shared_data.yaml")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="a.b=c")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    whole = options.folder / "whole"
    started = time.monotonic()
    if code := _start(options, whole).wait():
        print(f"a run that is left alone ends with {code}; is RAI_DATA set?")
        return 1
    seconds = time.monotonic() - started
    expected = _digests(whole)
    print(f"a run that is left alone: {seconds:.0f} s, {len(expected)} files", flush=True)
    kills = ended = 0
    while kills < options.kills:
        out = options.folder / f"killed-{ended}"
        attempts = 0
        while True:
            parts = _parts(out)
            process = _start(options, out)
            try:
                # On a machine that has become busier, one step may need longer than all did.
                process.wait(timeout=draw.uniform(0.0, seconds * (1 + attempts / 5)))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
                attempts += 1
            after = _parts(out)
            redone = [name for name, state in parts.items() if after.get(name) != state]
            if redone:
                print(f"done again after its receipt: {redone[:3]}")
                return 1
            if process.returncode == 0:
                break
        if _digests(out) != expected:
            print(f"the output after kill {kills} differs: {out}")
            return 1
        ended += 1
        print(f"{kills} kills, {ended} outputs, each as expected", flush=True)
        shutil.rmtree(out)
        shutil.rmtree(f"{out}.restricted", ignore_errors=True)
    return 0


def _start(options: argparse.Namespace, out: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "raicurate.pipelines.cli", "run", str(options.manifest)]
    settings = [word for override in options.overrides for word in ("--set", override)]
    return subprocess.Popen(
        [*command, "--out", str(out), *settings],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _parts(out: Path) -> dict[str, tuple[int, int]]:
    """Returns inode and modification time of each part that a receipt names.

    Both change if a part is written again.
    """
    folders = (out, out.with_name(out.name + ".restricted"))
    found = {}
    for receipt in (out / "_rai" / "receipts").glob("*.json"):
        for part in json.loads(receipt.read_bytes())["parts"]:
            [path] = [path for folder in folders if (path := folder / part["path"]).exists()]
            found[part["path"]] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def _digests(out: Path) -> dict[str, str]:
    restricted = out.with_name(out.name + ".restricted")
    return {
        f"{index}/{path.relative_to(folder)}": hashlib.sha256(path.read_bytes()).hexdigest()
        for index, folder in enumerate((out, restricted))
        for path in sorted(folder.rglob("*.parquet"))
    }


if __name__ == "__main__":
    sys.exit(main())
