"""Triggers on gpiozero's mock pins."""

import time
from typing import Any

from gpiozero.pins.mock import MockPin

from linegate_runtime.triggers.gpio import GpioOptions, GpioTrigger


def trigger_on(pin: int | str = 17, **options: Any) -> GpioTrigger:
    return GpioTrigger(GpioOptions(pin=pin, **({"debounce_s": 0.0, "frames": 3} | options)))


def pulse(pin: MockPin) -> None:
    pin.drive_high()
    pin.drive_low()


def numbers(trigger: GpioTrigger) -> list[int]:
    return [begun.part for begun in trigger.begun(time.monotonic_ns())]
