"""What the machine says about itself: its clock, temperature and throttling, if it tells."""

import contextlib
import dataclasses
import re
import sys
from pathlib import Path

_THERMAL = Path("/sys/class/thermal")

_BOARD = Path("/proc/device-tree/model")

_RASPBERRY_PI = "Raspberry Pi"

_PLATFORM = Path("/sys/devices/platform")

_FIRMWARE = ("soc*/*firmware/get_throttled", "*firmware/get_throttled")
"""Where a Raspberry Pi's firmware tells, in hexadecimal: ``soc/soc:firmware`` up to the 4, the
same with an address, ``soc@107c000000``, on the 5."""

_VCGENCMD_LIMIT_S = 2.0

_ANSWER = re.compile(r"throttled=0x([0-9a-fA-F]{1,8})\s*")
"""What ``vcgencmd get_throttled`` prints, such as ``throttled=0x50005``."""

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


def board(file: Path = _BOARD) -> str:
    """Return what the board calls itself; empty where it does not tell, as on x86."""
    try:
        return file.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def is_raspberry_pi(name: str) -> bool:
    """Say whether a board is a Raspberry Pi, by what it calls itself."""
    return name.startswith(_RASPBERRY_PI)


@dataclasses.dataclass(frozen=True)
class Throttling:
    """What slows a Raspberry Pi's processor down.

    Attributes:
        now: at this moment.
        since_start: at any time since the board was switched on.
    """

    now: tuple[str, ...]
    since_start: tuple[str, ...]

    @classmethod
    def of(cls, bits: int) -> "Throttling":
        """Read the firmware's bits."""
        return cls(_reasons(bits), _reasons(bits >> _SINCE_START))


def throttling(platform: Path = _PLATFORM) -> Throttling | None:
    """Return what the firmware's file tells; None where there is none.

    No process is started, so that a line may ask while it runs.
    """
    for pattern in _FIRMWARE:
        for file in sorted(platform.glob(pattern)):
            with contextlib.suppress(OSError, ValueError):
                return Throttling.of(int(file.read_text(), 16))
    return None


def ask_throttling(platform: Path = _PLATFORM, vcgencmd: str = "vcgencmd") -> Throttling | None:
    """Return the same; without the file, what the program ``vcgencmd`` says.

    Starting it takes time: for who asks now and then, and judges no parts meanwhile.
    """
    return throttling(platform) or _ask_vcgencmd(vcgencmd)


def _ask_vcgencmd(program: str) -> Throttling | None:
    import subprocess  # noqa: PLC0415 - a line does not need it

    try:
        done = subprocess.run(
            [program, "get_throttled"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_VCGENCMD_LIMIT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    answer = _ANSWER.fullmatch(done.stdout)
    return None if done.returncode or answer is None else Throttling.of(int(answer[1], 16))


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in _THROTTLING.items() if bits >> bit & 1)
