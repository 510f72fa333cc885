"""Models behind an OpenAI-compatible completions server that returns prompt log-probabilities.

Reference: `openai:URL,model=NAME`, URL ending in `/v1`, then options after commas: `tokenizer` (a
directory of Hugging Face; without it the server's own `/tokenize` is asked), `reference` (a model
reference of the same weights, to compare sums with), `prefix` (id of the start-of-text token),
`window`, `stride` (tokens). A credential comes from the environment variable `OPENAI_API_KEY` only.

Each reply is checked, and before the first one is used, the handshake of `handshake.py` runs.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import MissingExtraError, UsageError
from raicurate.probes.backend import (
    Capabilities,
    Integers,
    Request,
    Score,
    TokenNll,
    check_requests,
    open_backend,
    utf8_bytes,
    windows,
)
from raicurate.probes.completions_server import CREDENTIAL, THREADS, Server, ServerTokenizer
from raicurate.probes.handshake import TEXTS, Check, handshake
from raicurate.probes.token_trees import TokenSequence
from raicurate.probes.tokenizing import RequestTokenizer, Tokenizer

VERSION = "1"
"""Raised when the same server is scored to other numbers."""

_DEFAULT_WINDOW = 2048
_OPTIONS = frozenset({"model", "tokenizer", "reference", "prefix", "window", "stride"})


class OpenAICompletions:
    """A served model."""

    def __init__(
        self,
        server: Server,
        *,
        tokenizer: str | None = None,
        reference: str | None = None,
        prefix: int | None = None,
        window: int | None = None,
        stride: int | None = None,
    ) -> None:
        self.name = server.model
        self._server = server
        self._tokenizer_place, self._reference = tokenizer, reference
        self._prefix, self._window, self._stride = prefix, window, stride
        self._greedy_known = True

    @cached_property
    def _tokenizer(self) -> RequestTokenizer:
        if self._tokenizer_place is None:
            return ServerTokenizer(self._server, self._prefix)
        try:
            tokenizer = Tokenizer.load(Path(self._tokenizer_place))
        except ImportError:
            raise MissingExtraError.for_package(
                "transformers", "option `tokenizer`", "pip install 'raicurate[probes]'"
            ) from None
        if self._prefix is not None:
            tokenizer.prefix = self._prefix
        return tokenizer

    @cached_property
    def checks(self) -> list[Check]:
        """What the handshake found.

        Raises:
            UsageError: The server scores wrongly.
        """
        reference = None if self._reference is None else open_backend(self._reference)
        return handshake(_Unchecked(self), reference)

    @cached_property
    def digest(self) -> str:
        """Digest of where the model is, how it is asked, and what it answers to fixed texts.

        A server does not say which weights it holds, but other weights answer otherwise.
        """
        replies = self._server.replies([sequence.tokens for sequence in self._fixed()])
        answers = [round(float(reply.logs.mean()), 3) for reply in replies]
        limits = self.capabilities
        return digest(
            "openai_completions", VERSION, self._server.model, self._tokenizer_place, answers,
            [limits.window_tokens, limits.stride_tokens, limits.prefix],
        )  # fmt: skip

    def _fixed(self) -> list[TokenSequence]:
        return self._tokenizer.sequences([Request("", text) for text in TEXTS])

    @cached_property
    def capabilities(self) -> Capabilities:
        """What it can do; the token that the server must write takes a place in its window."""
        tokenizer = self._tokenizer
        longest = tokenizer.longest if isinstance(tokenizer, ServerTokenizer) else None
        window = self._window or (longest or _DEFAULT_WINDOW) - 1
        return Capabilities(
            documents=True,
            generates=True,
            greedy=bool(self._server.replies([self._fixed()[0].tokens])[0].greedy),
            window_tokens=window,
            stride_tokens=self._stride or max(1, window // 2),
            prefix=tokenizer.prefix,
            precision="server",
        )

    def score(self, requests: Sequence[Request]) -> list[Score]:
        """Returns one score for each request, in their order.

        Raises:
            UsageError: The server scores wrongly, or a request does not fit.
        """
        _ = self.checks
        return self.unchecked_score(requests)

    def token_nll(self, texts: Sequence[str]) -> list[TokenNll]:
        """Returns the log-likelihoods of the tokens of each document, in their order."""
        _ = self.checks
        return self.unchecked_token_nll(texts)

    def unchecked_score(self, requests: Sequence[Request]) -> list[Score]:
        """Returns what the handshake checks."""
        check_requests(requests, self.name)
        sequences = self._tokenizer.sequences(requests)
        longest = self.capabilities.window_tokens
        for number, sequence in enumerate(sequences):
            if len(sequence.tokens) > longest:
                raise UsageError(
                    f"request {number} to {self.name} has {len(sequence.tokens)} tokens with the "
                    f"start of text, but the window holds {longest}; shorten it, or set `window`"
                )
        replies = self._server.replies([sequence.tokens for sequence in sequences])
        return [
            Score(
                float(-reply.logs[sequence.scored - 1 :].sum()),
                len(sequence.tokens) - sequence.scored,
                utf8_bytes(request.continuation),
                bool(reply.greedy) and all(reply.greedy[sequence.scored - 1 :]),
            )
            for request, sequence, reply in zip(requests, sequences, replies, strict=True)
        ]

    def unchecked_token_nll(self, texts: Sequence[str]) -> list[TokenNll]:
        """Returns what the handshake checks."""
        limits = self.capabilities
        prefix = np.array([self._tokenizer.prefix])
        if isinstance(self._tokenizer, Tokenizer):
            documents = self._tokenizer.documents(texts)
            tokens = [document.tokens for document in documents]
            starts: list[Integers | None] = [document.starts for document in documents]
        else:
            tokens = self._tokenizer.ids(texts)
            starts = [None] * len(tokens)
        cut = [
            list(windows(len(ids), limits.window_tokens, limits.stride_tokens)) for ids in tokens
        ]
        replies = iter(
            self._server.replies(
                [
                    np.concatenate([prefix, ids[window.start : window.end]])
                    for ids, places in zip(tokens, cut, strict=True)
                    for window in places
                ]
            )
        )
        found = []
        for text, ids, places, known in zip(texts, tokens, cut, starts, strict=True):
            nll, pieces = np.zeros(len(ids)), [""] * len(ids)
            for window in places:
                reply = next(replies)
                nll[window.scored : window.end] = -reply.logs[window.scored - window.start :]
                pieces[window.scored : window.end] = reply.pieces[window.scored - window.start :]
            found.append(TokenNll(nll, _starts(text, pieces) if known is None else known))
        return found

    def generate(
        self, prompts: Sequence[str], *, max_tokens: int, stop: Sequence[str] = ()
    ) -> list[str]:
        """Returns the greedy completion of each prompt, cut before the first of `stop`."""
        prefix = np.array([self._tokenizer.prefix])
        given = [np.concatenate([prefix, ids]) for ids in self._tokenizer.ids(prompts)]

        def written(tokens: Integers) -> str:
            content: dict[str, Any] = {
                "prompt": tokens.tolist(), "max_tokens": max_tokens, "temperature": 0,
            }  # fmt: skip
            if stop:
                content["stop"] = list(stop)
            answer = self._server.ask("/v1/completions", content)
            return str(answer["choices"][0]["text"])

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(written, given))


class _Unchecked:
    """The same backend without its handshake, for the handshake."""

    def __init__(self, served: OpenAICompletions) -> None:
        self._served = served
        self.name, self.digest = served.name, ""
        self.capabilities = served.capabilities

    def score(self, requests: Sequence[Request]) -> list[Score]:
        return self._served.unchecked_score(requests)

    def token_nll(self, texts: Sequence[str]) -> list[TokenNll]:
        return self._served.unchecked_token_nll(texts)


def _starts(text: str, pieces: Iterable[str]) -> Integers:
    """Returns where tokens begin in bytes, by finding their texts one after the other.

    A piece that is no whole character begins where the one before it ended.
    """
    place, found = 0, []
    for piece in pieces:
        at = text.find(piece, place) if piece and "\ufffd" not in piece else place
        at = place if at < 0 else at
        found.append(at)
        place = at + len(piece) if text.startswith(piece, at) else at
    if found:
        found[0] = 0
    sizes = np.cumsum([0, *(utf8_bytes(character) for character in text)])
    return np.asarray(sizes[np.array(found, np.int64)], np.int64)


def open_model(rest: str) -> OpenAICompletions:
    """Returns the model of a reference; the server is asked for nothing yet.

    Raises:
        UsageError: The reference is not complete, or holds a credential.
    """
    url, *settings = rest.split(",")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.path.rstrip("/").endswith("/v1"):
        raise UsageError(
            "a completions server is given as `openai:http://HOST:PORT/v1,model=NAME`; the URL "
            "must begin with http and end in /v1"
        )
    if parts.username or parts.password or parts.query:
        raise UsageError(
            "the URL of a completions server may hold no user, password or query, since it ends in "
            f"reports; put the credential into the environment variable {CREDENTIAL}"
        )
    values = dict(setting.partition("=")[::2] for setting in settings)
    unknown = sorted(set(values) - _OPTIONS)
    if unknown or not values.get("model"):
        raise UsageError(
            f"the reference {url} "
            + (f"has no option {unknown[0]!r}" if unknown else "names no model")
            + f"; known options are {', '.join(sorted(_OPTIONS))}, of which `model` is needed"
        )
    numbers: dict[str, int | None] = {}
    for key in ("prefix", "window", "stride"):
        value = values.get(key)
        if value is not None and not value.isdecimal():
            raise UsageError(f"option {key} of {url} is no number of tokens")
        numbers[key] = None if value is None else int(value)
    return OpenAICompletions(
        Server(url.rstrip("/"), values["model"]),
        tokenizer=values.get("tokenizer"),
        reference=values.get("reference"),
        **numbers,
    )
