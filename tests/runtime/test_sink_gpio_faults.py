"""The gpio gate when the line or its guard dies or stands still, as a safety relay sees it."""

import signal
from pathlib import Path

import pytest

from tests.gate_observer import GateObserver
from tests.runtime.gpio_gate_support import (
    Line,
    install_pins,
    is_active,
    is_alive,
    options,
    relay,
    until,
)
from tests.runtime.standins.pins.linegate_test_pins.memory import is_living

SAFE_WITHIN_MS = 250.0


@pytest.mark.parametrize("mode", ["accept", "reject"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("whom", ["line", "guard"])
def test_the_line_is_soon_safe_after(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whom: str,
    number: signal.Signals,
    mode: str,
) -> None:
    pins_file = install_pins(tmp_path, monkeypatch)
    with GateObserver(pins_file, relay(mode=mode)) as observer:
        line = Line(options(mode=mode, width_s=3.0))
        try:
            until(lambda: is_alive(observer) and not is_active(observer))
            line.say("pass part")
            until(lambda: is_active(observer) == (mode == "accept"))
            struck_ns = line.strike(whom, number)
            assert observer.time_to_safe_ms(struck_ns) <= SAFE_WITHIN_MS
        finally:
            line.close()
        if whom == "line":
            until(lambda: not is_living(line.guard), limit_s=1.0)
