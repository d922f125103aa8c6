"""Is the processor too warm, or does it get too little power?"""

from collections.abc import Iterator, Sequence

from linegate_runtime import machine
from linegate_runtime.checkup.base import Finding, Subject, failed, passed, warned
from linegate_runtime.machine import Throttling

_WARM_C, _HOT_C = 70, 80
"""A Raspberry Pi slows its cores down from 80 to 85 degrees Celsius. Source: Raspberry Pi's
documentation, "Frequency management and thermal control"."""

_SILENT = "this machine does not tell"

_COOL = "cool the board: heat sink, fan, or air around it"

_POWER = "use the board's own power supply and a short cable, and fewer devices on its USB"

_ASK = (
    "sudo apt install raspi-utils, whose `vcgencmd get_throttled` tells, to root and to members of "
    "the group video"
)


def check_temperature(temperature_c: float | None, *, is_raspberry_pi: bool) -> Finding:
    """Judge the temperature of the hottest sensor; None where there is none.

    Args:
        temperature_c: in degrees Celsius.
        is_raspberry_pi: whether its limits are known; other processors slow down at their own,
            up to 100 degrees and more.
    """
    if temperature_c is None:
        return passed(Subject.TEMPERATURE, _SILENT)
    text = f"{temperature_c:.0f} °C"
    if not is_raspberry_pi:
        if temperature_c >= _HOT_C:
            text += "; where this machine slows itself down is not known"
            return warned(Subject.TEMPERATURE, text, _COOL)
        return passed(Subject.TEMPERATURE, text)
    if temperature_c >= _HOT_C:
        return failed(
            Subject.TEMPERATURE, f"{text}; from {_HOT_C} °C boards slow themselves down", _COOL
        )
    if temperature_c >= _WARM_C:
        return warned(Subject.TEMPERATURE, f"{text}, near the {_HOT_C} °C of slowing down", _COOL)
    return passed(Subject.TEMPERATURE, text)


def check_throttling(found: Throttling | None, *, is_raspberry_pi: bool) -> Iterator[Finding]:
    """Judge what the firmware tells.

    Args:
        found: what slows the processor down; None where the machine does not tell.
        is_raspberry_pi: whether it could tell.
    """
    if found is None:
        if is_raspberry_pi:
            text = "undervoltage and throttling cannot be seen"
            yield warned(Subject.THROTTLING, f"{text}: {_SILENT}", _ASK)
        else:
            yield passed(Subject.THROTTLING, _SILENT)
        return
    now = found.now
    before = [reason for reason in found.since_start if reason not in now]
    if now:
        yield failed(Subject.THROTTLING, f"now: {', '.join(now)}", _advice(now))
    if before:
        text = f"since the board was switched on: {', '.join(before)}"
        yield warned(Subject.THROTTLING, text, _advice(before))
    if not now and not before:
        yield passed(Subject.THROTTLING, "none, now and since the board was switched on")


def check_heat_here() -> Iterator[Finding]:
    """Look at this machine."""
    is_raspberry_pi = machine.is_raspberry_pi(machine.board())
    yield check_temperature(machine.temperature_c(), is_raspberry_pi=is_raspberry_pi)
    yield from check_throttling(machine.ask_throttling(), is_raspberry_pi=is_raspberry_pi)


def _advice(reasons: Sequence[str]) -> str:
    wants = [_POWER] if "undervoltage" in reasons else []
    wants += [_COOL] if any(reason != "undervoltage" for reason in reasons) else []
    return "; ".join(wants)
