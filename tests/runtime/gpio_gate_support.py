"""Gates on pins in a file, beaten in this process or in one of their own."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from linegate_runtime.sinks.gpio import GpioGate, GpioOptions
from tests.gate_observer import GateObserver, Relay
from tests.record_run import python_path
from tests.runtime.standins import FOLDER
from tests.runtime.standins.pins.linegate_test_pins.memory import ENVIRONMENT, PinMemory

ROOT = Path(__file__).resolve().parents[2]
PIN = 17
HEARTBEAT = 27
MS = 1_000_000


def install_pins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make gpiozero use pins in a new file, in child processes; return the file."""
    path = folder / "pins"
    PinMemory(path, is_new=True).close()
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "linegate")
    monkeypatch.setenv(ENVIRONMENT, str(path))
    monkeypatch.setenv("PYTHONPATH", python_path(FOLDER / "pins"))
    return path


def options(**changes: Any) -> GpioOptions:
    document = {"pin": PIN, "heartbeat_pin": HEARTBEAT} | changes
    return msgspec.convert(document, GpioOptions)


def relay(**changes: Any) -> Relay:
    return Relay(pin=PIN, heartbeat_pin=HEARTBEAT, **changes)


@contextlib.contextmanager
def beaten(gate: GpioGate) -> Iterator[GpioGate]:
    """Beat a gate each 10 ms, as a line does, and close it at the end."""
    is_over = threading.Event()

    def beat() -> None:
        while not is_over.wait(0.01):
            gate.beat()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield gate
    finally:
        is_over.set()
        thread.join()
        gate.close()


def until(is_so: Callable[[], object], limit_s: float = 5.0) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, "expected it to become so in time"
        time.sleep(0.002)


def guard_pid(gate: GpioGate) -> int:
    until(lambda: gate._guard is not None)
    assert gate._guard is not None
    return gate._guard.process.pid


def is_active(observer: GateObserver) -> bool:
    return observer.sights()[-1].is_active


def is_alive(observer: GateObserver) -> bool:
    return observer.sights()[-1].is_alive


class Line:
    """The process of ``gate_parent``.

    Attributes:
        process: its handle.
        guard: id of its guard's process.
    """

    def __init__(self, gate_options: GpioOptions) -> None:
        content = msgspec.json.encode(gate_options).decode()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.gate_parent", content],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        self.guard = int(self.process.stdout.readline())

    def say(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def strike(self, whom: str, number: signal.Signals) -> int:
        """Send a signal to the ``line`` or its ``guard``; return when that was."""
        since_ns = time.monotonic_ns()
        os.kill(self.process.pid if whom == "line" else self.guard, number)
        return since_ns

    def close(self) -> None:
        """Kill it; its guard ends by itself."""
        self.process.kill()
        self.process.communicate()
