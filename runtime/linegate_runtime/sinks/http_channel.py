"""Requests to one server over one connection that is kept, each with a time for all of it.

``http.client`` writes and parses them. Its time-outs are one for each piece, so that a server
that sends a byte now and then could hold a caller for ever; here the socket that it reads from
has a deadline. A connection is made in a thread of its own: the look-up of a name cannot be
interrupted, and whoever waits for it must be able to leave.
"""

import contextlib
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from linegate_bundle.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LARGEST_ANSWER = 64 * 1024
"""Bytes of an answer's body that are read; after a longer one the connection is closed."""


_CLOSE_S = 0.5
"""How long closing waits for who uses the connection to see that it was cut."""


class Answer(msgspec.Struct, frozen=True):
    """What a server answered.

    Attributes:
        status: such as 200.
        reason: such as ``OK``; the server's own words.
        location: where it sends us; empty if nowhere.
        body: the begin of it, as far as it came.
    """

    status: int
    reason: str
    location: str
    body: bytes


class Channel:
    """A server to send requests to, one after the other.

    Args:
        host, port: where it listens.
        tls: None talks in the clear.
        timeout_s: for making a connection.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, timeout_s: float) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout_s = timeout_s
        self._busy = threading.Lock()
        self._lock = threading.Lock()
        self._timed: _TimedSocket | None = None
        self._opening: _Opening | None = None
        self._is_closed = False

    def post(self, target: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Answer:
        """Send a request and return the answer.

        A connection that was kept may have been closed by the server meanwhile. If nothing came
        back over it, the request is sent once more over a new one.

        Args:
            target: path and query.
            body: of the request.
            headers: with ``Host``.
            deadline: ``time.monotonic()`` when all must be over.

        Raises:
            TimeoutError: there was no whole answer by then.
            OSError: the connection cannot be made, or broke.
            http.client.HTTPException: what came is no HTTP.
            OutputError: it was closed.
        """
        with self._busy:
            timed = self._timed
            if timed is not None:
                try:
                    return self._exchange(timed, target, body, headers, deadline)
                except (ConnectionError, ssl.SSLEOFError):
                    if timed.has_received:
                        raise
            return self._exchange(self._open(deadline), target, body, headers, deadline)

    def close(self) -> None:
        """Cut the connection within a second; another thread's :meth:`post` raises soon."""
        with self._lock:
            self._is_closed = True
            timed, opening = self._timed, self._opening
        if opening is not None:
            opening.abandon()
        if timed is not None:
            timed.cut()
        # Not under the feet of who still reads from it.
        if self._busy.acquire(timeout=_CLOSE_S):
            self._drop()
            self._busy.release()

    def _drop(self) -> None:
        with self._lock:
            timed, self._timed = self._timed, None
        if timed is not None:
            timed.connection.close()

    def _exchange(
        self,
        timed: "_TimedSocket",
        target: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
    ) -> Answer:
        timed.begin(deadline)
        connection = http.client.HTTPConnection(self._host, self._port)
        connection.sock = timed
        connection.auto_open = 0
        try:
            connection.request("POST", target, body, dict(headers))
            response = connection.getresponse()
        except BaseException:
            self._drop()
            raise
        # The status has come, and with it all that matters: the rest may be missing.
        content = b""
        with contextlib.suppress(OSError, http.client.HTTPException):
            content = response.read(_LARGEST_ANSWER)
        if timed.is_over or not response.isclosed():
            self._drop()
        response.close()
        location = response.headers.get("Location", "")
        return Answer(response.status, response.reason, location, content)

    def _open(self, deadline: float) -> "_TimedSocket":
        with self._lock:
            if self._is_closed:
                raise OutputError("the sink was closed")
            if self._opening is None:
                self._opening = _Opening(self._host, self._port, self._tls, self._timeout_s)
            opening = self._opening
        # One that still looks for its server is waited for again by the next request.
        found = opening.wait(deadline)
        if isinstance(found, socket.socket):
            return self._keep(_TimedSocket(found))
        with self._lock:
            self._opening = None
        raise OutputError("the sink was closed") if found is None else found

    def _keep(self, timed: "_TimedSocket") -> "_TimedSocket":
        with self._lock:
            self._opening = None
            if not self._is_closed:
                self._timed = timed
                return timed
        timed.connection.close()
        raise OutputError("the sink was closed")


class _Opening:
    """A connection that is being made."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, timeout_s: float) -> None:
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._found: queue.SimpleQueue[socket.socket | OSError | UnicodeError | None]
        self._found = queue.SimpleQueue()
        thread = threading.Thread(
            target=self._open, args=(host, port, tls, timeout_s), name="http", daemon=True
        )
        thread.start()

    def wait(self, deadline: float) -> socket.socket | OSError | UnicodeError | None:
        """Return the connection, why there is none, or None if it was abandoned.

        Raises:
            TimeoutError: it takes longer than until then.
        """
        try:
            return self._found.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None

    def abandon(self) -> None:
        """Let who waits go; a connection that comes later is closed."""
        with self._lock:
            self._is_abandoned = True
            self._found.put(None)

    def _open(self, host: str, port: int, tls: ssl.SSLContext | None, timeout_s: float) -> None:
        try:
            found: socket.socket | OSError | UnicodeError = _connect(host, port, tls, timeout_s)
        except (OSError, UnicodeError) as error:
            found = error
        with self._lock:
            if not self._is_abandoned:
                self._found.put(found)
            elif isinstance(found, socket.socket):
                found.close()


class _TimedSocket:
    """What ``http.client`` takes for a socket: it has one deadline for all of a request.

    Attributes:
        connection: the socket itself.
        has_received: whether anything has come since the request began.
        is_over: ``http.client`` is done with it; it must not be used again.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.has_received = False
        self.is_over = False
        self._deadline = 0.0

    def begin(self, deadline: float) -> None:
        self.has_received = False
        self._deadline = deadline

    def sendall(self, content: bytes) -> None:
        self._arm()
        self.connection.sendall(content)

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode  # always rb
        return io.BufferedReader(_Reader(self))

    def recv_into(self, buffer: "WriteableBuffer") -> int:
        self._arm()
        count = self.connection.recv_into(buffer)
        self.has_received = self.has_received or count > 0
        return count

    def close(self) -> None:
        # http.client closes before it reads the body, and relies on the file to go on.
        self.is_over = True

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)

    def _arm(self) -> None:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self.connection.settimeout(left_s)


class _Reader(io.RawIOBase):
    def __init__(self, timed: _TimedSocket) -> None:
        super().__init__()
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        return self._timed.recv_into(buffer)


def _connect(host: str, port: int, tls: ssl.SSLContext | None, timeout_s: float) -> socket.socket:
    connection = socket.create_connection((host, port), timeout_s)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection if tls is None else tls.wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise
