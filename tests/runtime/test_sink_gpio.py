"""The gpio gate on pins in a file: pulses, its guard's process, and what it is told."""

import contextlib
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linegate_bundle.errors import ConfigError
from linegate_runtime.sinks import SINKS
from linegate_runtime.sinks.gpio import GpioGate
from tests.gate_observer import GateObserver
from tests.runtime.gpio_gate_support import (
    HEARTBEAT,
    MS,
    PIN,
    beaten,
    guard_pid,
    install_pins,
    is_active,
    is_alive,
    options,
    relay,
    until,
)
from tests.runtime.standins.pins.linegate_test_pins.memory import PinMemory, is_living

TOLERANCE_MS = 20.0


def pass_part(gate: GpioGate, uuid: str, *, is_accepted: bool = True) -> int:
    begun_ns = time.monotonic_ns()
    gate.expect(uuid, begun_ns, is_accepted=is_accepted)
    if is_accepted:
        gate.accept(uuid)
    return begun_ns


@pytest.fixture
def pins_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return install_pins(tmp_path, monkeypatch)


@pytest.fixture
def awake(pins_file: Path) -> Iterator[tuple[GpioGate, GateObserver]]:
    """A gate with long pulses that is out of its safe state, and its observer."""
    with (
        GateObserver(pins_file, relay()) as observer,
        beaten(GpioGate(options(width_s=2.0))) as gate,
    ):
        until(lambda: is_alive(observer))
        yield gate, observer


# --- pulses ------------------------------------------------------------------------------


@pytest.mark.parametrize("active_high", [True, False])
@pytest.mark.parametrize("mode", ["accept", "reject"])
def test_a_pulse_comes_after_the_way_to_the_gate_and_has_its_width(
    pins_file: Path, mode: str, active_high: bool
) -> None:
    wanted = options(mode=mode, active_high=active_high, delay_s=0.2, width_s=0.05)
    with (
        GateObserver(pins_file, relay(mode=mode, active_high=active_high)) as observer,
        beaten(GpioGate(wanted)) as gate,
    ):
        until(lambda: is_alive(observer) and is_active(observer) is False)
        before = len(observer.pulses())
        begun: dict[bool, list[int]] = {True: [], False: []}
        for number, is_accepted in enumerate([True, False, True, False]):
            begun_ns = pass_part(gate, str(number), is_accepted=is_accepted)
            begun[is_accepted].append(begun_ns)
            time.sleep(0.1)
        time.sleep(0.2)
        pulses = observer.pulses()[before:]
    for begun_ns, (start_ns, end_ns) in zip(begun[mode == "accept"], pulses, strict=True):
        assert (start_ns - begun_ns) / MS == pytest.approx(200, abs=TOLERANCE_MS)
        assert (end_ns - start_ns) / MS == pytest.approx(50, abs=TOLERANCE_MS)


def test_without_a_delay_a_part_is_accepted_when_its_acceptance_is_on_record(
    pins_file: Path,
) -> None:
    with GateObserver(pins_file, relay()) as observer, beaten(GpioGate(options())) as gate:
        until(lambda: is_alive(observer))
        gate.expect("part", time.monotonic_ns(), is_accepted=True)
        time.sleep(0.05)
        assert not observer.pulses()
        accepted_ns = time.monotonic_ns()
        gate.accept("part")
        until(observer.pulses)
        ((start_ns, end_ns),) = observer.pulses()
    assert 0 <= (start_ns - accepted_ns) / MS < TOLERANCE_MS
    assert (end_ns - start_ns) / MS == pytest.approx(100, abs=TOLERANCE_MS)


def test_without_a_delay_a_part_is_rejected_at_once_or_when_no_record_came(
    pins_file: Path,
) -> None:
    with (
        GateObserver(pins_file, relay(mode="reject")) as observer,
        beaten(GpioGate(options(mode="reject", width_s=0.05))) as gate,
    ):
        until(lambda: is_alive(observer) and not is_active(observer))
        before = len(observer.pulses())
        pass_part(gate, "good")
        rejected_ns = pass_part(gate, "bad", is_accepted=False)
        gate.expect("unrecorded", time.monotonic_ns(), is_accepted=True)
        until(lambda: len(observer.pulses()) == before + 2)
        at_once, later = observer.pulses()[before:]
    assert (at_once[0] - rejected_ns) / MS < TOLERANCE_MS
    assert (later[0] - rejected_ns) / MS == pytest.approx(500, abs=TOLERANCE_MS)


# --- the safe state ----------------------------------------------------------------------


def test_holding_takes_the_safe_state_in_the_middle_of_a_pulse_until_it_is_released(
    awake: tuple[GpioGate, GateObserver],
) -> None:
    gate, observer = awake
    pass_part(gate, "one")
    until(lambda: is_active(observer))
    held_ns = time.monotonic_ns()
    gate.hold(["the camera is away"])
    assert observer.time_to_safe_ms(held_ns) < TOLERANCE_MS
    until(lambda: not is_alive(observer))
    pass_part(gate, "two")
    gate.hold([])
    until(lambda: is_alive(observer))
    time.sleep(0.05)
    assert not is_active(observer)  # what came in the safe state is not accepted afterwards
    assert gate.problem is None
    pass_part(gate, "three")
    until(lambda: is_active(observer))


