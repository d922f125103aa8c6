"""Is the processor too warm, or does it get too little power?"""

from collections.abc import Iterator, Sequence

from linegate_runtime import machine
from linegate_runtime.checkup.base import Finding, Subject, failed, passed, warned

_WARM_C, _HOT_C = 70, 80
"""A Raspberry Pi slows its cores down from 80 to 85 degrees Celsius. Source: Raspberry Pi's
documentation, "Frequency management and thermal control"."""

_SILENT = "this machine does not tell"

_COOL = "cool the board: heat sink, fan, or air around it"

_POWER = "use the board's own power supply and a short cable, and fewer devices on its USB"


def check_temperature(temperature_c: float | None) -> Finding:
    """Judge the temperature of the hottest sensor; None where there is none."""
    if temperature_c is None:
        return passed(Subject.TEMPERATURE, _SILENT)
    text = f"{temperature_c:.0f} °C"
    if temperature_c >= _HOT_C:
        return failed(
            Subject.TEMPERATURE, f"{text}; from {_HOT_C} °C boards slow themselves down", _COOL
        )
    if temperature_c >= _WARM_C:
        return warned(Subject.TEMPERATURE, f"{text}, near the {_HOT_C} °C of slowing down", _COOL)
    return passed(Subject.TEMPERATURE, text)


def check_throttling(
    now: Sequence[str] | None, since_start: Sequence[str] | None
) -> Iterator[Finding]:
    """Judge what the firmware tells, see :func:`linegate_runtime.machine.throttling`.

    Args:
        now: what slows the processor down now; None where the machine does not tell.
        since_start: what has, since the board was switched on.
    """
    if now is None or since_start is None:
        yield passed(Subject.THROTTLING, _SILENT)
        return
    before = [reason for reason in since_start if reason not in now]
    if now:
        yield failed(Subject.THROTTLING, f"now: {', '.join(now)}", _advice(now))
    if before:
        text = f"since the board was switched on: {', '.join(before)}"
        yield warned(Subject.THROTTLING, text, _advice(before))
    if not now and not before:
        yield passed(Subject.THROTTLING, "none, now and since the board was switched on")


def check_heat_here() -> Iterator[Finding]:
    """Look at this machine."""
    yield check_temperature(machine.temperature_c())
    yield from check_throttling(machine.throttling(), machine.throttling_since_start())


def _advice(reasons: Sequence[str]) -> str:
    wants = [_POWER] if "undervoltage" in reasons else []
    wants += [_COOL] if any(reason != "undervoltage" for reason in reasons) else []
    return "; ".join(wants)
