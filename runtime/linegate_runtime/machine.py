"""What the machine says about itself: its clock, temperature and throttling, if it tells."""

import contextlib
import sys
from pathlib import Path

_THERMAL = Path("/sys/class/thermal")

_FIRMWARE = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
"""What a Raspberry Pi's firmware tells; the same bits as ``vcgencmd get_throttled``."""

_THROTTLING = {0: "undervoltage", 1: "frequency capped", 2: "throttled", 3: "too warm"}
"""Bits that mean now; sixteen higher they mean since the start. Source: Raspberry Pi's
documentation of vcgencmd."""

_SINCE_START = 16

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_UNSYNCHRONIZED = 0x40
"""``STA_UNSYNC`` of Linux's adjtimex(2): no time server sets the clock."""

_TIMEX_BYTES, _STATUS_AT = 208, 40
"""Size of ``struct timex`` on 64-bit Linux, and where its int ``status`` lies (uapi/linux/timex.h:
an int, then four longs)."""


def boot_id(file: Path = _BOOT_ID) -> str:
    """Return what the system calls its time since it was started; empty if it does not tell."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def clock_synced() -> bool | None:
    """Say whether a time server sets the wall clock; None if the system does not tell."""
    import ctypes  # noqa: PLC0415 - takes time to load

    # With no bits in its first field, modes, the call only reads.
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], sys.byteorder)
    return not status & _UNSYNCHRONIZED


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
    return _throttling_at(0, file)


def throttling_since_start(file: Path = _FIRMWARE) -> tuple[str, ...] | None:
    """Return what has slowed the processor down since it was switched on; as before."""
    return _throttling_at(_SINCE_START, file)


def _throttling_at(shift: int, file: Path) -> tuple[str, ...] | None:
    try:
        bits = int(file.read_text(), 16) >> shift
    except (OSError, ValueError):
        return None
    return tuple(name for bit, name in _THROTTLING.items() if bits >> bit & 1)
