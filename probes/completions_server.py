"""What is asked of an OpenAI-compatible completions server, and what is refused of its answers.

Prompts are sent as token ids: sent as strings, they pass through whatever special tokens the server
adds. A credential comes from the environment variable `OPENAI_API_KEY` only.
"""

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from raicurate.corpora_manifests.errors import MissingExtraError, RaicurateError, UsageError
from raicurate.probes.backend import Floats, Integers
from raicurate.probes.tokenizing import RequestTokenizer

CREDENTIAL = "OPENAI_API_KEY"
THREADS = 4
"""Requests that are under way at once."""

_PROMPTS = 16
"""Prompts of one request; the server batches requests by itself."""
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.5
_TIMEOUT_SECONDS = 300.0


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
        with ThreadPoolExecutor(THREADS) as pool:
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
        with ThreadPoolExecutor(THREADS) as pool:
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
