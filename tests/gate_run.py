"""A real ``linegate run`` with a gate on pins in a file, and processes of it that die or hang."""

import contextlib
import enum
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.gate_observer import GateObserver, Relay
from tests.record_run import line, python_path, wait_for, write_config
from tests.runtime.standins import FOLDER
from tests.runtime.standins.pins.linegate_test_pins.memory import ENVIRONMENT, PinMemory

PIN, HEARTBEAT = 17, 27


class Process(enum.StrEnum):
    """A process of a line, by what stands in its command line; the parent by nothing."""

    PARENT = ""
    CAMERA = "capture_child"
    GUARD = "gpio_guard"
    OUTPUTS = "outputs_child"


@contextlib.contextmanager
def gated_line(
    folder: Path, bundle: Path, mode: str, *sinks: Mapping[str, object], extra: str = ""
) -> Iterator[tuple[int, GateObserver]]:
    """Run a line whose gate accepts parts all the time; it is killed at the end.

    Args:
        folder: for record, pins and configuration.
        bundle: for the fake engine.
        mode: of the gate.
        sinks: more outputs; at least one, so that there is a process for them.
        extra: other tables.

    Yields:
        The line's process id and who watches its gate, once parts are being accepted.
    """
    gate = {"kind": "gpio", "pin": PIN, "heartbeat_pin": HEARTBEAT, "mode": mode, "width_s": 0.1}
    config = write_config(folder, folder / "gated.sqlite", [gate, *sinks], extra)
    relay = Relay(pin=PIN, heartbeat_pin=HEARTBEAT, mode=mode)
    with (
        pins_in(folder) as pins,
        GateObserver(pins, relay) as observer,
        line(bundle, config, log=folder / "log") as process,
    ):
        wait_for(lambda: _accepts(observer))
        yield process.pid, observer


@contextlib.contextmanager
def pins_in(folder: Path) -> Iterator[Path]:
    """Let gpiozero use pins in a new file, in processes that are started meanwhile; give it."""
    pins = folder / "pins"
    PinMemory(pins, is_new=True).close()
    changes = {
        "GPIOZERO_PIN_FACTORY": "linegate",
        ENVIRONMENT: str(pins),
        "PYTHONPATH": python_path(FOLDER / "pins"),
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield pins
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _accepts(observer: GateObserver) -> bool:
    """Say whether parts have been accepted for a while."""
    sights = observer.sights()
    opened = [sight.ns for sight in sights if not sight.is_safe]
    return bool(opened) and opened[-1] - opened[0] > 0.5e9


def pid_of(parent: int, process: Process) -> int:
    """Return the process id of one of a line's processes."""
    if process is Process.PARENT:
        return parent
    # A process is the child of the thread that started it.
    tasks = Path(f"/proc/{parent}/task").iterdir()
    for child in [pid for task in tasks for pid in (task / "children").read_text().split()]:
        with contextlib.suppress(OSError):
            if process.value.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    raise LookupError(f"the line has no process {process.value}")


def time_to_safe_ms(
    parent: int, observer: GateObserver, process: Process, fault: signal.Signals
) -> float:
    """Kill or stop a process while a part is being accepted; return when the line was safe."""
    victim = pid_of(parent, process)
    wait_for(lambda: not observer.sights()[-1].is_safe)
    since_ns = time.monotonic_ns()
    os.kill(victim, fault)
    try:
        return observer.time_to_safe_ms(since_ns, stays_ms=60.0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGCONT)
