"""The process of a line's outputs: feeds sinks from the record, serves metrics and health.

It is a process of its own so that no receiver, however slow, and no library that talks to one,
takes time or memory from the inspection. Needs neither numpy nor OpenCV.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from linegate_bundle.errors import ConfigError, LinegateError, OutputError
from linegate_runtime.courier import Courier
from linegate_runtime.feed import Feed
from linegate_runtime.line_report import LineReport, SinkReport
from linegate_runtime.logs import set_up_log
from linegate_runtime.outputs_protocol import (
    Alive,
    Committed,
    Delivered,
    Goodbye,
    Opened,
    Pulse,
    Refused,
    Setup,
    SinkSetup,
    receive_as_child,
    send,
    typed_options,
)
from linegate_runtime.sinks import SINKS, LineState, Sink

_LOG = logging.getLogger(__name__)

STUCK_S = 0.25
"""A line that has not been heard of for so long is stuck."""

_TICK_S = 0.05
_SHOW_S = 0.1

_DRAIN_S = 0.5
"""So long a line that ends waits for what can be delivered at once."""


class Outputs:
    """All sinks of a line, open and being fed.

    Args:
        connection: to the inspecting process.
        setup: what to open.

    Raises:
        ConfigError: sinks that cannot be opened, all of them.
    """

    def __init__(self, connection: socket.socket, setup: Setup) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._report: LineReport | None = None
        self._heard_at = float("-inf")
        self._is_over = threading.Event()
        self._server: Any = None
        with contextlib.ExitStack() as on_error:
            sinks = _open_sinks(setup.sinks, on_error)
            if setup.listen is not None:
                self._server = _serve(setup.listen, self)
            on_error.pop_all()
        self._couriers = [
            Courier(
                one.name, sink, Feed(Path(setup.record), one.record, one.place), self._note_place
            )
            for one, sink in zip(setup.sinks, sinks, strict=True)
        ]
        self._ticker = threading.Thread(target=self._tick, name="state", daemon=True)
        self._ticker.start()

    @property
    def report(self) -> LineReport | None:
        """What was heard of the line last."""
        return self._report

    @property
    def state(self) -> LineState:
        """How the line is, which is not ready if nothing is heard of it."""
        report = self._report
        if report is None:
            return LineState(is_ready=False, reasons=("the line is starting",))
        if time.monotonic() - self._heard_at > STUCK_S:
            reason = "the inspecting process is stuck or gone"
            return LineState(is_ready=False, reasons=(reason,), parts=report.state.parts)
        return report.state

    @property
    def sinks(self) -> tuple[SinkReport, ...]:
        """How the sinks do."""
        return tuple(
            SinkReport(name=one.name, problem=one.problem, waiting=one.waiting)
            for one in self._couriers
        )

    def hear(self, message: Pulse | Committed) -> None:
        """Take a message of the inspecting process."""
        if isinstance(message, Pulse):
            self._report = message.report
            self._heard_at = time.monotonic()
        else:
            for courier in self._couriers:
                courier.wake()

    def close(self, *, in_order: bool) -> None:
        """End; in order means that what can be delivered at once is.

        Args:
            in_order: the line has ended as it should, and waits.
        """
        if in_order:
            end = time.monotonic() + _DRAIN_S
            for courier in self._couriers:
                if courier.problem is None:
                    courier.drain(max(0.0, end - time.monotonic()))
        self._is_over.set()
        self._ticker.join()
        ended = LineState(
            is_ready=False,
            reasons=("the line has ended",) if in_order else self.state.reasons,
            parts=self.state.parts,
        )
        for courier in self._couriers:
            courier.sink.show(ended)
        for courier in self._couriers:
            courier.close()
        if self._server is not None:
            self._server.close()

    def _tick(self) -> None:
        show_at = 0.0
        while not self._is_over.wait(_TICK_S):
            self._tell(Alive())
            now = time.monotonic()
            if now >= show_at:
                show_at = now + _SHOW_S
                state = self.state
                for courier in self._couriers:
                    courier.sink.show(state)

    def _note_place(self, sink: str, record: str, number: int) -> None:
        self._tell(Delivered(sink=sink, record=record, number=number))

    def _tell(self, message: Delivered | Alive) -> None:
        with self._sending:
            send(self._connection, message)


def _open_sinks(setups: tuple[SinkSetup, ...], on_error: contextlib.ExitStack) -> list[Sink[Any]]:
    sinks: list[Sink[Any]] = []
    problems = []
    for setup in setups:
        family = SINKS.load(setup.kind)
        try:
            sink = family(typed_options(setup.options, family.Options))
        except (ConfigError, OutputError) as error:
            problems.append(f"[[sink]] {setup.name}: {error}")
            continue
        on_error.callback(sink.close)
        if not isinstance(sink, Sink):
            raise TypeError(f"expected a sink, {setup.kind} is a {type(sink).__name__}")
        sinks.append(sink)
    if problems:
        raise ConfigError("\n".join(problems))
    return sinks


def _serve(listen: tuple[str, int], outputs: Outputs) -> Any:
    from linegate_runtime.metrics import MetricsServer  # noqa: PLC0415 - few lines have one

    return MetricsServer(*listen, outputs)


def main(descriptor: int) -> int:
    """Serve the parent at the other end of a socket until it is gone; return the exit code."""
    # The parent ends this process, in order; a terminal's or a service's signals are for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as connection:
        setup = receive_as_child(connection)
        if not isinstance(setup, Setup):
            return 0
        set_up_log(debug=setup.is_debugging, as_json=setup.is_log_json)
        try:
            outputs = Outputs(connection, setup)
        except LinegateError as error:
            send(connection, Refused(problems=tuple(str(error).split("\n"))))
            return 0
        send(connection, Opened())
        while True:
            message = receive_as_child(connection)
            if message is None or isinstance(message, Goodbye):
                outputs.close(in_order=message is not None)
                break
            if isinstance(message, Pulse | Committed):
                outputs.hear(message)
    return 0


if __name__ == "__main__":
    code = main(int(sys.argv[1]))
    sys.stdout.flush()
    # Libraries leave threads behind that would be waited for.
    os._exit(code)
