"""The process that owns a gate's pins, so that they come to rest whatever happens to the line.

Started by ``GuardProcess`` as ``python -P -m linegate_runtime.sinks.gpio_guard FD``, where FD is
its end of a socket; see ``gpio_protocol``. It has one thread, and loads gpiozero and little else.
"""

import contextlib
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime.gpio_access import find_pins, import_gpiozero, opening
from linegate_runtime.sinks.gpio_protocol import (
    LARGEST,
    Alive,
    Beat,
    Broken,
    Expect,
    Hold,
    Opened,
    Refused,
    Setup,
    decode_order,
    decode_setup,
    encode,
)
from linegate_runtime.sinks.gpio_schedule import Levels, Mode, Schedule

_USER = "the sink gpio"

_MOST_AT_ONCE = 100
"""So many messages are read before it looks at the pins again."""

_LINGER_HEARTBEATS = 4
_LONGEST_LINGER_S = 0.3
"""How long a pin that rejects is held active before it is let go, so that the relay behind the
heartbeat has noticed its end by then."""


class Pins:
    """The open pins; they begin in the safe state.

    Args:
        gpiozero: the module.
        setup: which pins.

    Raises:
        ConfigError: a pin cannot be had.
    """

    def __init__(self, gpiozero: Any, setup: Setup) -> None:
        self._safe_level = setup.plan.mode is Mode.REJECT
        self._shown = Levels(self._safe_level, heartbeat=False)
        self._heartbeat: Any = None
        # The heartbeat comes second: opening it may be an edge, which must not come before the
        # pin is safe.
        with opening(gpiozero, setup.pin):
            self._pin = gpiozero.DigitalOutputDevice(
                setup.pin, active_high=setup.active_high, initial_value=self._safe_level
            )
        if setup.heartbeat_pin is not None:
            with opening(gpiozero, setup.heartbeat_pin):
                self._heartbeat = gpiozero.DigitalOutputDevice(setup.heartbeat_pin)

    def show(self, levels: Levels) -> None:
        """Set what has changed.

        Raises:
            OutputError: a pin does not obey.
        """
        if levels.pin != self._shown.pin:
            self._set(self._pin, is_active=levels.pin)
        if levels.heartbeat != self._shown.heartbeat and self._heartbeat is not None:
            self._set(self._heartbeat, is_active=levels.heartbeat)
        self._shown = levels

    def rest(self) -> None:
        """Take the safe state.

        Raises:
            OutputError: the pin does not obey.
        """
        self._set(self._pin, is_active=self._safe_level)

    def _set(self, device: Any, *, is_active: bool) -> None:
        try:
            device.value = is_active
        except Exception as error:  # what talks to the chip has exceptions of its own
            raise OutputError(
                f"expected {device.pin} to obey, got: {error}; check the board"
            ) from error

    def close(self) -> None:
        """Let the pins go."""
        self._pin.close()
        if self._heartbeat is not None:
            self._heartbeat.close()


class Guard:
    """Does what the gate says, for as long as it is there.

    Args:
        link: the socket to the gate.
        pins: the open pins.
        setup: what the gate does.
    """

    def __init__(self, link: socket.socket, pins: Pins, setup: Setup) -> None:
        self._link = link
        self._pins = pins
        self._schedule = Schedule(setup.plan)
        self._answer_ns = setup.answer_ns
        self._answered_ns = 0

    def run(self) -> None:
        """Return when the gate is gone.

        Raises:
            OutputError: a pin does not obey.
        """
        poller = select.poll()
        poller.register(self._link, select.POLLIN)
        while True:
            next_ns = self._schedule.next_ns()
            wait_ms = None if next_ns is None else max(0.0, (next_ns - time.monotonic_ns()) / 1e6)
            poller.poll(wait_ms)
            # What has become due comes first: an order that is read late came too late.
            self._pins.show(self._schedule.advance(time.monotonic_ns()))
            for _ in range(_MOST_AT_ONCE):
                try:
                    content = self._link.recv(LARGEST, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                except ConnectionResetError:  # the gate died with answers unread
                    return
                if not content:
                    return
                self._obey(content)
            self._pins.show(self._schedule.advance(time.monotonic_ns()))

    def _obey(self, content: bytes) -> None:
        order = decode_order(content)
        now_ns = time.monotonic_ns()
        if isinstance(order, Beat):
            self._schedule.beat(order.sent_ns, now_ns)
            self._answer(now_ns)
        elif isinstance(order, Expect):
            self._schedule.expect(order.uuid, order.begun_ns, now_ns, is_accepted=order.is_accepted)
        elif isinstance(order, Hold):
            self._schedule.hold(order.until_ns, now_ns, is_held=order.is_held)
        else:
            self._schedule.confirm(order.uuid, now_ns)

    def _answer(self, now_ns: int) -> None:
        if now_ns - self._answered_ns < self._answer_ns:
            return
        self._answered_ns = now_ns
        # A gate that stands still reads no answers; its beats end as well.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self._link.send(encode(Alive(self._schedule.late)), socket.MSG_DONTWAIT)


@contextlib.contextmanager
def _resting_at_end(pins: Pins, setup: Setup) -> Iterator[None]:
    """Take the safe state after the block, however it ends, then let the pins go."""
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pins.rest()
        if setup.plan.mode is Mode.REJECT and setup.plan.heartbeat_ns is not None:
            time.sleep(min(setup.plan.heartbeat_ns / 1e9 * _LINGER_HEARTBEATS, _LONGEST_LINGER_S))
        pins.close()


def guard_pins(link: socket.socket) -> int:
    """Open the pins that the first message asks for and guard them; return the exit status."""
    content = link.recv(LARGEST)
    if not content:
        return 0
    setup = decode_setup(content)
    try:
        gpiozero = import_gpiozero(_USER)
        notices = find_pins(gpiozero, _USER)
        pins = Pins(gpiozero, setup)
    except ConfigError as error:
        _say(link, Refused(str(error)))
        return error.exit_code
    try:
        with _resting_at_end(pins, setup):
            _say(link, Opened(notices))
            Guard(link, pins, setup).run()
    except OutputError as error:
        _say(link, Broken(str(error)))
        return error.exit_code
    return 0


def _say(link: socket.socket, answer: Opened | Refused | Broken) -> None:
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        link.send(encode(answer), socket.MSG_DONTWAIT)


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    sys.exit(0)


def main() -> int:
    """Run the guard; the argument is the descriptor of its socket."""
    # Ctrl-C is for the gate, which ends its guard in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    with socket.socket(fileno=int(sys.argv[1])) as link:
        return guard_pins(link)


if __name__ == "__main__":
    sys.exit(main())
