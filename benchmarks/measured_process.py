"""Runs a command and measures its whole process tree: wall clock, CPU time, peak memory."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_LEFT_OVER_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measurement:
    """What a command cost.

    Attributes:
        wall_seconds: From its start to its exit.
        cpu_seconds: User and system time of all its processes.
        peak_bytes: Largest resident set that any one of its processes ever had.
        other_cores: Cores that everything else on the machine kept busy meanwhile.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    other_cores: float


def measure(command: Sequence[str], log: Path) -> Measurement:
    """Runs a command to its end, with its output in a file.

    Worker processes that outlive their parent become children of this process (Linux's child
    subreaper), so that the time of every one of them is counted. This process must stay small:
    the peak of a child begins with what its parent held when it was started.

    Raises:
        RuntimeError: It failed, or left processes behind.
    """
    _adopt_orphans()
    busy = _busy_seconds()
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wall, cpu, peak, status = _collect(process, started)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    elapsed = time.perf_counter() - started
    if status:
        raise RuntimeError(f"{command} ended with {status}; see {log}")
    other = max(0.0, _busy_seconds() - busy - cpu) / elapsed
    return Measurement(wall, cpu, peak, other)


def _collect(process: subprocess.Popen[bytes], started: float) -> tuple[float, float, int, int]:
    """Waits for all processes; returns wall and CPU time, peak memory and exit status."""
    wall, cpu, peak, status = 0.0, 0.0, 0, None
    while True:
        try:
            pid, code, usage = os.wait4(-1, 0 if status is None else os.WNOHANG)
        except ChildProcessError:
            return wall, cpu, peak, status or 0
        if pid == 0:
            if time.perf_counter() - started - wall > _LEFT_OVER_SECONDS:
                raise RuntimeError("processes were left behind")
            time.sleep(0.02)
            continue
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss * 1024)
        if pid == process.pid:
            wall, status = time.perf_counter() - started, os.waitstatus_to_exitcode(code)
            process.returncode = status


def _adopt_orphans() -> None:
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError("the kernel does not let this process adopt orphans")


def _busy_seconds() -> float:
    """Returns the CPU time that all processes of the machine have taken."""
    user, nice, system, _idle, _iowait, irq, softirq = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + irq + softirq) / _TICKS
