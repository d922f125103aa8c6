"""What a plant's safety relay says of a gate: an external process that watches its pins.

The line is safe while the pin that accepts is inactive, or the one that rejects is active, or the
heartbeat has had no edge for a while. The pins are those of the stand-in in
``tests/runtime/standins/pins``; they are looked at about every millisecond::

    python -m tests.gate_observer PINS_FILE PIN accept|reject [HEARTBEAT_PIN] [--active-low]

writes one JSON object for each change of what it sees, until its standard input ends.
"""

import argparse
import contextlib
import math
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self, TextIO

import msgspec

from tests.runtime.standins.pins.linegate_test_pins.memory import PinMemory

HEARTBEAT_LIMIT_MS = 100.0
"""Without an edge for so long the relay takes the line for dead."""

_SAMPLE_MS = 1
_START_LIMIT_S = 10.0
_ROOT = Path(__file__).resolve().parents[1]


class Relay(msgspec.Struct, frozen=True, kw_only=True):
    """How the pins are wired.

    Attributes:
        pin: the gate's pin, by the chip's number.
        mode: "accept" or "reject", what its pulse does.
        active_high: whether it is high while it is active.
        heartbeat_pin: pin of the heartbeat; None without one.
        heartbeat_limit_ms: without an edge for so long the line is dead.
    """

    pin: int
    mode: str = "accept"
    active_high: bool = True
    heartbeat_pin: int | None = None
    heartbeat_limit_ms: float = HEARTBEAT_LIMIT_MS


class Sight(msgspec.Struct, frozen=True):
    """What was seen from a moment on.

    Attributes:
        ns: ``time.monotonic_ns()``.
        is_safe: nothing can be accepted.
        is_active: the gate's pin is driven to its active level.
        is_alive: the heartbeat had an edge a short while ago.
    """

    ns: int
    is_safe: bool
    is_active: bool
    is_alive: bool


def look(memory: PinMemory, relay: Relay) -> Sight:
    """Judge the pins as they are now. A pin that floats is held inactive by its resistor."""
    now_ns = time.monotonic_ns()
    slot = memory.read(relay.pin)
    is_active = slot.is_driven and slot.is_high == relay.active_high
    is_alive = True
    if relay.heartbeat_pin is not None:
        heartbeat = memory.read(relay.heartbeat_pin)
        age_ns = now_ns - heartbeat.changed_ns
        is_alive = heartbeat.changes > 0 and age_ns < relay.heartbeat_limit_ms * 1e6
    is_safe = not is_alive or is_active == (relay.mode == "reject")
    return Sight(now_ns, is_safe, is_active, is_alive)


def observe(memory: PinMemory, relay: Relay, out: TextIO) -> None:
    """Write what is seen, at each change, until the standard input ends."""
    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN | select.POLLHUP)
    last: Sight | None = None
    while not poller.poll(_SAMPLE_MS):
        sight = look(memory, relay)
        if last is None or msgspec.structs.replace(sight, ns=last.ns) != last:
            out.write(msgspec.json.encode(sight).decode() + "\n")
            out.flush()
            last = sight


def time_to_safe_ms(
    sights: Sequence[Sight], since_ns: int, until_ns: int, stays_ms: float = 100.0
) -> float:
    """Return how long after an instant the line became safe and stayed so.

    Args:
        sights: what was seen, up to ``until_ns``.
        since_ns: the instant, such as that of a fault.
        until_ns: end of the watch.
        stays_ms: a shorter safety does not count.

    Returns:
        Milliseconds; 0 if it was safe already, infinite if it did not become so.
    """
    changes = [sight for sight in sights if sight.ns > since_ns]
    before = [sight for sight in sights if sight.ns <= since_ns]
    if before:
        changes.insert(0, msgspec.structs.replace(before[-1], ns=since_ns))
    safe_ns: int | None = None
    for sight in changes:
        if not sight.is_safe:
            if safe_ns is not None and sight.ns - safe_ns >= stays_ms * 1e6:
                break
            safe_ns = None
        elif safe_ns is None:
            safe_ns = sight.ns
    if safe_ns is None or until_ns - safe_ns < stays_ms * 1e6:
        return math.inf
    return (safe_ns - since_ns) / 1e6


