"""The file that the pins live in; needs no gpiozero."""

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

ENVIRONMENT = "LINEGATE_TEST_PINS"
COUNT = 64

_SLOT = struct.Struct("=???xIqq")


class Slot(NamedTuple):
    """One pin.

    Attributes:
        is_driven: whether it is an output; else it floats.
        is_high: its level, the last one if it floats.
        is_broken: whether setting its level fails.
        owner: id of the process that has it open; 0 if none.
        changed_ns: ``time.monotonic_ns()`` of the last change of its level or function.
        changes: how often its level has changed.
    """

    is_driven: bool = False
    is_high: bool = False
    is_broken: bool = False
    owner: int = 0
    changed_ns: int = 0
    changes: int = 0


class PinMemory:
    """The pins of a file.

    Args:
        path: the file.
        is_new: whether to make it, with all pins floating.
    """

    def __init__(self, path: Path, *, is_new: bool = False) -> None:
        if is_new:
            path.write_bytes(bytes(COUNT * _SLOT.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    def read(self, number: int) -> Slot:
        """Return a pin; the owner may write at the same time."""
        place = slice(number * _SLOT.size, (number + 1) * _SLOT.size)
        content = self._memory[place]
        while content != (again := self._memory[place]):
            content = again
        return Slot(*_SLOT.unpack(content))

    def write(self, number: int, slot: Slot) -> None:
        """Set a pin."""
        place = slice(number * _SLOT.size, (number + 1) * _SLOT.size)
        self._memory[place] = _SLOT.pack(*slot)

    def close(self) -> None:
        """Let the file go."""
        self._memory.close()


def is_living(pid: int) -> bool:
    """Say whether there is a process; one that has ended and waits for its parent is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
