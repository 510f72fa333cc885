"""How Beam's local runner gets its workers from a `WorkerHost`.

Beam's own way to start local worker processes never notices that one died, and waits for it
forever; it also keeps the pipeline options from them, on which access to a store may depend.
"""

import json
import logging
import threading
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    GrpcWorkerHandler,
    WorkerHandler,
)
from apache_beam.transforms.environments import Environment, python_sdk_capabilities
from google.protobuf import text_format  # type: ignore[import-untyped]

from raicurate.corpora_manifests.errors import RaicurateError
from raicurate.pipelines.beam_worker import WorkerHost

URN = "raicurate:environment:forked_worker"

_LOGGER = logging.getLogger(__name__)
_STREAM_LOGGER = logging.getLogger("apache_beam.runners.worker.data_plane")
_ABORT_SECONDS = 0.2
_INTERRUPT_SECONDS = 1.0

_HOSTS: dict[str, tuple[WorkerHost, PipelineOptions]] = {}
"""What environments refer to, since only bytes pass through Beam's description of a pipeline."""


@Environment.register_urn(URN, bytes)
class ForkedWorkers(Environment):  # type: ignore[misc]
    """Workers that a host forks on this machine. A context manager around the run."""

    def __init__(self, host: WorkerHost, options: PipelineOptions) -> None:
        super().__init__(capabilities=python_sdk_capabilities())
        self._key = str(id(host))
        _HOSTS[self._key] = host, options

    def __enter__(self) -> "ForkedWorkers":
        self._hook = threading.excepthook
        threading.excepthook = self._report
        _STREAM_LOGGER.addFilter(_is_news)
        return self

    def __exit__(self, *_: object) -> None:
        _STREAM_LOGGER.removeFilter(_is_news)
        threading.excepthook = self._hook
        del _HOSTS[self._key]

    def _report(self, arguments: threading.ExceptHookArgs) -> None:
        if not isinstance(arguments.exc_value, grpc.RpcError):
            self._hook(arguments)

    def to_runner_api_parameter(self, _context: Any) -> tuple[str, bytes]:
        """Returns URN and payload."""
        return URN, self._key.encode()

    @staticmethod
    def from_runner_api_parameter(
        payload: bytes, _capabilities: Any, _artifacts: Any, _hints: Any, _context: Any
    ) -> "ForkedWorkers":
        """Returns the environment that a payload refers to."""
        return ForkedWorkers(*_HOSTS[payload.decode()])


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record is more than the stack of a stream that broke as its worker died.

    That a worker died is told once, and better.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], grpc.RpcError))


@WorkerHandler.register_environment(URN, bytes)
class _ForkedWorkerHandler(GrpcWorkerHandler):  # type: ignore[misc]
    def __init__(self, payload: bytes, state: Any, provision_info: Any, grpc_server: Any) -> None:
        super().__init__(state, provision_info, grpc_server)
        self._host, self._options = _HOSTS[payload.decode()]
        self._stopped = threading.Event()

    def start_worker(self) -> None:
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        options = self._options.get_all_options(drop_default=True)
        self._worker = self._host.start_worker(
            {
                "WORKER_ID": self.worker_id,
                "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(control),
                "PIPELINE_OPTIONS": json.dumps({"options": options}, default=str),
            }
        )
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        # An interrupted run stops its workers and need not be told that they are gone.
        if self._worker.wait() or self._stopped.wait(_INTERRUPT_SECONDS):
            return
        _LOGGER.error("a worker process died; the others end what they have begun")
        error = RaicurateError(
            "a worker process died, killed perhaps for want of memory, so not all units were "
            "done; what was done stays done: run again, with fewer `--workers` if memory was short"
        )
        # Whatever the runner still asks of this worker must fail as well, not wait forever.
        while not self._stopped.wait(_ABORT_SECONDS):
            try:
                self.control_conn.abort(error)
            except RuntimeError:
                continue  # a request was added meanwhile; it is met next time

    def close(self) -> None:
        try:
            super().close()
        except grpc.RpcError:
            self.stop_worker()  # it died, which the run has been told

    def stop_worker(self) -> None:
        self._stopped.set()
        self._watcher.join()
