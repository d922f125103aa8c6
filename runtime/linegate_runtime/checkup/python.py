"""Is this a Python that linegate runs in?"""

import platform
import struct
import sys
from collections.abc import Iterator

from linegate_runtime.checkup.base import Finding, Subject, failed, passed, warned

_OLDEST, _NEWEST = (3, 11), (3, 13)

_BITS = 64


def check_python(
    version: tuple[int, int] = sys.version_info[:2],
    bits: int = 8 * struct.calcsize("P"),
    machine: str | None = None,
    *,
    is_venv: bool = sys.prefix != sys.base_prefix,
) -> Iterator[Finding]:
    """Look at the interpreter.

    Args:
        version: of Python.
        bits: of a pointer.
        machine: the kernel's name for the processor; None asks it.
        is_venv: whether it runs in a virtual environment.
    """
    machine = platform.machine() if machine is None else machine
    name = f"Python {version[0]}.{version[1]}"
    sound = True
    if not _OLDEST <= version <= _NEWEST:
        sound = False
        yield failed(
            Subject.PYTHON,
            f"expected Python 3.11 to 3.13, this is {name}",
            "install one of these, make a new virtual environment with it and install again",
        )
    if bits != _BITS:
        sound = False
        is_trap = machine in ("aarch64", "x86_64")
        trap = (
            f" on a 64-bit kernel ({machine}), the usual trap on a Raspberry Pi" if is_trap else ""
        )
        yield failed(
            Subject.PYTHON,
            f"expected a 64-bit system, {name} has {bits} bits{trap}",
            "install a 64-bit system, such as Raspberry Pi OS (64-bit); the engines have no "
            "wheels for 32 bits",
        )
    if not is_venv:
        sound = False
        yield warned(
            Subject.PYTHON,
            f"{name} of the system, not of a virtual environment: an update of the system can "
            "change what linegate runs in",
            "python3 -m venv FOLDER, and install there",
        )
    if sound:
        yield passed(Subject.PYTHON, f"{name}, {bits} bits, {machine}, virtual environment")
