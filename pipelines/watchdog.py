"""Ends a local Beam run when one of its worker processes dies.

Beam's local runner would wait for the dead worker for ever: a worker that was killed (by the
kernel, for memory, or by hand) is noticed only in a thread that nobody asks.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from raicurate.corpora_manifests.errors import RaicurateError

_BEAM_MESSAGE = "Worker subprocess exited"


class _WorkerDied(BaseException):
    """Raised in the main thread wherever it waits; no handler of the runner may swallow it."""


@contextlib.contextmanager
def ends_when_a_worker_dies() -> Iterator[None]:
    """Raises out of the block when Beam reports that a worker process died.

    Works in the main thread only, since only there a wait can be interrupted.

    Raises:
        RaicurateError: A worker process died.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    messages: list[str] = []
    previous_hook = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if _BEAM_MESSAGE in str(arguments.exc_value):
            messages.append(str(arguments.exc_value))
            os.kill(os.getpid(), signal.SIGUSR1)
        elif not messages:
            previous_hook(arguments)

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise _WorkerDied

    previous_handler = signal.signal(signal.SIGUSR1, interrupt)
    threading.excepthook = hook
    try:
        yield
    except _WorkerDied:
        raise RaicurateError(
            f"a worker process died ({messages[0]}), perhaps for want of memory, so the run was "
            "ended. What was done stays done; run again, with fewer --workers if it repeats"
        ) from None
    finally:
        threading.excepthook = previous_hook
        signal.signal(signal.SIGUSR1, previous_handler)
