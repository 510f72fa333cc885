"""CPU seconds by stage of the cascade, added up in the process that does the work.

They go to the log and to the counters of the runner, never into a receipt or a file of the output:
those are the same for two runs of the same work, and times are not.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator

_spent: Counter[str] = Counter()
_lock = threading.Lock()


class _Within(threading.local):
    """What blocks within the innermost open one of this thread took, in nanoseconds."""

    nanoseconds = 0


_within = _Within()


@contextlib.contextmanager
def timed(stage: str) -> Iterator[None]:
    """Adds the CPU time that this thread spends in the block to a stage.

    What a timed block within it takes counts there, not here. Threads that the block starts (those
    of torch, say) count in no stage.
    """
    before, _within.nanoseconds = _within.nanoseconds, 0
    started = time.thread_time_ns()
    try:
        yield
    finally:
        whole = time.thread_time_ns() - started
        with _lock:
            _spent[stage] += whole - _within.nanoseconds
        _within.nanoseconds = before + whole


def taken() -> dict[str, int]:
    """Returns the nanoseconds by stage since this was last called, and begins anew."""
    with _lock:
        found = dict(sorted(_spent.items()))
        _spent.clear()
    return found
