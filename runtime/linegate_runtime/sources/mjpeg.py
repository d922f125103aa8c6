"""Network cameras that send MJPEG over HTTP.

OpenCV can read these too, but it shows pictures that were cut short on the way as
if they were whole, silently scales those whose size has changed, and does not say
why an address does not answer. Here each picture is decoded by the same function
as images on disk, or not at all.
"""

import base64
import contextlib
import select
import socket
import time
import urllib.parse
from collections.abc import Iterator

from linegate_bundle.errors import CameraError, ConfigError, DataError
from linegate_bundle.images import decode_image
from linegate_runtime.sources.base import Captured, Source, SourceOptions, check_settings
from linegate_runtime.sources.multipart import (
    LARGEST_HEAD,
    MultipartParser,
    boundary_of,
    parse_answer,
)

_CHUNK = 256 * 1024

_CHUNKS_AT_ONCE = 64
"""Drain at most so many chunks before a picture is decoded, however fast more come."""


class MjpegSource(Source):
    """A stream at ``http://[USER:PASSWORD@]HOST[:PORT]/PATH``."""

    def __init__(self, options: SourceOptions) -> None:
        check_settings(type(self), options)
        self._options = options
        deadline = time.monotonic() + options.open_timeout_s
        with _faults(f"expected a stream within {options.open_timeout_s:g} s, got no answer"):
            self._socket = _connect(options, deadline)
        self._begun_ns: int | None = None
        self._newest_ns: int = time.monotonic_ns()
        self._parts: list[bytes] = []
        try:
            with _faults(f"expected a stream within {options.open_timeout_s:g} s, got no answer"):
                self._parser, rest = _ask(self._socket, options, deadline)
                self._feed(rest)
                self._next: Captured | None = self._newest(deadline)
        except BaseException:
            self.close()
            raise

    def read(self) -> Captured:
        """See :meth:`Source.read`."""
        if self._next is not None:
            captured, self._next = self._next, None
            return captured
        timeout_s = self._options.read_timeout_s
        with _faults(f"expected a picture within {timeout_s:g} s, the stream fell silent"):
            return self._newest(time.monotonic() + timeout_s)

    def close(self) -> None:
        """See :meth:`Source.close`."""
        self._socket.close()

    def _newest(self, deadline: float) -> Captured:
        """Wait for a whole picture; of several that have come, return the last."""
        damage = ""
        while True:
            try:
                content, monotonic_ns = self._wait_for_part(deadline)
                return Captured(pixels=decode_image(content), monotonic_ns=monotonic_ns)
            except DataError as error:
                damage = str(error)
            except TimeoutError:
                if damage:
                    raise CameraError(
                        f"expected pictures, got only damaged ones: {damage}"
                    ) from None
                raise

    def _wait_for_part(self, deadline: float) -> tuple[bytes, int]:
        """Wait for a part, and take what else has come: a slow reader must not fall behind.

        Returns:
            The newest part and when its first bytes came: a picture that took long over a
            slow line is as old as that.
        """
        chunks = 0
        while not self._parts or (chunks < _CHUNKS_AT_ONCE and _has_more(self._socket)):
            content = b"" if self._parser.is_over else _receive(self._socket, deadline)
            if not content:
                if self._parts:
                    break
                raise CameraError("expected a picture, the camera ended the stream")
            self._feed(content)
            chunks += 1
        newest, self._parts = self._parts[-1], []
        return newest, self._newest_ns

    def _feed(self, content: bytes) -> None:
        now_ns = time.monotonic_ns()
        parts = self._parser.feed(content)
        if parts:
            # Of several in one piece, the last one began in it.
            begun_ns = self._begun_ns if len(parts) == 1 else None
            self._newest_ns = now_ns if begun_ns is None else begun_ns
            self._parts, self._begun_ns = parts, None
        if self._begun_ns is None and self._parser.has_begun_a_body:
            self._begun_ns = now_ns


@contextlib.contextmanager
def _faults(silence: str) -> Iterator[None]:
    """Turn the network's errors into the camera's; ``silence`` is said about a time-out."""
    try:
        yield
    except CameraError:
        raise
    except TimeoutError:
        raise CameraError(silence) from None
    except OSError as error:
        reason = error.strerror or error
        raise CameraError(f"expected a picture, the connection failed: {reason}") from error


def _connect(options: SourceOptions, deadline: float) -> socket.socket:
    try:
        url = urllib.parse.urlsplit(options.address)
        host, port = url.hostname, url.port or 80
    except ValueError:
        raise ConfigError("expected an address http://HOST:PORT/PATH, got another form") from None
    if url.scheme.lower() != "http" or not host:
        raise ConfigError("expected an address http://HOST/PATH, got another form")
    try:
        return socket.create_connection((host, port), max(0.001, deadline - time.monotonic()))
    except TimeoutError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise CameraError(f"expected a stream, {host} port {port}: {reason}") from error


def _ask(
    connection: socket.socket, options: SourceOptions, deadline: float
) -> tuple[MultipartParser, bytes]:
    """Send the request, read the answer's head, and return what parses the rest, and the rest."""
    connection.sendall(_request(options.address))
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        content = _receive(connection, deadline)
        received += content
        if not content:
            parse_answer(received)
            raise CameraError("expected a stream, the camera closed the connection")
        if len(received) > LARGEST_HEAD + _CHUNK:
            raise CameraError(f"expected an answer's head of at most {LARGEST_HEAD} bytes")
    parser = MultipartParser(boundary_of(parse_answer(received[:end])))
    return parser, received[end + 4 :]


def _request(address: str) -> bytes:
    url = urllib.parse.urlsplit(address)
    target = urllib.parse.quote(url.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if url.query:
        target += "?" + urllib.parse.quote(url.query, safe="/%:@!$&'()*+,;=~-._?")
    # HTTP/1.0, so that the answer is not cut into chunks of its own.
    lines = [f"GET {target} HTTP/1.0", f"Host: {url.netloc.rpartition('@')[2]}"]
    if url.username is not None:
        user = urllib.parse.unquote(url.username)
        password = urllib.parse.unquote(url.password or "")
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        lines.append(f"Authorization: Basic {token}")
    lines += ["Accept: multipart/x-mixed-replace", "User-Agent: linegate", "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def _receive(connection: socket.socket, deadline: float) -> bytes:
    """Wait for bytes; a deadline for all, where a socket's own time-out is one for each gap."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    connection.settimeout(left_s)
    return connection.recv(_CHUNK)


def _has_more(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])
