"""A web server on this machine that answers as a test wants."""

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from typing import Any, NamedTuple

Answer = Callable[["Handler"], None]


class Request(NamedTuple):
    path: str
    headers: Message
    body: bytes


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(Request(self.path, self.headers, body))
        answer = self.server.answers.pop(0) if self.server.answers else say(200)
        answer(self)

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""


class Server(http.server.ThreadingHTTPServer):
    """Answers with what stands in ``answers``, then with 200.

    Attributes:
        requests: all so far.
        connections: how many were made.
    """

    block_on_close = False

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[Answer] = []
        self.connections = 0
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/parts"

    def get_request(self) -> tuple[socket.socket, Any]:
        self.connections += 1
        return super().get_request()

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are what is tested."""


def say(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Send an answer's head byte by byte, each in good time."""
    with contextlib.suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: very\r\n" * 100:
            handler.connection.sendall(bytes([byte]))
            time.sleep(0.05)
    handler.close_connection = True


@contextlib.contextmanager
def served(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