def test_nothing_is_accepted_while_no_beats_come_though_the_process_lives(pins_file: Path) -> None:
    with GateObserver(pins_file, relay()) as observer:
        gate = GpioGate(options(width_s=2.0))
        try:
            pass_part(gate, "too soon")
            time.sleep(0.05)
            assert not is_active(observer)
            gate.beat()
            pass_part(gate, "one")
            beat_ns = time.monotonic_ns()
            until(lambda: is_active(observer))
            assert observer.time_to_safe_ms(beat_ns) == pytest.approx(200, abs=50)
            until(lambda: not is_alive(observer))
            gate.beat()
            until(lambda: is_alive(observer))
            assert not is_active(observer)
        finally:
            gate.close()


# --- the guard ---------------------------------------------------------------------------


def test_a_killed_guard_is_replaced_and_its_gate_is_held_as_before(
    awake: tuple[GpioGate, GateObserver], caplog: pytest.LogCaptureFixture
) -> None:
    gate, observer = awake
    gate.hold(["the disk is full"])
    first = guard_pid(gate)
    os.kill(first, signal.SIGKILL)
    said = "until it is started anew: the guard of the pins was killed by signal 9"
    until(lambda: said in caplog.text)
    until(lambda: gate.problem is None)
    assert guard_pid(gate) != first
    time.sleep(0.15)
    assert not is_alive(observer)
    gate.hold([])
    until(lambda: is_alive(observer))
    pass_part(gate, "part")
    until(lambda: is_active(observer))


def test_parts_that_a_lost_guard_knew_of_are_rejected_by_the_next(pins_file: Path) -> None:
    with (
        GateObserver(pins_file, relay(mode="reject")) as observer,
        beaten(GpioGate(options(mode="reject", delay_s=1.0, width_s=0.1))) as gate,
    ):
        until(lambda: is_alive(observer) and not is_active(observer))
        begun_ns = pass_part(gate, "bad", is_accepted=False)
        first = guard_pid(gate)
        os.kill(first, signal.SIGKILL)
        until(lambda: gate.problem and "until all parts of before have passed" in gate.problem)
        until(lambda: is_active(observer))
        until(lambda: not is_active(observer))
        assert observer.sights()[-1].ns >= begun_ns + 1100 * MS
        assert gate.problem is None


