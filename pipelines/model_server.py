"""A vLLM server that Beam's model handler starts where the work is done.

One server serves all worker processes of a machine. It ends with the process that started it; where
it is gone, the next one who asks starts another.
"""

from functools import partial

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import MissingExtraError, ServerError
from raicurate.corpora_manifests.language_model import ServedModel

_PURPOSE = "a language model in vLLM"


class VllmServer:
    """A running server; ends when it is let go."""

    def __init__(self, model: str, options: dict[str, str | None]) -> None:
        """Starts the server and waits until it answers.

        Raises:
            MissingExtraError: A package is missing.
            ServerError: The server does not start.
        """
        try:
            from apache_beam.ml.inference.vllm_inference import VLLMChatModelHandler
        except ImportError as error:
            raise MissingExtraError.for_package(
                error.name or "openai", _PURPOSE, "pip install openai vllm"
            ) from error
        try:
            self._server = VLLMChatModelHandler(model, vllm_server_kwargs=options).load_model()
        except Exception as error:
            # Beam raises a plain Exception, whose text holds exit codes only.
            raise ServerError(
                f"Beam's handler could not start vLLM with the model {model!r} ({error}), so the "
                "model was not asked; see the worker's log, and the options under `vllm`"
            ) from error

    def port(self) -> int:
        """Returns the port on which it answers."""
        return int(self._server.get_server_port())


def running_endpoint(settings: ServedModel) -> str:
    """Returns the address of the server, which runs by then.

    Raises:
        MissingExtraError: A package is missing.
        ServerError: The server does not start.
    """
    if settings.endpoint is not None:
        return settings.endpoint
    from apache_beam.utils.multi_process_shared import MultiProcessShared

    options = dict(settings.vllm or {})
    tag = f"raicurate-vllm-{digest(settings.model, options)}"
    shared = MultiProcessShared(partial(VllmServer, settings.model, options), tag)
    return f"http://127.0.0.1:{shared.acquire().port()}/v1"
