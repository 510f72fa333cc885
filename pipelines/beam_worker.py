"""Worker processes of a local Beam run.

A host (`python -m raicurate.pipelines.beam_worker`) imports what workers need while the runner is
still starting, and forks a worker at each request. So imports and models are paid for once, however
many workers there are, and beside those of the runner.

A socket ties every worker to the process of the runner. It closes when either of them ends, in
whatever way: the runner then knows that a worker died, and no worker outlives the runner.
"""

import contextlib
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

_COMMAND = (sys.executable, "-m", "raicurate.pipelines.beam_worker")
_DONE = b"."
_FORK = b"w"
_LOAD = b"l"
_LENGTH_BYTES = 8


class WorkerHost:
    """The host, as seen by the runner. A context manager, at whose end all workers end."""

    def __init__(self) -> None:
        self._connections: list[socket.socket] = []
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(_COMMAND, stdin=theirs.fileno())

    def __enter__(self) -> "WorkerHost":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._requests.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):  # closed already: the worker has ended
                connection.shutdown(socket.SHUT_RDWR)
        self._process.wait()

    def load(self, annotators: Sequence[Mapping[str, Any]]) -> None:
        """Has the host load the models of the annotators of a manifest, for workers to come."""
        content = json.dumps(list(annotators)).encode()
        with contextlib.suppress(OSError):  # the host has ended: whoever starts a worker hears it
            self._requests.sendall(_LOAD + len(content).to_bytes(_LENGTH_BYTES, "big") + content)

    def start_worker(self, environment: Mapping[str, str]) -> "Worker":
        """Starts a worker with some more environment variables.

        Raises:
            OSError: The host has ended.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._requests, [_FORK], [theirs.fileno()])
        self._connections.append(ours)
        ours.sendall(json.dumps(dict(environment)).encode() + b"\n")
        return Worker(ours)


class Worker:
    """A worker, as seen by the runner."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def wait(self) -> bool:
        """Waits for the end of the worker; returns whether it ended by itself, its work done."""
        with self._connection:
            try:
                return self._connection.recv(1) == _DONE
            except ConnectionResetError:
                return False


def main() -> None:
    """Runs the host until the process of the runner closes its end, or dies."""
    # The terminal sends Ctrl-C to all: the runner handles it, workers end at once and silently,
    # and the host stays until it has collected them.
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    if on_interrupt != signal.SIG_IGN:
        on_interrupt = signal.SIG_DFL
    requests = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (a file descriptor is what is wanted)
        os.dup2(nothing.fileno(), 0)
    _be_silent()
    _import_everything()
    gc.freeze()
    while True:
        request, received, _, _ = socket.recv_fds(requests, 1, 1)
        if request == _LOAD:
            length = int.from_bytes(_exactly(requests, _LENGTH_BYTES), "big")
            _load_models(json.loads(_exactly(requests, length)))
            gc.freeze()
            continue
        if not received:
            break
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGINT, on_interrupt)
            os._exit(_work(socket.socket(fileno=received[0])))
        os.close(received[0])
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _be_silent() -> None:
    level = os.environ.get("RAI_LOG_LEVEL", "ERROR").upper()
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    # Beam lowers the level of the root logger before it knows the one that was asked for.
    logging.disable(logging.getLevelName(level) - 1)


def _import_everything() -> None:
    import apache_beam.runners.worker.sdk_worker_main

    from raicurate.pipelines import curate, reading
    from raicurate.pipelines.process_start import share_memory_between_threads, spare_pandas
    from raicurate.transforms import registry

    del apache_beam, curate
    share_memory_between_threads()
    spare_pandas()
    reading.registered()
    registry.registered()


def _exactly(connection: socket.socket, length: int) -> bytes:
    return connection.recv(length, socket.MSG_WAITALL)


def _load_models(annotators: Sequence[Mapping[str, Any]]) -> None:
    from raicurate.exercise_templates.context import ContextLibrary
    from raicurate.transforms import registry

    # What fails here fails again in a worker, which reports it.
    with contextlib.suppress(Exception):
        ContextLibrary.load()
        for annotator in annotators:
            registry.create(annotator["use"], annotator["with"]).setup()


def _work(runner: socket.socket) -> int:
    """Does what the runner asks for; returns the exit code."""
    from apache_beam.runners.worker import sdk_worker_main

    os.environ.update(json.loads(runner.makefile("rb").readline()))
    threading.Thread(target=_end_with, args=(runner,), daemon=True).start()
    try:
        sdk_worker_main.main(sys.argv)
    except Exception:
        return 1  # Beam has logged it
    runner.sendall(_DONE)
    return 0


def _end_with(runner: socket.socket) -> None:
    try:
        runner.recv(1)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
