"""Servers that are started where the work is done, by Beam's handler for vLLM."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from raicurate.corpora_manifests.errors import ManifestError, MissingExtraError
from raicurate.corpora_manifests.language_model import LanguageModel
from raicurate.corpora_manifests.load import validated
from raicurate.pipelines.model_context import ModelContext
from raicurate.pipelines.model_server import VllmServer, running_endpoint

HAS_OPENAI = importlib.util.find_spec("openai") is not None

# Beam's handler runs the module of this name as a process of its own.
SERVER = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent)]!r}
import orjson
from chat_server import ChatServer, Reply, completion

arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert arguments["--model"] == "tiny" and arguments["--max-model-len"] == "512"
models = orjson.dumps({{"object": "list", "data": [{{"id": "tiny", "object": "model"}}]}})
answer = lambda request: Reply(completion("Hello.") if request.body else models)
with ChatServer(answer, int(arguments["--port"])) as server:
    server.wait()
"""


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"endpoint": "http://localhost/v1", "vllm": {}},
        {"vllm": {"port": "1"}},
        {"vllm": {"api-key": "hunter2"}},
        {"vllm": {"--x": "1"}},
    ],
)
def test_one_server_is_named(bad: dict[str, Any]) -> None:
    """Either an address or options of a server to start; what Beam sets cannot be set."""
    with pytest.raises(ManifestError) as caught:
        validated(LanguageModel, {"model": "m", **bad}, "manifest")
    assert "hunter2" not in str(caught.value)


def test_endpoint_is_taken_as_it_is() -> None:
    """A server that runs is not started."""
    settings = LanguageModel(endpoint="http://localhost:8000/v1", model="m")
    assert running_endpoint(settings) == "http://localhost:8000/v1"


@pytest.mark.skipif(HAS_OPENAI, reason="the package is there")
def test_missing_package_is_named() -> None:
    """Without the packages that Beam's handler needs, the error says what to install."""
    with pytest.raises(MissingExtraError, match="pip install openai vllm"):
        VllmServer("tiny", {})


@pytest.mark.skipif(not HAS_OPENAI, reason="Beam's handler needs the package openai")
def test_handler_starts_a_server_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server that Beam's handler starts is a process of its own and answers the client."""
    module = tmp_path / "vllm" / "entrypoints" / "openai" / "api_server.py"
    module.parent.mkdir(parents=True)
    for folder in list(module.parents)[:3]:
        (folder / "__init__.py").touch()
    module.write_text(SERVER, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(filter(None, sys.path))}")
    settings = LanguageModel(vllm={"max-model-len": "512"}, model="tiny", retries=0)
    client = ModelContext(settings, str(tmp_path / "out")).asked.client()
    assert client.ask(b'{"messages": []}').content == "Hello."
