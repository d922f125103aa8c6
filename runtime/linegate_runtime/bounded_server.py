"""An HTTP server for a few clients: more connections at once are refused, none holds it up."""

import http.server
import logging
import socket
import socketserver
import sys
import threading
from typing import Any

_LOG = logging.getLogger(__name__)


class BoundedServer(http.server.ThreadingHTTPServer):
    """Answers each connection in a thread of its own.

    Args:
        address: host and port; port 0 takes a free one.
        handler: class of what answers.
        connections: so many at once at most.

    Raises:
        OSError: the port is taken or the host is not this machine's.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[http.server.BaseHTTPRequestHandler],
        connections: int,
    ) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)
        self._connections = threading.BoundedSemaphore(connections)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )

    def server_bind(self) -> None:
        """Bind, and ask no name server for this machine's name, which may take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def start(self) -> None:
        """Answer from now on, in another thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; after :meth:`start` and once only."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own; more connections at once than a few are refused."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing if a client goes in the middle of an answer: that is no error of ours."""
        del request, client_address
        if not isinstance(sys.exception(), OSError):
            _LOG.exception("a request cannot be answered")
