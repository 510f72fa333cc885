"""Models behind an OpenAI-compatible completions server that returns prompt log-probabilities.

Reference: `openai:URL,model=NAME`, URL ending in `/v1`, then options after commas: `tokenizer` (a
directory of Hugging Face; without it the server's own `/tokenize` is asked), `reference` (a model
reference of the same weights, to compare sums with), `prefix` (id of the start-of-text token),
`window`, `stride` (tokens). A credential comes from the environment variable `OPENAI_API_KEY` only.

Prompts are sent as token ids: sent as strings, they pass through whatever special tokens the server
adds. Each reply is checked, and before the first one is used, the handshake of `handshake.py` runs.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import MissingExtraError, RaicurateError, UsageError
from raicurate.probes.backend import (
    Capabilities,
    Floats,
    Integers,
    Request,
    Score,
    TokenNll,
    check_requests,
    open_backend,
    utf8_bytes,
    windows,
)
from raicurate.probes.handshake import TEXTS, Check, handshake
from raicurate.probes.token_trees import TokenSequence
from raicurate.probes.tokenizing import RequestTokenizer, Tokenizer

VERSION = "1"
"""Raised when the same server is scored to other numbers."""

CREDENTIAL = "OPENAI_API_KEY"

_PROMPTS = 16
"""Prompts of one request; the server batches requests by itself."""
_THREADS = 4
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.5
_TIMEOUT_SECONDS = 300.0
_DEFAULT_WINDOW = 2048
_OPTIONS = frozenset({"model", "tokenizer", "reference", "prefix", "window", "stride"})


class Reply(NamedTuple):
    """What a server says of one prompt.

    Attributes:
        logs: Log-probability of each token of the prompt but the first, in nats.
        greedy: Whether each was the likeliest; empty where the server does not say.
        pieces: The tokens as text.
    """

    logs: Floats
    greedy: list[bool]
    pieces: list[str]


@dataclass(frozen=True)
class Server:
    """Where the model is.

    Attributes:
        url: Base URL, ending in `/v1`.
        model: Name of the model there.
    """

    url: str
    model: str

    @cached_property
    def _client(self) -> Any:
        try:
            import httpx
        except ImportError:
            raise MissingExtraError.for_package(
                "httpx", "a completions server", "pip install 'raicurate[probes]'"
            ) from None
        credential = os.environ.get(CREDENTIAL)
        headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        return httpx.Client(headers=headers, timeout=_TIMEOUT_SECONDS)

    def ask(self, path: str, content: Mapping[str, Any] | None = None) -> Any:
        """Returns the JSON that the server answers to a POST, or without content to a GET.

        Raises:
            UsageError: It declines; the message holds no text of a prompt.
            RaicurateError: It does not answer, after several attempts.
        """
        import httpx

        url = f"{self.url.removesuffix('/v1')}{path}"
        problem = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt)
            try:
                response = (
                    self._client.get(url)
                    if content is None
                    else self._client.post(url, json={"model": self.model, **content})
                )
            except httpx.TransportError as error:
                problem = type(error).__name__
                continue
            if response.status_code in {408, 409, 429} or response.status_code >= 500:
                problem = f"status {response.status_code}"
                continue
            return self._content(url, response)
        raise RaicurateError(
            f"{url} gave no answer in {_ATTEMPTS} attempts ({problem}), so the rest was not "
            "scored; what was scored is kept, start the server and run again"
        )

    def _content(self, url: str, response: Any) -> Any:
        if response.status_code in {401, 403}:
            raise UsageError(
                f"{url} declined the credential (status {response.status_code}), so nothing was "
                f"scored; set the environment variable {CREDENTIAL}"
            )
        if response.status_code != 200:
            raise UsageError(
                f"{url} declined a request for model {self.model!r} with status "
                f"{response.status_code}; check that the URL ends in /v1, the name of the model, "
                "and that a prompt may be token ids"
            )
        try:
            return response.json()
        except ValueError:
            raise UsageError(
                f"{url} did not answer with JSON, so nothing was scored; is it this kind of server?"
            ) from None

    def replies(self, prompts: Sequence[Integers]) -> list[Reply]:
        """Returns what the server says of each prompt, in their order."""
        groups = [prompts[start : start + _PROMPTS] for start in range(0, len(prompts), _PROMPTS)]
        with ThreadPoolExecutor(_THREADS) as pool:
            return [reply for group in pool.map(self._replies, groups) for reply in group]

    def _replies(self, prompts: Sequence[Integers]) -> list[Reply]:
        # The server must write a token: vLLM takes no `max_tokens` of 0. It is dropped again.
        answer = self.ask(
            "/v1/completions",
            {"prompt": [tokens.tolist() for tokens in prompts], "max_tokens": 1,
             "temperature": 0, "logprobs": 1, "echo": True},
        )  # fmt: skip
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or len(choices) != len(prompts):
            count = len(choices) if isinstance(choices, list) else "no"
            raise self._refused(
                f"it returned {count} choices for {len(prompts)} prompts",
                "use a server that takes several prompts at once, as token ids",
            )
        choices = sorted(choices, key=lambda choice: choice.get("index", 0))
        return [self._reply(*pair) for pair in zip(choices, prompts, strict=True)]

    def _reply(self, choice: Mapping[str, Any], tokens: Integers) -> Reply:
        """Returns the values of one prompt, checked one by one."""
        given = choice.get("logprobs") or {}
        logs = given.get("token_logprobs")
        if not logs:
            raise self._refused(
                "it returned no log-probabilities of the prompt (`echo` with `logprobs`)",
                "use one that does, such as vLLM; llama.cpp's server does not",
            )
        count = len(tokens)
        if len(logs) < count:
            raise self._refused(
                f"it returned {len(logs)} log-probabilities for a prompt of {count} tokens, so the "
                "prompt was cut",
                "switch off truncation, raise its context length, or set `window`",
            )
        if len(logs) > count + 1:
            raise self._refused(
                f"it returned {len(logs)} log-probabilities for a prompt of {count} tokens and one "
                "that it wrote, so it added a start-of-text token to the one that was sent",
                "switch off special tokens for prompts of token ids",
            )
        if any(value is None for value in logs[1:count]):
            raise self._refused(
                "some tokens of the prompt have no log-probability",
                "switch off prefix caching for prompts whose log-probabilities are asked for",
            )
        values = np.array(logs[1:count], np.float64)
        if not np.isfinite(values).all() or (values > 1e-6).any():
            raise self._refused(
                "some log-probabilities are above 0 or not finite",
                "ask the server for raw log-probabilities, not for logits",
            )
        top = (given.get("top_logprobs") or [])[1:count]
        known = len(top) == count - 1 and all(top)
        return Reply(
            values,
            [
                value >= max(entry.values()) - 1e-9
                for value, entry in zip(values, top if known else [], strict=known)
            ],
            [str(piece) for piece in (given.get("tokens") or [])[1:count]],
        )

    def _refused(self, what: str, cure: str) -> UsageError:
        return UsageError(
            f"the server {self.url} cannot be used for scoring: {what}, so its numbers would be "
            f"wrong; {cure}"
        )


class ServerTokenizer(RequestTokenizer):
    """The tokenizer of the model that is served, asked through the server (as vLLM offers it)."""

    def __init__(self, server: Server, prefix: int | None) -> None:
        self.name = server.model
        self._server = server
        if prefix is None:
            special = self._ask("", special=True)["tokens"]
            if len(special) != 1:
                raise UsageError(
                    f"{server.url} adds {len(special)} special tokens to an empty text, so which "
                    "one starts a text is not known; give its id by `prefix`"
                )
            prefix = int(special[0])
        self.prefix = prefix

    @cached_property
    def longest(self) -> int | None:
        """Tokens that the server takes at once, where it says so."""
        longest = self._ask("a").get("max_model_len")
        return None if longest is None else int(longest)

    def ids(self, texts: Sequence[str]) -> list[Integers]:
        """Returns the tokens of each text, without special ones."""
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(self._ids, texts))

    def _ids(self, text: str) -> Integers:
        tokens = np.array(self._ask(text)["tokens"], np.int64)
        if len(tokens) and tokens[0] == self.prefix:
            raise UsageError(
                f"{self._server.url} adds a start-of-text token even where it is asked not to, so "
                "there would be two; give the tokenizer by `tokenizer=DIRECTORY`"
            )
        return tokens

    def _ask(self, text: str, *, special: bool = False) -> dict[str, Any]:
        try:
            answer = self._server.ask("/tokenize", {"prompt": text, "add_special_tokens": special})
        except UsageError as error:
            raise UsageError(
                f"{self._server.url} has no /tokenize, so texts cannot be sent as token ids; give "
                f"the tokenizer of the model by `tokenizer=DIRECTORY` ({error})"
            ) from None
        if not isinstance(answer, dict) or not isinstance(answer.get("tokens"), list):
            raise UsageError(
                f"{self._server.url}/tokenize returned no list of tokens; give the tokenizer of "
                "the model by `tokenizer=DIRECTORY`"
            )
        return answer


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

        with ThreadPoolExecutor(_THREADS) as pool:
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
