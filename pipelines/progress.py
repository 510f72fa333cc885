"""A progress line on a terminal: units done, counted by their receipts."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from raicurate.corpora_manifests.load import is_uri

_INTERVAL_SECONDS = 0.5


@contextlib.contextmanager
def progress(out: str) -> Iterator[None]:
    """Shows how many units are done while the block runs; nothing where stderr is no terminal."""
    if is_uri(out) or not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_show, args=(Path(out), done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _show(out: Path, done: threading.Event) -> None:
    started = time.time()
    while not done.wait(_INTERVAL_SECONDS):
        jobs = out / "_rai" / "jobs.jsonl"
        try:
            if jobs.stat().st_mtime < started:
                continue
            total = jobs.read_bytes().count(b"\n") + 1
            receipts = (out / "_rai" / "receipts").glob("*.json")
            finished = sum(receipt.stat().st_mtime >= started for receipt in receipts)
        except FileNotFoundError:
            continue
        elapsed = time.time() - started
        line = f"{finished}/{total} units, {elapsed:.0f} s"
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
