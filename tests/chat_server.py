"""A real HTTP server on loopback that answers like an OpenAI-compatible one, or misbehaves."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import orjson


@dataclass
class Reply:
    """What the server sends.

    Attributes:
        content: The body.
        status: The status.
        headers: Further headers.
        delay: Seconds before anything is sent.
        drip: Seconds between single bytes of the body.
        cut: The connection ends after so many bytes of the body.
        hang_up: The connection ends without an answer.
    """

    content: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    cut: int | None = None
    hang_up: bool = False


class Request(NamedTuple):
    """What the server was sent."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def messages(self) -> list[dict[str, str]]:
        """The messages of the conversation."""
        found: list[dict[str, str]] = orjson.loads(self.body)["messages"]
        return found


def completion(
    text: str, finish: str = "stop", prompt_tokens: int = 100, completion_tokens: int = 50
) -> bytes:
    """Returns the body of a chat completion."""
    return orjson.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": finish,
                }
            ],
            "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens},
        }
    )


class ChatServer:
    """A context manager around a server in a thread.

    Attributes:
        replies: Sent in order, the last one again and again; not used where `respond` is set.
        respond: Makes a reply of a request.
        requests: What was sent so far.
        most_at_once: The largest number of requests that were under way together.
    """

    def __init__(self, respond: Callable[[Request], Reply] | None = None, port: int = 0) -> None:
        self.replies: Sequence[Reply] = []
        self.respond = respond
        self.requests: list[Request] = []
        self.most_at_once = 0
        self._sent: Any = None
        self._position = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def endpoint(self) -> str:
        """What a manifest calls `endpoint`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> "ChatServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self) -> None:
        """Serves until the process ends."""
        self._thread.join()

    def reply(self, request: Request) -> Reply:
        """Returns what to send."""
        with self._lock:
            self.requests.append(request)
            if self.replies is not self._sent:
                self._sent, self._position = self.replies, 0
            position = min(self._position, len(self.replies) - 1)
            self._position += 1
        return self.replies[position] if self.respond is None else self.respond(request)

    def count(self, change: int) -> None:
        """Counts the requests under way."""
        with self._lock:
            self._at_once += change
            self.most_at_once = max(self.most_at_once, self._at_once)


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.count(1)
            try:
                self._send(server.reply(Request(self.path, headers, body)))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client gave up, as it should
            finally:
                server.count(-1)

        def _send(self, reply: Reply) -> None:
            time.sleep(reply.delay)
            if reply.hang_up:
                self.close_connection = True
                return
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply.content)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if reply.cut is not None:
                self.wfile.write(reply.content[: reply.cut])
                self.close_connection = True
            elif reply.drip:
                for byte in reply.content:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(reply.drip)
            else:
                self.wfile.write(reply.content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