def pulses_of(sights: Sequence[Sight]) -> list[tuple[int, int]]:
    """Return begin and end of each pulse that is over, in nanoseconds."""
    pulses: list[tuple[int, int]] = []
    begun_ns: int | None = None
    for sight in sights:
        if sight.is_active and begun_ns is None:
            begun_ns = sight.ns
        elif not sight.is_active and begun_ns is not None:
            pulses.append((begun_ns, sight.ns))
            begun_ns = None
    return pulses


class GateObserver:
    """The observer as a process, to be used in a ``with`` statement.

    Args:
        path: the pins' file; it must be there.
        relay: how the pins are wired.
    """

    def __init__(self, path: Path, relay: Relay) -> None:
        self._stack = contextlib.ExitStack()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the stack
        self._stack.callback(self._file.close)
        command = [sys.executable, "-m", "tests.gate_observer", str(path), *_arguments(relay)]
        self._process = self._stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self._file, cwd=_ROOT)
        )
        # Leaving the process closes its input, and waits.

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def sights(self) -> list[Sight]:
        """Return all that was seen so far, at least one."""
        deadline = time.monotonic() + _START_LIMIT_S
        while not (found := self._read()):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("expected the observer to see the pins, it did not")
            time.sleep(0.005)
        return found

    def _read(self) -> list[Sight]:
        # Not by seeking: the observer writes where the file's one position is.
        descriptor = self._file.fileno()
        content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        lines = content.splitlines(keepends=True)
        return [msgspec.json.decode(line, type=Sight) for line in lines if line.endswith(b"\n")]

    def pulses(self) -> list[tuple[int, int]]:
        """Return begin and end of each pulse that is over, in nanoseconds."""
        return pulses_of(self.sights())

    def time_to_safe_ms(
        self, since_ns: int, stays_ms: float = 100.0, limit_s: float = 2.0
    ) -> float:
        """Watch until the line is safe and stays so; see :func:`time_to_safe_ms`."""
        deadline_ns = since_ns + round(limit_s * 1e9)
        while True:
            # What is seen is written a moment later.
            until_ns = time.monotonic_ns() - 20_000_000
            took_ms = time_to_safe_ms(self.sights(), since_ns, until_ns, stays_ms)
            if math.isfinite(took_ms) or until_ns > deadline_ns:
                return took_ms
            time.sleep(0.01)

    def close(self) -> None:
        """End the process."""
        self._stack.close()


def _arguments(relay: Relay) -> Iterator[str]:
    yield from (str(relay.pin), relay.mode)
    if relay.heartbeat_pin is not None:
        yield str(relay.heartbeat_pin)
    yield from ("--heartbeat-limit-ms", str(relay.heartbeat_limit_ms))
    if not relay.active_high:
        yield "--active-low"


def main() -> None:
    """Observe as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pins", type=Path)
    parser.add_argument("pin", type=int)
    parser.add_argument("mode", choices=["accept", "reject"])
    parser.add_argument("heartbeat_pin", type=int, nargs="?")
    parser.add_argument("--heartbeat-limit-ms", type=float, default=HEARTBEAT_LIMIT_MS)
    parser.add_argument("--active-low", action="store_true")
    options = parser.parse_args()
    relay = Relay(
        pin=options.pin,
        mode=options.mode,
        active_high=not options.active_low,
        heartbeat_pin=options.heartbeat_pin,
        heartbeat_limit_ms=options.heartbeat_limit_ms,
    )
    with contextlib.closing(PinMemory(options.pins)) as memory:
        observe(memory, relay, sys.stdout)


if __name__ == "__main__":
    main()
