"""A page with the live view, for a browser on this machine.

Standard library only, and nothing that changes anything: pictures and states are all
that can be asked for.
"""

import http.server
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec

from linegate_bundle.errors import OutputError
from linegate_runtime.bounded_server import BoundedServer
from linegate_runtime.host_port import is_loopback
from linegate_runtime.setup_view.page import PAGE

_BOUNDARY = "linegate"

_MOST_STREAMS = 8
"""Each browser that looks at a camera holds a thread and a connection."""

_MOST_CONNECTIONS = 4 * _MOST_STREAMS

_SEND_LIMIT_S = 10.0
"""A browser that takes no picture for so long is gone."""

_LOOK_UP_S = 0.5


class Pictures:
    """The newest picture of each camera; safe to use by several threads.

    Args:
        cameras: how many there are.
    """

    def __init__(self, cameras: int) -> None:
        self._newest: list[tuple[int, bytes]] = [(0, b"")] * cameras
        self._wanted_at = [float("-inf")] * cameras
        self._changed = threading.Condition()

    def put(self, camera: int, jpeg: bytes) -> None:
        """Replace a camera's picture."""
        with self._changed:
            self._newest[camera] = (self._newest[camera][0] + 1, jpeg)
            self._changed.notify_all()

    def is_wanted(self, camera: int) -> bool:
        """Say whether anybody looks, so that pictures are coded for somebody only."""
        with self._changed:
            return time.monotonic() - self._wanted_at[camera] < 2 * _LOOK_UP_S

    def after(self, camera: int, number: int) -> tuple[int, bytes] | None:
        """Wait for a picture newer than ``number``; None if none came for a moment."""
        with self._changed:
            self._wanted_at[camera] = time.monotonic()
            if not self._changed.wait_for(lambda: self._newest[camera][0] > number, _LOOK_UP_S):
                return None
            return self._newest[camera]

    @property
    def cameras(self) -> int:
        """How many cameras there are."""
        return len(self._newest)


class ViewServer:
    """Serves the page while the ``with`` block runs.

    Args:
        host, port: where; port 0 takes a free one.
        pictures: of the cameras.
        state: returns what the page shows beside the pictures; called by several threads.

    Raises:
        OutputError: the port is taken or the host is not this machine's.
    """

    def __init__(
        self, host: str, port: int, pictures: Pictures, state: Callable[[], object]
    ) -> None:
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            raise OutputError(
                f"the live view cannot be served on {host}:{port}: {error.strerror or error}; "
                "choose another with --view HOST:PORT"
            ) from error
        self._server.pictures = pictures
        self._server.state = state
        self._server.is_local = is_loopback(host)
        self.host, self.port = host, int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """URL of the page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.is_over.set()
        self._server.stop()


class _Server(BoundedServer):
    pictures: Pictures
    state: Callable[[], object]
    is_local: bool

    def __init__(self, address: tuple[str, int], handler: type["_Handler"]) -> None:
        super().__init__(address, handler, _MOST_CONNECTIONS)
        self.is_over = threading.Event()
        self.streams = threading.BoundedSemaphore(_MOST_STREAMS)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    timeout = _SEND_LIMIT_S

    def do_GET(self) -> None:
        """Answer with the page, the state, or a camera's pictures."""
        path = self.path.partition("?")[0]
        if self.server.is_local and not self._asks_this_machine():
            # Else any page in the browser could read the view under a name of its own.
            self.send_error(403, "expected this machine's own name")
        elif path == "/":
            self._send("text/html; charset=utf-8", PAGE.encode())
        elif path == "/state.json":
            self._send("application/json", msgspec.json.encode(self.server.state()))
        elif path.startswith("/camera/") and path.endswith(".mjpg"):
            self._stream(path.removeprefix("/camera/").removesuffix(".mjpg"))
        else:
            self.send_error(404)

    def _asks_this_machine(self) -> bool:
        try:
            host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        except ValueError:
            return False
        return host == "localhost" or is_loopback(host)

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, camera: str) -> None:
        pictures = self.server.pictures
        if camera not in {str(number) for number in range(pictures.cameras)}:
            self.send_error(404)
        elif not self.server.streams.acquire(blocking=False):
            self.send_error(503, "too many are looking")
        else:
            try:
                self._pass_on(int(camera), pictures)
            except OSError:
                pass  # the browser has gone
            finally:
                self.server.streams.release()

    def _pass_on(self, camera: int, pictures: Pictures) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        number = 0
        while not self.server.is_over.is_set():
            newer = pictures.after(camera, number)
            if newer is None:
                continue
            number, jpeg = newer
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
            self.wfile.write(head.encode() + b"\r\n\r\n" + jpeg + b"\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing; the base class would write each request to stderr."""
