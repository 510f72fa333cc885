"""Asks a language model behind an OpenAI-compatible server, and survives what servers do.

Repeated are: refused connections, timeouts, cut or malformed bodies, and the statuses that say
"later" (408, 409, 425, 429 and all of 5xx), with exponentially growing pauses, or the pause that
`Retry-After` asks for (RFC 9110, section 10.2.3). A request that the server declines for what the
document says is an answer as well. Everything else ends the work with an error. No text of a
request or an answer is in any error.
"""

import email.utils
import hashlib
import re
import threading
import time
from typing import Any, NamedTuple

import orjson

from raicurate.corpora_manifests.errors import MissingExtraError, ServerError, UsageError
from raicurate.corpora_manifests.language_model import ServedModel

MAX_BODY_BYTES = 4 << 20
"""No answer of a few thousand tokens is larger; a body that goes on is not read further."""

FIRST_PAUSE = 0.5
"""Seconds before the first repetition; each further one waits twice as long."""

REFUSED, TRUNCATED, COMPLETE = "refused", "length", "stop"

_LATER = frozenset({408, 409, 425, 429})
_MAX_TOKENS_COUNTED = 10_000_000
# What servers call a document that is too long, or that their own filter declines.
_DOCUMENTS_FAULT = re.compile(
    r"context.{0,10}(length|window|size)|maximum context|too (long|large|many tokens)"
    r"|content.?(filter|policy|management)|moderation|safety",
    re.IGNORECASE,
)
_HARMLESS_NAME = re.compile(r"^[A-Za-z0-9_.-]{1,60}$")


class Answer(NamedTuple):
    """What a model said.

    Attributes:
        content: Its text; empty where it declined.
        finish: `stop`, `length` (cut off), or `refused` (by the model or the server's filter).
        prompt_tokens: Tokens of the request, as the server counted them.
        completion_tokens: Tokens of the answer.
    """

    content: str
    finish: str
    prompt_tokens: int
    completion_tokens: int


class _LaterError(Exception):
    """A fault that may pass; `wait` is what the server asks for, in seconds."""

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


