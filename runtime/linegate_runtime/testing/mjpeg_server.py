"""A network camera on this machine: MJPEG over HTTP, with the faults that real ones have."""

import contextlib
import enum
import http.server
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np

from linegate_bundle.images import encode_jpeg
from linegate_bundle.preprocess import UInt8Array

FrameAt = Callable[[float], bytes | UInt8Array]
"""Takes seconds, returns a JPEG file or a BGR uint8 picture of shape ``(h, w, 3)``."""

_BOUNDARY = "linegate"

_FLICKER_SIDE = 8
"""One block of a JPEG file, in pixels."""

_FLICKER = 4
"""In grey levels: enough to outlast the JPEG coding."""

_SLOW_S = 1.0
"""So long a picture takes over a slow line, in so many pieces."""

_SLOW_PIECES = 20

_GARBAGE_BYTES = 20_000

_LOOK_UP_S = 0.05
"""How often a hung stream looks whether it may go on."""


class StreamFault(enum.StrEnum):
    """What can be wrong with a stream that still comes.

    ``slow``: each picture takes a second to come. ``garbage``: what comes is no JPEG file.
    ``resized``: pictures of another size. ``frozen``: the last picture again and again, as
    of a camera whose sensor has stopped. ``black``: as with a covered lens.
    """

    SLOW = "slow"
    GARBAGE = "garbage"
    RESIZED = "resized"
    FROZEN = "frozen"
    BLACK = "black"


class MjpegServer:
    """Serves a stream on 127.0.0.1 while the ``with`` block runs.

    Time begins with the first client and goes on through :meth:`kill` and
    :meth:`restart`, as a belt does while the camera is away. A client that comes
    late or is slow misses frames. No two pictures are quite the same, as with any sensor:
    a block in the last corner flickers.

    Args:
        frame_at: what the camera shows so many seconds after the first client came;
            called from a thread of each client.
        fps: frames a second.
        quality: of the JPEG coding, for pictures.
        port: 0 takes a free one.

    Attributes:
        port: the one it serves on.
    """

    def __init__(
        self, frame_at: FrameAt, *, fps: float = 30.0, quality: int = 95, port: int = 0
    ) -> None:
        self._frame_at = frame_at
        self._fps = fps
        self._quality = quality
        self.port = port
        self._start: float | None = None
        self._started = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._fault: StreamFault | None = None
        self._last: bytes | None = None
        self._server: _Server | None = None

    @property
    def address(self) -> str:
        """URL of the stream."""
        return f"http://127.0.0.1:{self.port}/stream.mjpg"

    @property
    def seconds(self) -> float:
        """How long ago the first client came; 0 before."""
        return 0.0 if self._start is None else time.monotonic() - self._start

    def hang(self) -> None:
        """Keep connections and take new ones, but send nothing."""
        self._flowing.clear()

    def resume(self) -> None:
        """End :meth:`hang`."""
        self._flowing.set()

    def spoil(self, fault: StreamFault) -> None:
        """Go on sending, but so that no verdict may come of it."""
        self._fault = fault

    def heal(self) -> None:
        """End whatever fault there is: :meth:`hang`, :meth:`spoil`, :meth:`kill`."""
        self._fault = None
        self.resume()
        self.restart()

    def kill(self) -> None:
        """Drop all connections and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.end()

    def restart(self) -> None:
        """Serve again on the same port."""
        if self._server is None:
            self._server = _Server(self.port, self)
            self.port = self._server.server_address[1]

    def stream(self, send: Callable[[bytes], object], is_over: threading.Event) -> None:
        """Send frames to one client, each at its time, until the server is over."""
        with self._started:
            if self._start is None:
                self._start = time.monotonic()
        index = -1
        while not is_over.is_set():
            index = max(index + 1, int((time.monotonic() - self._start) * self._fps))
            wait_s = self._start + index / self._fps - time.monotonic()
            if is_over.wait(max(0.0, wait_s)):
                return
            if not self._flowing.wait(_LOOK_UP_S):
                continue
            content = self._content(index)
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}"
            whole = head.encode() + b"\r\n\r\n" + content + b"\r\n"
            if self._fault is StreamFault.SLOW:
                self._trickle(whole, send, is_over)
            else:
                send(whole)

    def _trickle(
        self, content: bytes, send: Callable[[bytes], object], is_over: threading.Event
    ) -> None:
        size = -(-len(content) // _SLOW_PIECES)
        for start in range(0, len(content), size):
            send(content[start : start + size])
            is_over.wait(_SLOW_S / _SLOW_PIECES)

    def _content(self, index: int) -> bytes:
        if self._fault is StreamFault.GARBAGE:
            return np.random.default_rng(index).bytes(_GARBAGE_BYTES)
        if self._fault is StreamFault.FROZEN and self._last is not None:
            return self._last
        frame = self._frame_at(index / self._fps)
        if not isinstance(frame, bytes):
            if self._fault is StreamFault.RESIZED:
                frame = np.ascontiguousarray(frame[: frame.shape[0] // 2])
            elif self._fault is StreamFault.BLACK:
                frame = np.zeros_like(frame)
            frame = encode_jpeg(_flicker(frame, index), self._quality)
        self._last = frame
        return frame

    def __enter__(self) -> Self:
        self.restart()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.resume()
        self.kill()


def _flicker(picture: UInt8Array, index: int) -> UInt8Array:
    picture = picture.copy()
    corner = picture[-_FLICKER_SIDE:, -_FLICKER_SIDE:]
    change = _FLICKER * (index % 4 - 1)
    np.copyto(corner, np.clip(corner.astype(np.int16) + change, 0, 255), casting="unsafe")
    return picture


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, camera: MjpegServer) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.camera = camera
        self.is_over = threading.Event()
        self.connections: set[socket.socket] = set()
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Close the listening socket and every connection, and wait for the threads."""
        self.is_over.set()
        self.shutdown()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Answer a request with the stream."""
        self.server.connections.add(self.connection)
        try:
            self.send_response(200)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.server.camera.stream(self.wfile.write, self.server.is_over)
        except OSError:
            pass  # the client has gone, or the server was killed under it
        finally:
            self.server.connections.discard(self.connection)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing; the base class would write each request to stderr."""
