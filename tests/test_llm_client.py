"""The client of a language model against a real HTTP server that misbehaves in every way."""

import gzip
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from chat_server import ChatServer, Reply, completion

from raicurate.corpora_manifests.errors import ManifestError, ServerError, UsageError
from raicurate.corpora_manifests.language_model import LanguageModel
from raicurate.corpora_manifests.load import validated
from raicurate.transforms import llm_client
from raicurate.transforms.llm_client import ChatClient

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "a private text"}]}'


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A server on loopback whose replies a test decides."""
    monkeypatch.setattr(llm_client, "FIRST_PAUSE", 0.01)
    with ChatServer() as running:
        yield running


def client(server: ChatServer, **settings: Any) -> ChatClient:
    values = {"endpoint": server.endpoint, "model": "m", "timeout": 5, "retries": 3}
    return ChatClient(LanguageModel(**{**values, **settings}), settings.pop("credential", None))


def test_answer_and_tokens(server: ChatServer) -> None:
    """The text of the first choice comes back with the tokens that the server counted."""
    server.replies = [Reply(completion("Hello.", prompt_tokens=11, completion_tokens=3))]
    assert client(server).ask(BODY) == ("Hello.", "stop", 11, 3)
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.body == BODY
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    "bad",
    [
        Reply(b"busy", status=429),
        Reply(b"broken", status=500),
        Reply(b"", status=503),
        Reply(b"{not json"),
        Reply(b"[]"),
        Reply(b'{"choices": []}'),
        Reply(b'{"choices": [{"message": null}]}'),
        Reply(b'{"choices": [{"message": {"content": 7}}]}'),
        Reply(b'{"choices": [{"message": {"content": "\\ud800"}}]}'),
        Reply(b"<html>sign in</html>"),
        Reply(completion("half"), cut=20),
        Reply(completion("zipped"), headers={"Content-Encoding": "gzip"}),
        Reply(b"", hang_up=True),
    ],
    ids=lambda reply: f"{reply.status}-{reply.content[:12]!r}",
)
def test_faults_that_pass_are_repeated(server: ChatServer, bad: Reply) -> None:
    """A busy or broken server, a cut body and one that is no completion are asked again."""
    server.replies = [bad, bad, Reply(completion("At last."))]
    assert client(server).ask(BODY).content == "At last."
    assert len(server.requests) == 3


def test_retry_after_is_waited_for(server: ChatServer) -> None:
    """The pause that the server asks for is kept, by seconds and by date, up to `max_wait`."""
    server.replies = [Reply(b"", status=429, headers={"Retry-After": "1"}), Reply(completion("x"))]
    started = time.monotonic()
    assert client(server).ask(BODY).content == "x"
    assert time.monotonic() - started >= 1
    late = {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}
    server.replies = [Reply(b"", status=503, headers=late), Reply(completion("x"))]
    started = time.monotonic()
    assert client(server, max_wait=0.3).ask(BODY).content == "x"
    assert 0.3 <= time.monotonic() - started < 5


def test_timeout_holds_for_the_whole_answer(server: ChatServer) -> None:
    """A server that sends a byte now and then is given up like one that sends none."""
    server.replies = [Reply(completion("slow"), drip=0.1), Reply(completion("x"), delay=2)]
    started = time.monotonic()
    with pytest.raises(ServerError, match="2 times in a row"):
        client(server, timeout=0.5, retries=1).ask(BODY)
    assert time.monotonic() - started < 3


def test_endless_body_is_not_read_to_its_end(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body beyond the bound is dropped, compressed or not."""
    monkeypatch.setattr(llm_client, "MAX_BODY_BYTES", 10_000)
    bomb = gzip.compress(b" " * 50_000_000)
    server.replies = [
        Reply(b" " * 1_000_000),
        Reply(bomb, headers={"Content-Encoding": "gzip"}),
        Reply(completion("x")),
    ]
    assert client(server).ask(BODY).content == "x"


def test_server_that_stays_down_ends_the_work(server: ChatServer) -> None:
    """After all repetitions there is an error that names server and cure, and no text."""
    server.replies = [Reply(b"a private text", status=500)]
    with pytest.raises(ServerError, match="status 500") as caught:
        client(server, retries=2).ask(BODY)
    assert len(server.requests) == 3
    assert "private" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_server_at_all() -> None:
    """A refused connection is told as such."""
    settings = LanguageModel(endpoint="http://127.0.0.1:9/v1", model="m", retries=0)
    with pytest.raises(ServerError, match="ConnectError"):
        ChatClient(settings, None).ask(BODY)