class ChatClient:
    """Sends request bodies to `/chat/completions`; may be used by many threads at once."""

    def __init__(self, settings: ServedModel, credential: str | None) -> None:
        """Prepares a client; nothing is sent yet.

        Args:
            settings: Where the server is, and how patient to be.
            credential: Bearer token. It goes into one header and nowhere else.

        Raises:
            MissingExtraError: The HTTP library is not installed.
        """
        try:
            import httpx
        except ImportError as error:
            raise MissingExtraError.for_package(
                "httpx", "asking a language model", "pip install 'raicurate[llm]'"
            ) from error
        self._errors = (httpx.RequestError, httpx.StreamError)
        self._settings = settings
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if credential is not None:
            if not (credential.isascii() and credential.isprintable()):
                raise UsageError(
                    f"the credential of `{settings.place}` holds line breaks or other characters "
                    "that no HTTP header takes, so the model was not asked; set the environment "
                    "variable again"
                )
            headers["Authorization"] = f"Bearer {credential}"
        limits = httpx.Limits(
            max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency
        )
        try:
            # A redirect would carry the credential elsewhere, so none is followed.
            self._http = httpx.Client(
                headers=headers, timeout=settings.timeout, limits=limits, follow_redirects=False
            )
            self._url = httpx.URL(f"{settings.endpoint}/chat/completions")
        except (httpx.InvalidURL, ValueError) as error:
            raise UsageError(
                f"{settings.place}.endpoint: {settings.endpoint} is no address, so the model was "
                "not asked; correct it"
            ) from error
        self._not_before = 0.0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def ask(self, body: bytes) -> Answer:
        """Returns the answer to a request body.

        Raises:
            ServerError: The server did not answer as it must, after all repetitions.
            UsageError: It refuses the credential, does not know the model, or rejects the request.
        """
        fault = ""
        for attempt in range(self._settings.retries + 1):
            self._wait_for_turn()
            try:
                return self._once(body)
            except _LaterError as error:
                fault = str(error)
                if attempt < self._settings.retries:
                    self._pause(body, attempt, error.wait)
        raise ServerError(
            f"the server {self._settings.endpoint} failed {self._settings.retries + 1} times in a "
            f"row ({fault}), so the unit was not done; what was answered is kept. See to the "
            f"server, or raise `{self._settings.place}.retries` or `timeout`, and run again"
        )

    def _wait_for_turn(self) -> None:
        # What one request is told to wait for, all wait for: the limit is that of the account.
        left = self._not_before - time.monotonic()
        if left > 0:
            time.sleep(left)

    def _pause(self, body: bytes, attempt: int, asked: float) -> None:
        # Half of the pause is spread by the request, so that repetitions do not come all at once.
        spread = hashlib.blake2b(body + bytes([attempt]), digest_size=2).digest()
        share = 0.5 + int.from_bytes(spread, "big") / 0x1FFFE
        pause = min(max(FIRST_PAUSE * 2**attempt * share, asked), self._settings.max_wait)
        if asked:
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + pause)
        else:
            time.sleep(pause)

    def _once(self, body: bytes) -> Answer:
        end = time.monotonic() + self._settings.timeout
        try:
            with self._http.stream("POST", self._url, content=body) as response:
                content = self._read(response, end)
        except self._errors as error:
            # The name of the error says enough; its text may quote what was sent.
            raise _LaterError(type(error).__name__) from None
        if response.status_code == 200:
            return _answer(content, body)
        return self._declined(response.status_code, response.headers, content)

    def _read(self, response: Any, end: float) -> bytes:
        pieces, size = [], 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise _LaterError(f"a body of more than {MAX_BODY_BYTES} bytes")
            if time.monotonic() > end:
                raise _LaterError("an answer slower than `timeout`")
            pieces.append(piece)
        return b"".join(pieces)

    def _declined(self, status: int, headers: Any, content: bytes) -> Answer:
        """Returns the answer of a server that declines a document, or raises."""
        if status in _LATER or status >= 500:
            raise _LaterError(f"status {status}", _retry_after(headers.get("Retry-After")))
        names = _error_names(content)
        if status == 413 or (status in {400, 422} and _DOCUMENTS_FAULT.search(names)):
            return Answer("", REFUSED, 0, 0)
        endpoint = self._settings.endpoint
        if status in {401, 403}:
            variable = self._settings.credential_variable
            cure = (
                f"check the environment variable {variable} on the machines that do the work"
                if variable
                else "name the variable that holds the credential in `credential_variable`"
            )
            raise UsageError(
                f"the server {endpoint} refuses the credential (status {status}); {cure}"
            )
        if status == 404:
            raise UsageError(
                f"the server {endpoint} knows no chat completions at this address, or no model "
                f"{self._settings.model!r} (status 404); correct `{self._settings.place}`"
            )
        said = " ".join(name for name in names.split("\0") if _HARMLESS_NAME.match(name))
        raise UsageError(
            f"the server {endpoint} does not take the request (status {status}"
            f"{', ' + said if said else ''}); correct `{self._settings.place}.parameters`, "
            "`length_field` or the address. What was answered before is kept"
        )


def _answer(content: bytes, body: bytes) -> Answer:
    try:
        values = orjson.loads(content)
        choice = values["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        finish = choice.get("finish_reason")
    except (orjson.JSONDecodeError, AttributeError, IndexError, KeyError, TypeError):
        raise _LaterError("a body that is no chat completion") from None
    if text is not None and not isinstance(text, str):
        raise _LaterError("a message whose content is no text")
    usage = values.get("usage")
    counted = usage if isinstance(usage, dict) else {}
    text = text or ""
    return Answer(
        text,
        REFUSED
        if refusal or finish == "content_filter"
        else TRUNCATED
        if finish == "length"
        else COMPLETE,
        _count(counted.get("prompt_tokens"), body),
        _count(counted.get("completion_tokens"), text.encode()),
    )


def _count(promised: object, content: bytes) -> int:
    """Returns what the server counted, or an estimate of four bytes a token."""
    if isinstance(promised, int) and 0 <= promised <= _MAX_TOKENS_COUNTED:
        return int(promised)
    return len(content) // 4 + 1


def _error_names(content: bytes) -> str:
    """Returns code, type and message of an error body, each ending in a null character."""
    try:
        values = orjson.loads(content)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(values, dict):
        return ""
    error = values.get("error", values)
    if isinstance(error, str):
        return error
    if not isinstance(error, dict):
        return ""
    return "\0".join(str(error.get(name) or "") for name in ("code", "type", "message"))


def _retry_after(value: str | None) -> float:
    """Returns the seconds that a server asks to wait: a number, or a date."""
    if not value:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, at.timestamp() - time.time())
