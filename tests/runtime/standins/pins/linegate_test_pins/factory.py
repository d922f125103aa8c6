"""A pin factory of gpiozero for pins in a file."""

import os
import time
from pathlib import Path
from typing import Any

from gpiozero.pins.mock import MockFactory, MockPin

from .memory import ENVIRONMENT, PinMemory, is_living


class ChipError(Exception):
    """What lgpio raises derives from nothing else."""


class MemoryFactory(MockFactory):  # type: ignore[misc]
    """Makes pins of the file that the environment names."""

    def __init__(self) -> None:
        super().__init__(pin_class=MemoryPin)
        self.memory = PinMemory(Path(os.environ[ENVIRONMENT]))

    def close(self) -> None:
        """Let the pins and the file go."""
        super().close()
        self.memory.close()


class MemoryPin(MockPin):  # type: ignore[misc]
    """A pin in the file; as with the chip, its level stays when its process dies."""

    def __init__(self, factory: MemoryFactory, info: Any) -> None:
        super().__init__(factory, info)
        self._memory = factory.memory
        slot = self._memory.read(self._number)
        if slot.owner not in (0, os.getpid()) and is_living(slot.owner):
            raise ChipError("'GPIO busy'")
        self._state = slot.is_high
        self._memory.write(self._number, slot._replace(owner=os.getpid()))

    def close(self) -> None:
        super().close()
        self._memory.write(self._number, self._memory.read(self._number)._replace(owner=0))

    def output_with_state(self, state: bool) -> None:
        # At once, as the chip does it.
        self._function = "output"
        self._change_state(state)
        self._store()

    def _set_function(self, value: str) -> None:
        super()._set_function(value)
        self._store()

    def _change_state(self, value: bool) -> bool:
        if self._memory.read(self._number).is_broken:
            raise ChipError("'bad GPIO write'")
        changed: bool = super()._change_state(value)
        if changed:
            self._store()
        return changed

    def _store(self) -> None:
        before = self._memory.read(self._number)
        is_driven, is_high = self._function == "output", bool(self._state)
        if (is_driven, is_high) != (before.is_driven, before.is_high):
            after = before._replace(
                is_driven=is_driven,
                is_high=is_high,
                changed_ns=time.monotonic_ns(),
                changes=before.changes + (is_high != before.is_high),
            )
            self._memory.write(self._number, after)
