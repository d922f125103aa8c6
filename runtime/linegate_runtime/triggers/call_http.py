"""Calls over HTTP: ``POST /inspect``, answered with the verdict.

200 with the answer of :class:`~linegate_runtime.triggers.call_desk.Answer` as JSON; 504 with the
same, rejected, where a part was not judged and on record in time; 401 without the right token.
"""

import hmac
import http.server
from collections.abc import Mapping

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_runtime.bounded_server import BoundedServer
from linegate_runtime.host_port import is_loopback
from linegate_runtime.triggers.call_desk import CallDesk, Front

_MOST_CALLS = 16
_LIMIT_S = 10.0
"""Who does not send his request or take the answer for so long is gone."""

_MOST_BODY_BYTES = 65_536


class HttpFront(Front):
    """Takes calls until it is closed.

    Args:
        host, port: where it listens.
        token: callers send it as ``Authorization: Bearer TOKEN``; None asks for none.
        desk: answers.

    Raises:
        ConfigError: the port is taken or the host is not this machine's.
    """

    def __init__(self, host: str, port: int, token: bytes | None, desk: CallDesk) -> None:
        try:
            self._server = _Server((host, port), _Handler, _MOST_CALLS)
        except OSError as error:
            raise ConfigError(
                f"[trigger] listen: {host}:{port} cannot be served: {error.strerror or error}; "
                "choose another"
            ) from error
        self._server.desk = desk
        self._server.token = token
        self._server.is_local = is_loopback(host)
        self.port = int(self._server.server_address[1])
        self._server.start()

    def close(self) -> None:
        """See :meth:`Front.close`."""
        self._server.stop()


class _Server(BoundedServer):
    desk: CallDesk
    token: bytes | None
    is_local: bool


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _LIMIT_S

    def do_POST(self) -> None:
        """Answer a call."""
        if not self._take_body():
            return
        if self.path != "/inspect":
            self._refuse(404, "expected /inspect")
        elif not self._may_call():
            self._refuse(401, "expected Authorization: Bearer TOKEN with the line's token")
        elif self.server.is_local and self.headers.get("Origin") is not None:
            # Else any page in a browser on this machine could call.
            self._refuse(403, "expected a program, got a page of a browser")
        else:
            answer = self.server.desk.call()
            self._send(504 if answer.is_late else 200, answer.document())

    def do_GET(self) -> None:
        """Say how it is done."""
        self._refuse(405, "expected POST /inspect")

    def _take_body(self) -> bool:
        """Read what a caller sends along, which means nothing; False if it is too much."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > _MOST_BODY_BYTES:
            self.close_connection = True
            self._refuse(413, f"expected a body of {_MOST_BODY_BYTES} bytes at most")
            return False
        self.rfile.read(int(length))
        return True

    def _may_call(self) -> bool:
        token = self.server.token
        if token is None:
            return True
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token)

    def _refuse(self, status: int, text: str) -> None:
        self._send(status, {"error": text})

    def _send(self, status: int, document: Mapping[str, object]) -> None:
        content = msgspec.json.encode(document)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing; the base class would write each request to stderr."""