def test_a_guard_that_cannot_start_again_is_tried_until_it_can(
    awake: tuple[GpioGate, GateObserver], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, observer = awake
    with monkeypatch.context() as patch:
        patch.setenv("GPIOZERO_PIN_FACTORY", "none")
        os.kill(guard_pid(gate), signal.SIGKILL)
        until(lambda: gate.problem and "no pins on this machine" in gate.problem)
    until(lambda: gate.problem is None)
    until(lambda: is_alive(observer))


def test_a_pin_that_does_not_obey_is_a_problem(pins_file: Path) -> None:
    with contextlib.closing(PinMemory(pins_file)) as memory, beaten(GpioGate(options())) as gate:
        until(lambda: memory.read(HEARTBEAT).changes)
        memory.write(PIN, memory.read(PIN)._replace(is_broken=True))
        pass_part(gate, "part")
        until(lambda: gate.problem and "GPIO17 to obey, got: 'bad GPIO write'" in gate.problem)
        memory.write(PIN, memory.read(PIN)._replace(is_broken=False))
        until(lambda: gate.problem is None)


def test_ctrl_c_leaves_the_guard_alone_and_sigterm_ends_it_in_its_safe_state(
    awake: tuple[GpioGate, GateObserver],
) -> None:
    gate, observer = awake
    first = guard_pid(gate)
    pass_part(gate, "part")
    until(lambda: is_active(observer))
    os.kill(first, signal.SIGINT)
    time.sleep(0.1)
    assert is_active(observer)
    ended_ns = time.monotonic_ns()
    os.kill(first, signal.SIGTERM)
    assert observer.time_to_safe_ms(ended_ns) < TOLERANCE_MS
    until(lambda: guard_pid(gate) != first)


def test_a_guard_that_stands_still_neither_stops_nor_breaks_the_line(pins_file: Path) -> None:
    with contextlib.closing(PinMemory(pins_file)) as memory, beaten(GpioGate(options())) as gate:
        first = guard_pid(gate)
        os.kill(first, signal.SIGSTOP)
        started = time.monotonic()
        for number in range(2000):
            pass_part(gate, str(number))
        assert time.monotonic() - started < 1.0
        until(lambda: gate.problem)
        gate.hold(["the gate"])
        gate.hold([])
        until(lambda: gate.problem is None)
        assert guard_pid(gate) != first
        before = memory.read(HEARTBEAT).changes
        until(lambda: memory.read(HEARTBEAT).changes > before)


def test_the_guard_is_small(awake: tuple[GpioGate, GateObserver]) -> None:
    maps = Path(f"/proc/{guard_pid(awake[0])}/maps").read_text()
    assert "numpy" not in maps
    assert "cv2" not in maps


def test_closing_ends_all_that_was_started_with_the_pins_at_rest(pins_file: Path) -> None:
    descriptors = set(Path("/proc/self/fd").iterdir())
    threads = threading.active_count()
    with GateObserver(pins_file, relay(mode="reject")) as observer:
        beaten_gate = beaten(GpioGate(options(mode="reject")))
        with beaten_gate as gate:
            until(lambda: is_alive(observer) and not is_active(observer))
            guard = guard_pid(gate)
            closed_ns = time.monotonic_ns()
        assert time.monotonic_ns() - closed_ns < 1000 * MS
        assert observer.time_to_safe_ms(closed_ns) < TOLERANCE_MS
        assert not is_living(guard)
        gate.close()
        gate.beat()
        pass_part(gate, "part")
        gate.hold(["closed"])
    assert len(set(Path("/proc/self/fd").iterdir())) == len(descriptors)
    assert threading.active_count() == threads


# --- mistakes ----------------------------------------------------------------------------


@pytest.mark.parametrize("pin", [PIN, HEARTBEAT])
def test_a_pin_of_another_process_is_a_configuration_error(pins_file: Path, pin: int) -> None:
    with contextlib.closing(PinMemory(pins_file)) as memory:
        memory.write(pin, memory.read(pin)._replace(owner=os.getpid()))
    with pytest.raises(ConfigError, match=rf"cannot open pin {pin}: 'GPIO busy'; .*other program"):
        GpioGate(options())


@pytest.mark.parametrize("pin", [99, "nonsense", "BOARD6"])
@pytest.mark.usefixtures("pins_file")
def test_an_unknown_pin_is_a_configuration_error(pin: int | str) -> None:
    with pytest.raises(ConfigError, match=r"expected a pin that this board has.*pinout"):
        GpioGate(options(pin=pin))


@pytest.mark.usefixtures("pins_file")
def test_the_same_pin_by_two_names_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="GPIO17 is already in use"):
        GpioGate(options(heartbeat_pin="GPIO17"))


@pytest.mark.usefixtures("pins_file")
def test_a_machine_without_pins_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "none")
    with pytest.raises(ConfigError, match=r"the sink gpio finds no pins on this machine.*'none'"):
        GpioGate(options())


def test_missing_gpiozero_says_how_to_install_it(
    pins_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pins_file.parent / "gpiozero.py").write_text("raise ImportError('no such module')")
    monkeypatch.setenv("PYTHONPATH", str(pins_file.parent))
    with pytest.raises(ConfigError, match=r"the sink gpio needs gpiozero: pip install 'linegate-r"):
        GpioGate(options())


def test_a_confirmation_that_comes_too_late_is_no_pulse_but_a_warning(
    pins_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        GateObserver(pins_file, relay()) as observer,
        beaten(GpioGate(options(delay_s=0.05))) as gate,
    ):
        until(lambda: is_alive(observer))
        for number in range(3):
            gate.expect(str(number), time.monotonic_ns(), is_accepted=True)
        time.sleep(0.1)
        for number in range(3):
            gate.accept(str(number))
        until(lambda: caplog.messages)
        time.sleep(0.1)
        assert not observer.pulses()
    (message,) = caplog.messages
    assert "rejected 3 parts whose verdict was not on record in time" in message


@pytest.mark.parametrize(
    ("changes", "key", "text"),
    [
        ({"mode": "reject", "heartbeat_pin": None}, "heartbeat_pin", "wire the heartbeat"),
        ({"pin": "17", "heartbeat_pin": 17}, "heartbeat_pin", "another pin"),
        ({"heartbeat_s": 0.1}, "heartbeat_s", r"half of dead_after_s \(0.2\).*got 0.1"),
    ],
)
def test_options_that_do_not_go_together_are_named(
    changes: dict[str, Any], key: str, text: str
) -> None:
    found = options(**changes).problems()
    assert list(found) == [key]
    assert re.search(text, found[key])
    assert not options().problems()
    assert not options(heartbeat_pin=None, heartbeat_s=1.0).problems()


@pytest.mark.usefixtures("pins_file")
def test_a_gate_before_the_deadline_is_named() -> None:
    gate = GpioGate(options(delay_s=1.0))
    try:
        assert gate.check(1.0, 0.0) == {}
        message = gate.check(1.5, 0.5)["delay_s"]
        assert "deadline_s and commit_within_s, 2 together, got 1:" in message
    finally:
        gate.close()


def test_the_gate_is_registered() -> None:
    assert SINKS.load("gpio") is GpioGate
