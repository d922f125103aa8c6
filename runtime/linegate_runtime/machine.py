"""What the machine says about itself: temperature and throttling, as far as it tells."""

import contextlib
from pathlib import Path

_THERMAL = Path("/sys/class/thermal")

_FIRMWARE = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
"""What a Raspberry Pi's firmware tells; the same bits as ``vcgencmd get_throttled``."""

_THROTTLING = {0: "undervoltage", 1: "frequency capped", 2: "throttled", 3: "too warm"}
"""Bits that mean now; sixteen higher they mean since the start. Source: Raspberry Pi's
documentation of vcgencmd."""


def temperature_c(folder: Path = _THERMAL) -> float | None:
    """Return the temperature of the hottest sensor in degrees Celsius; None if there is none."""
    found = []
    for file in folder.glob("thermal_zone*/temp"):
        # A sensor may be there and refuse to be read.
        with contextlib.suppress(OSError, ValueError):
            found.append(int(file.read_text()) / 1000)
    return max(found, default=None)


def throttling(file: Path = _FIRMWARE) -> tuple[str, ...] | None:
    """Return what slows the processor down now; None where the machine does not tell."""
    try:
        bits = int(file.read_text(), 16)
    except (OSError, ValueError):
        return None
    return tuple(name for bit, name in _THROTTLING.items() if bits >> bit & 1)
