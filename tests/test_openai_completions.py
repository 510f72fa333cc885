"""Served models: scored as the model itself would be, or refused; against a real HTTP server."""

from collections.abc import Iterator

import numpy as np
import pytest
from completions_server import CompletionsServer
from small_models import SENTENCES

from raicurate.corpora_manifests.errors import RaicurateError, UsageError
from raicurate.probes import completions_server, openai_completions
from raicurate.probes.backend import Backend, Request, open_backend
from raicurate.probes.handshake import CONTEXTS, CONTINUATIONS, TEXTS, handshake
from raicurate.probes.ngram import NGramModel

REQUESTS = [Request(sentence[:30], sentence[30:]) for sentence in SENTENCES[:4]] + [
    Request("", "Trains"), Request(CONTEXTS[0], CONTINUATIONS[1]),
]  # fmt: skip


@pytest.fixture(scope="module")
def model() -> NGramModel:
    """An n-gram model of a few sentences."""
    return NGramModel.fit([*SENTENCES, *TEXTS, *CONTEXTS] * 2)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions_server, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def server(model: NGramModel) -> Iterator[CompletionsServer]:
    """A server of the model, without faults."""
    with CompletionsServer(model) as running:
        yield running


def _opened(server: CompletionsServer, more: str = "") -> Backend:
    return open_backend(f"openai:{server.url},model=ngram{more}")


def test_scores_are_those_of_the_model(server: CompletionsServer, model: NGramModel) -> None:
    """What is scored through the server is what the model says of the same text."""
    backend = _opened(server)
    assert isinstance(backend, Backend)
    for found, expected in zip(backend.score(REQUESTS), model.score(REQUESTS), strict=True):
        assert found.sum_nll_nats == pytest.approx(expected.sum_nll_nats, abs=1e-9)
        assert (found.n_tokens, found.n_utf8_bytes) == (expected.n_tokens, expected.n_utf8_bytes)
        assert found.is_greedy == expected.is_greedy
    texts = [" ".join(SENTENCES), "a", ""]
    for found, expected in zip(backend.token_nll(texts), model.token_nll(texts), strict=True):
        np.testing.assert_allclose(found.nll_nats, expected.nll_nats, atol=1e-9)
        assert (np.diff(found.starts) >= 0).all()
    ascii_only = backend.token_nll(SENTENCES[:1])[0]
    assert ascii_only.starts.tolist() == list(range(len(SENTENCES[0])))
    written = backend.generate(["The clerk"], max_tokens=5)  # type: ignore[attr-defined]
    assert written == model.generate(["The clerk"], max_tokens=5)


def test_long_documents_are_cut_into_windows(server: CompletionsServer, model: NGramModel) -> None:
    """With as much context as the model looks back, windows change nothing."""
    text = " ".join(SENTENCES[:2])
    (found,) = _opened(server, ",window=40,stride=20").token_nll([text])
    (expected,) = model.token_nll([text])
    np.testing.assert_allclose(found.nll_nats, expected.nll_nats, atol=1e-9)


def test_the_handshake_says_what_it_found(server: CompletionsServer, model: NGramModel) -> None:
    """A sound server passes every check, that against a reference included."""
    backend = _opened(server)
    assert [check.name for check in backend.checks] == [  # type: ignore[attr-defined]
        "entries", "values", "context", "batches", "sums",
    ]  # fmt: skip
    assert [check.name for check in handshake(model, model)][-1] == "reference"


