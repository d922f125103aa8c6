"""The inspecting process's end of its outputs: starts their process, and starts it again."""

import contextlib
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import msgspec

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime.line_report import LineReport
from linegate_runtime.logs import is_json_wanted
from linegate_runtime.outputs_protocol import (
    Committed,
    Delivered,
    Goodbye,
    Opened,
    Pulse,
    Refused,
    Setup,
    receive_as_parent,
    send,
)

_LOG = logging.getLogger(__name__)

_LOOK_S = 0.05

_START_LIMIT_S = 20.0
"""For starting Python and what talks to receivers, from a cold SD card too."""

_SILENT_S = 5.0
"""A process that has said nothing for so long hangs, and is started again."""

_DOUBTFUL_S = 0.15
"""After so long nothing is accepted, for nobody knows what outputs tell."""

_BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 10.0
"""After so long without a loss the next one counts as the first."""

_END_LIMIT_S = 1.5


class OutputsProcess:
    """Keeps the process of the outputs running; all methods but the first return at once.

    Args:
        setup: what it is to open; its places are brought up to date for each start.
        on_place: told of how far a sink has got, see :class:`~linegate_runtime.courier.Courier`;
            called in a thread of this.
        is_over: asked again and again while the sinks are being opened; then it is not waited.

    Raises:
        ConfigError: a sink cannot be opened; all that cannot.
        OutputError: the process cannot be started.
    """

    def __init__(
        self,
        setup: Setup,
        on_place: Callable[[str, str, int], None],
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._setup = setup
        self._on_place = on_place
        self._places = {sink.name: (sink.record, sink.place) for sink in setup.sinks}
        self._lock = threading.Lock()
        self._is_closing = threading.Event()
        self._problem: str | None = None
        self._heard_at = 0.0
        self._process, self._connection = self._start()
        self._sender = _sender(self._connection)
        self._wait_until_open(is_over)
        self._thread = threading.Thread(target=self._listen, name="outputs", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def problem(self) -> str | None:
        """Why the outputs are not served just now, as a sentence; None if they are."""
        if self._problem is None and time.monotonic() - self._heard_at > _DOUBTFUL_S:
            return "the outputs' process does not answer"
        return self._problem

    def pulse(self, report: LineReport) -> None:
        """Say that the line is alive, and how it does."""
        with self._lock:
            send(self._sender, Pulse(report=report))

    def note_commit(self) -> None:
        """Say that there is something new on record."""
        with self._lock:
            send(self._sender, Committed())

    def close(self) -> None:
        """End the process, with a moment to deliver; a second call does nothing."""
        self._is_closing.set()
        with self._lock:
            send(self._sender, Goodbye())
        try:
            self._process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(1.0)
        self._thread.join(1.0)
        self._sender.close()
        self._connection.close()

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                process = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "linegate_runtime.outputs_child"),
                        str(theirs.fileno()),
                    ],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    # Ctrl-C in a terminal is for the parent, which ends the child in order.
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise OutputError(f"the outputs' process cannot start: {error}") from error
        sinks = tuple(
            msgspec.structs.replace(sink, record=record, place=place)
            for sink in self._setup.sinks
            for record, place in [self._places[sink.name]]
        )
        setup = msgspec.structs.replace(
            self._setup,
            sinks=sinks,
            is_debugging=_LOG.isEnabledFor(logging.DEBUG),
            is_log_json=is_json_wanted(),
        )
        send(ours, setup)
        ours.settimeout(_START_LIMIT_S)
        return process, ours

    def _wait_until_open(self, is_over: Callable[[], bool]) -> None:
        answer = None
        end = time.monotonic() + _START_LIMIT_S
        self._connection.settimeout(_LOOK_S)
        while answer is None and time.monotonic() < end and not is_over():
            with contextlib.suppress(TimeoutError):
                answer = receive_as_parent(self._connection)
                if answer is None:
                    break
        if isinstance(answer, Opened) or (answer is None and is_over()):
            self._heard_at = time.monotonic()
            self._connection.settimeout(_SILENT_S)
            return
        self._process.kill()
        self._process.wait(1.0)
        self._sender.close()
        self._connection.close()
        if isinstance(answer, Refused):
            raise ConfigError("; ".join(answer.problems))
        raise OutputError(
            f"the outputs' process did not open its sinks within {_START_LIMIT_S:g} s; see what it "
            "logged"
        )

    def _listen(self) -> None:
        failures, steady_since = 0, time.monotonic()
        while not self._is_closing.is_set():
            problem = self._take_messages()
            if self._is_closing.is_set():
                return
            if time.monotonic() - steady_since > _STEADY_S:
                failures = 0
            self._problem = problem
            _LOG.error("%s; starting it again", problem)
            self._process.kill()
            self._process.wait(1.0)
            self._is_closing.wait(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
            failures += 1
            steady_since = time.monotonic()
            self._restart()

    def _take_messages(self) -> str:
        """Take what the process says until it dies or hangs; return which."""
        while True:
            try:
                message = receive_as_parent(self._connection)
            except (TimeoutError, msgspec.MsgspecError) as error:
                return f"the outputs' process does not answer ({error})"
            if message is None:
                return "the outputs' process has ended"
            self._heard_at = time.monotonic()
            if isinstance(message, Delivered):
                self._places[message.sink] = (message.record, message.number)
                self._on_place(message.sink, message.record, message.number)
            elif isinstance(message, Opened):
                self._connection.settimeout(_SILENT_S)
                self._problem = None
            elif isinstance(message, Refused):
                return f"the outputs cannot be opened again: {'; '.join(message.problems)}"

    def _restart(self) -> None:
        try:
            process, connection = self._start()
        except OutputError as error:
            self._problem = str(error)
            return
        with self._lock:
            self._sender.close()
            self._connection.close()
            self._process, self._connection = process, connection
            self._sender = _sender(connection)


def _sender(connection: socket.socket) -> socket.socket:
    """Return the same connection for sending: one with a time-out would wait before it sends."""
    sender = connection.dup()
    sender.setblocking(False)
    return sender
