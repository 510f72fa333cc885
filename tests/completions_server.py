"""A real HTTP server on loopback that scores prompts as an OpenAI-compatible one, or misbehaves.

It computes its log-probabilities from a byte n-gram model: token 0 starts a text, token b + 1 is
the byte b.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import orjson

from raicurate.probes.ngram import START, NGramModel

_LIMIT = 2000
_KNOWN: dict[tuple[str, bytes], np.ndarray] = {}
"""What models say after a context; most tests ask the same."""


class CompletionsServer:
    """A context manager around a server in a thread.

    Attributes:
        fault: What it does wrong, as `_answer` and `_scored` have it; or None.
        asked: How many prompts were scored.
        keys: The authorization headers that were sent.
        failures: How many of the next requests end with status 503.
    """

    def __init__(self, model: NGramModel, fault: str | None = None) -> None:
        self.model, self.fault = model, fault
        self.asked, self.keys, self.failures = 0, set[str | None](), 0

    def __enter__(self) -> "CompletionsServer":
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.keys.add(self.headers.get("Authorization"))
                status, content = outer._answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        if self.failures:
            self.failures -= 1
            return 503, b"busy"
        if self.fault == "no_key" and self.keys == {None}:
            return 401, b"{}"
        if path == "/tokenize":
            if self.fault == "no_tokenize":
                return 404, b"{}"
            tokens = [byte + 1 for byte in body["prompt"].encode()]
            if body["add_special_tokens"] or self.fault == "tokenizer_adds_start":
                tokens = [0, *tokens]
            content = {"tokens": tokens, "count": len(tokens), "max_model_len": _LIMIT}
            return 200, orjson.dumps(content)
        if path != "/v1/completions" or self.fault == "declined":
            return 400, b'{"error": {"message": "text of the prompt"}}'
        if self.fault == "no_json":
            return 200, b"<html>"
        prompts = body["prompt"]
        prompts = prompts if isinstance(prompts[0], list) else [prompts]
        if not body.get("echo"):
            return 200, orjson.dumps({"choices": [self._written(prompts[0], body)]})
        choices = [self._scored(number, tokens) for number, tokens in enumerate(prompts)]
        if self.fault == "one_choice":
            choices = choices[:1]
        # The standard library writes what is no JSON, as servers in Python do.
        return 200, json.dumps({"choices": choices[::-1]}).encode()

    def _written(self, tokens: list[int], body: dict[str, Any]) -> dict[str, Any]:
        text = bytes(token - 1 for token in tokens if token).decode()
        (written,) = self.model.generate(
            [text], max_tokens=body["max_tokens"], stop=body.get("stop", ())
        )
        return {"index": 0, "text": written}

    def _scored(self, number: int, tokens: list[int]) -> dict[str, Any]:
        self.asked += 1
        tokens = [*tokens, 33]  # the token that it writes
        read = list(tokens)
        if self.fault == "double_start":
            read = [0, *read]
        if self.fault == "truncated":
            read = read[-20:]
        logs: list[float | None] = [None]
        tops: list[dict[str, float] | None] = [None]
        for place in range(1, len(read)):
            first = 0
            if self.fault == "no_context":
                first = place
            distribution = self._distribution(read[first:place])
            value = float(distribution[read[place] - 1]) if read[place] else -1.0
            if self.fault == "doubled_silently" and place == 1:
                value -= 5.0
            if self.fault == "batch_noise":
                value -= 0.05 * number
            logs.append(value)
            best = int(np.argmax(distribution))
            tops.append({str(best): float(distribution[best]), str(read[place] - 1): value})
        if self.fault == "cut_unseen":
            logs = [0.0 if value and place < len(logs) - 20 else value
                    for place, value in enumerate(logs)]  # fmt: skip
        if self.fault == "constant":
            logs = [None] + [-1.25] * (len(logs) - 1)
        if self.fault == "logits":
            logs = [None] + [9.0 + value for value in logs[1:] if value is not None]
        if self.fault == "not_finite":
            logs[2] = -1e999
        if self.fault == "cached":
            logs[2] = None
        pieces = [bytes([token - 1]).decode(errors="replace") if token else "<s>" for token in read]
        content = {"token_logprobs": logs, "top_logprobs": tops, "tokens": pieces}
        if self.fault == "llama_cpp":
            content = {"content": []}
        none = self.fault == "no_logprobs"
        return {"index": number, "text": "", "logprobs": None if none else content}

    def _distribution(self, tokens: list[int]) -> np.ndarray:
        size = self.model.order - 1
        read = bytes(token - 1 if token else START for token in tokens[-size:])
        context = (bytes([START]) * size + read)[-size:]
        key = self.model.digest, context
        if key not in _KNOWN:
            _KNOWN[key] = self.model._next_log_probabilities(context)
        return _KNOWN[key]
