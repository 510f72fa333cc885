"""The host of worker processes, without Beam's runner."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raicurate.pipelines import beam_worker
from raicurate.pipelines.beam_worker import WorkerHost

# A host whose workers do what their environment says instead of running Beam.
_HOST = """
import os, time
from raicurate.pipelines import beam_worker
beam_worker._import_everything = lambda: None
def work(runner):
    import json, threading
    asked = json.loads(runner.makefile("rb").readline())
    threading.Thread(target=beam_worker._end_with, args=(runner,), daemon=True).start()
    open(asked["PID_FILE"], "w").write(str(os.getpid()))
    if asked["DO"] == "end":
        runner.sendall(beam_worker._DONE)
        return 0
    time.sleep(600)
beam_worker._work = work
beam_worker.main()
"""

_RUNNER = f"""
import sys, time
from raicurate.pipelines import beam_worker
beam_worker._COMMAND = (sys.executable, "-c", {_HOST!r})
host = beam_worker.WorkerHost()
host.start_worker({{"DO": "sleep", "PID_FILE": sys.argv[1]}})
time.sleep(600)
"""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> WorkerHost:
    """A host that imports nothing."""
    monkeypatch.setattr(beam_worker, "_COMMAND", (sys.executable, "-c", _HOST))
    return WorkerHost()


def _pid(path: Path) -> int:
    deadline = time.monotonic() + 30
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < deadline, "the worker did not start"
        time.sleep(0.01)
    return int(path.read_text())


def _ends(pid: int) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout.strip()
        if not status or status.startswith("Z"):
            return True
        time.sleep(0.05)
    return False


def test_worker_that_is_done_is_told_from_one_that_died(host: WorkerHost, tmp_path: Path) -> None:
    """A worker that ends by itself is no failure; one that is killed is."""
    with host:
        done = host.start_worker({"DO": "end", "PID_FILE": str(tmp_path / "done")})
        assert done.wait() is True
        killed = host.start_worker({"DO": "sleep", "PID_FILE": str(tmp_path / "killed")})
        os.kill(_pid(tmp_path / "killed"), signal.SIGKILL)
        assert killed.wait() is False


def test_no_worker_outlives_the_block(host: WorkerHost, tmp_path: Path) -> None:
    """Leaving the block ends workers that are still at work."""
    with host:
        host.start_worker({"DO": "sleep", "PID_FILE": str(tmp_path / "pid")})
        pid = _pid(tmp_path / "pid")
    assert _ends(pid)


def test_host_that_cannot_start_is_a_worker_that_died(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that ends at once makes requests fail instead of waiting for ever."""
    monkeypatch.setattr(beam_worker, "_COMMAND", (sys.executable, "-c", "raise SystemExit(1)"))
    with WorkerHost() as host:
        try:
            worker = host.start_worker({"DO": "end"})
        except OSError:
            return
        assert worker.wait() is False


def test_killed_runner_leaves_no_process(tmp_path: Path) -> None:
    """A runner that is killed takes its host and its workers along, whatever they do."""
    runner = subprocess.Popen([sys.executable, "-c", _RUNNER, str(tmp_path / "pid")])
    worker = _pid(tmp_path / "pid")
    parent = subprocess.run(
        ["ps", "-o", "ppid=", "-p", str(worker)], capture_output=True, text=True, check=True
    )
    runner.kill()
    runner.wait()
    assert _ends(worker)
    assert _ends(int(parent.stdout))