@pytest.mark.parametrize(
    ("status", "words"), [(401, "credential"), (404, "no model"), (302, "302")]
)
def test_faults_that_stay_are_not_repeated(server: ChatServer, status: int, words: str) -> None:
    """A refused credential, an unknown model and a redirect are errors of use, at once."""
    location = {"Location": f"{server.endpoint}/elsewhere"}
    server.replies = [Reply(b"{}", status=status, headers=location)]
    with pytest.raises(UsageError, match=words):
        client(server).ask(BODY)
    assert len(server.requests) == 1


def test_declined_document_is_an_answer(server: ChatServer) -> None:
    """A document that is too long, or that a filter declines, does not end the work."""
    long = b'{"error": {"code": "context_length_exceeded", "message": "a private text"}}'
    azure = b'{"error": {"code": "content_filter", "type": null}}'
    vllm = b'{"object": "error", "message": "maximum context length is 4096", "code": 400}'
    for body in (long, azure, vllm):
        server.replies = [Reply(body, status=400)]
        assert client(server).ask(BODY) == ("", "refused", 0, 0)
    server.replies = [Reply(b"", status=413)]
    assert client(server).ask(BODY).finish == "refused"


def test_rejected_request_names_the_code_only(server: ChatServer) -> None:
    """A request that the server does not understand is an error of use, without its text."""
    body = b'{"error": {"code": "unknown_field", "message": "what: a private text"}}'
    server.replies = [Reply(body, status=400)]
    with pytest.raises(UsageError, match="unknown_field") as caught:
        client(server).ask(BODY)
    assert "private" not in str(caught.value)


@pytest.mark.parametrize(
    ("finish", "message", "expected"),
    [
        ("length", {"content": "cut o"}, ("cut o", "length")),
        ("content_filter", {"content": None}, ("", "refused")),
        ("stop", {"content": None, "refusal": "I cannot."}, ("", "refused")),
        ("stop", {"content": ""}, ("", "stop")),
    ],
)
def test_how_an_answer_ended(
    server: ChatServer, finish: str, message: dict[str, Any], expected: tuple[str, str]
) -> None:
    """A cut answer and a declined one are told apart from a complete one."""
    body = orjson.dumps({"choices": [{"message": message, "finish_reason": finish}]})
    server.replies = [Reply(body)]
    assert client(server).ask(BODY)[:2] == expected


@pytest.mark.parametrize("usage", [None, [], {"prompt_tokens": -1}, {"prompt_tokens": 10**15}])
def test_usage_that_cannot_be_is_estimated(server: ChatServer, usage: Any) -> None:
    """A server that counts nothing, or nonsense, still costs something."""
    choice = {"message": {"content": "words"}, "finish_reason": "stop"}
    server.replies = [Reply(orjson.dumps({"choices": [choice], "usage": usage}))]
    answer = client(server).ask(BODY)
    assert 0 < answer.prompt_tokens < 100
    assert 0 < answer.completion_tokens < 100


def test_credential_goes_into_the_header_only(server: ChatServer) -> None:
    """The bearer token is sent as such."""
    server.replies = [Reply(completion("x"))]
    settings = LanguageModel(endpoint=server.endpoint, model="m", credential_variable="KEY")
    ChatClient(settings, "hunter2").ask(BODY)
    assert server.requests[0].headers["authorization"] == "Bearer hunter2"
    with pytest.raises(UsageError, match="line breaks") as caught:
        ChatClient(settings, "two\nlines").ask(BODY)
    assert "two" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("endpoint", "https://me:hunter2@example.org/v1"),
        ("endpoint", "https://example.org/v1?key=hunter2"),
        ("endpoint", "example.org/hunter2"),
        ("credential_variable", "sk-hunter2"),
        ("credential_variable", "hunter2"),
        ("parameters", {"messages": ["hunter2"]}),
    ],
)
def test_manifest_takes_no_secret(name: str, value: Any) -> None:
    """A secret in a field of the manifest is refused, and is not repeated in the message."""
    values = {"endpoint": "http://localhost/v1", "model": "m", name: value}
    with pytest.raises(ManifestError, match=name) as caught:
        validated(LanguageModel, values, "manifest")
    assert "hunter2" not in str(caught.value)