@pytest.mark.parametrize(
    ("fault", "wrong", "cure"),
    [
        ("no_logprobs", "no log-probabilities of the prompt", "vLLM"),
        ("llama_cpp", "no log-probabilities of the prompt", "llama.cpp"),
        ("constant", "all log-probabilities are -1.25", "hf:"),
        ("truncated", "the prompt was cut", "truncation"),
        ("cut_unseen", "differs by .* from its two halves", "truncation"),
        ("double_start", "added a start-of-text token", "special tokens"),
        ("tokenizer_adds_start", "adds a start-of-text token", "tokenizer=DIRECTORY"),
        ("no_tokenize", "has no /tokenize", "tokenizer=DIRECTORY"),
        ("no_context", "the context does not reach the model", "whole prompt"),
        ("batch_noise", "with what else is in the batch", "batch of one"),
        ("cached", "some tokens of the prompt have no log-probability", "prefix caching"),
        ("logits", "above 0", "raw log-probabilities"),
        ("not_finite", "not finite", "raw log-probabilities"),
        ("one_choice", "1 choices for 5 prompts", "several prompts"),
        ("no_json", "did not answer with JSON", "kind of server"),
        ("declined", "declined a request", "ends in /v1"),
        ("no_key", "declined the credential", "OPENAI_API_KEY"),
    ],
)
def test_wrong_servers_are_refused(model: NGramModel, fault: str, wrong: str, cure: str) -> None:
    """A server that scores wrongly is refused with what is wrong and the cure."""
    with CompletionsServer(model, fault) as broken:
        for ask in (
            lambda backend: backend.score(REQUESTS), lambda backend: backend.token_nll(SENTENCES)
        ):  # fmt: skip
            with pytest.raises(UsageError, match=wrong) as caught:
                ask(_opened(broken))
            assert cure in str(caught.value)
            assert all(text not in str(caught.value) for text in (*SENTENCES, "text of the prompt"))


def test_other_weights_are_refused_by_a_reference(model: NGramModel) -> None:
    """Sums that differ from the same model elsewhere are refused: a start doubled unseen."""
    with CompletionsServer(model, "doubled_silently") as broken:
        backend = _opened(broken)
        with pytest.raises(UsageError, match="differs from ngram"):
            handshake(openai_completions._Unchecked(backend), model)  # type: ignore[arg-type]
    with (
        CompletionsServer(NGramModel.fit(SENTENCES[::-1] * 3)) as other,
        pytest.raises(UsageError, match="other weights"),
    ):
        handshake(_opened(other), model)


def test_the_credential_comes_from_the_environment(
    model: NGramModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is sent as a bearer token, and a URL that holds one is refused."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    with CompletionsServer(model) as running:
        _opened(running).score(REQUESTS[:1])
        assert running.keys == {"Bearer secret-key"}
    with pytest.raises(UsageError, match="environment variable") as caught:
        open_backend("openai:http://me:secret@127.0.0.1/v1,model=a")
    assert "secret" not in str(caught.value)


def test_short_outages_are_survived(model: NGramModel) -> None:
    """A busy server is asked again; one that stays away ends the run with what to do."""
    with CompletionsServer(model) as running:
        backend = _opened(running)
        expected = backend.score(REQUESTS)
        running.failures = 2
        assert backend.score(REQUESTS) == expected
        running.failures = 1000
        with pytest.raises(RaicurateError, match=r"no answer in 4 attempts \(status 503\)"):
            backend.score(REQUESTS)


def test_the_digest_tells_models_apart(server: CompletionsServer, model: NGramModel) -> None:
    """Another model under the same name has another digest; the same one has the same."""
    assert _opened(server).digest == _opened(server).digest
    with CompletionsServer(NGramModel.fit(SENTENCES[:3])) as other:
        assert _opened(other).digest != _opened(server).digest


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("openai:localhost:8000", "must begin with http"),
        ("openai:http://localhost:8000,model=a", "end in /v1"),
        ("openai:http://localhost:8000/v1", "names no model"),
        ("openai:http://localhost:8000/v1,model=a,key=b", "no option 'key'"),
        ("openai:http://localhost:8000/v1,model=a,window=x", "no number"),
    ],
)
def test_wrong_references_are_refused(reference: str, message: str) -> None:
    """Each says what is wrong before anything is asked."""
    with pytest.raises(UsageError, match=message):
        open_backend(reference)
