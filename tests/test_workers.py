"""Runs with worker processes, as a larger plan gets them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import documents, make_manifest, output_digests, write_jsonl

from raicurate.corpora_manifests.load import dump

# The transparent annotator is known in the process of the tests only.
ANNOTATORS = [{"use": "language@1"}, {"use": "personal_data@1"}]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest over eight shards, as a file."""
    for shard in range(8):
        write_jsonl(tmp_path / "in" / f"{shard}.jsonl.gz", documents(3000, shard * 3000))
    path = tmp_path / "manifest.yaml"
    path.write_text(dump(make_manifest(tmp_path / "in", annotators=ANNOTATORS)))
    return path


def _command(manifest: Path, out: Path, workers: int) -> list[str]:
    return [
        sys.executable, "-m", "raicurate.pipelines.cli", "run", str(manifest),
        "--out", str(out), "--workers", str(workers),
    ]  # fmt: skip


def _workers_of(parent: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1:]
    processes = [(int(line.split()[0]), int(line.split()[1]), line) for line in found]
    family = {parent}
    for _ in range(3):
        family |= {pid for pid, ppid, _ in processes if ppid in family}
    return [pid for pid, _, line in processes if pid in family and "beam_worker" in line]


def test_worker_processes_write_the_same_bytes(manifest: Path, tmp_path: Path) -> None:
    """One worker and two write the same files, and say nothing but the report and its cost."""
    for workers in (1, 2):
        done = subprocess.run(
            _command(manifest, tmp_path / f"out{workers}", workers),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        (cost,) = done.stderr.splitlines()
        assert cost.startswith("CPU seconds of the annotators: ")
        assert "Nothing lost: 24000 documents in" in done.stdout
    assert output_digests(tmp_path / "out1") == output_digests(tmp_path / "out2")


def test_killed_worker_ends_the_run(manifest: Path, tmp_path: Path) -> None:
    """A worker that is killed ends the run with 1 and a reason; the next run completes it."""
    out = tmp_path / "out"
    receipts = out / "_rai" / "receipts"
    process = subprocess.Popen(
        _command(manifest, out, 2), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(receipts.glob("*.json")):
        time.sleep(0.01)
    os.kill(_workers_of(process.pid)[-1], signal.SIGKILL)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "a worker process died" in error
    assert _workers_of(process.pid) == []
    subprocess.run(_command(manifest, out, 1), check=True, capture_output=True)
    subprocess.run(_command(manifest, tmp_path / "clean", 1), check=True, capture_output=True)
    assert output_digests(out) == output_digests(tmp_path / "clean")
