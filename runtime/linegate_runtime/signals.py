"""Ending in order, and opening the bundle anew, when asked to by a signal."""

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | int | None

_STOP = (signal.SIGINT, signal.SIGTERM)


@dataclasses.dataclass
class Asked:
    """What signals have asked for.

    Attributes:
        stop: SIGINT or SIGTERM has come.
        reload: SIGHUP has come since :meth:`take_reload`.
    """

    stop: bool = False
    reload: bool = False

    def is_stopped(self) -> bool:
        """Say whether it is time to end."""
        return self.stop

    def take_reload(self) -> bool:
        """Say whether the bundle is to be opened anew; yes once for each request."""
        asked, self.reload = self.reload, False
        return asked


@contextlib.contextmanager
def listen_to_signals(*, reloads: bool = False) -> Iterator[Asked]:
    """Note SIGINT and SIGTERM while the block runs, and SIGHUP if ``reloads``.

    The second SIGINT or SIGTERM acts as it did before, for those who cannot wait.
    """
    asked = Asked()

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        if number in _STOP:
            asked.stop = True
            signal.signal(number, before[number])
        else:
            asked.reload = True

    numbers = (*_STOP, signal.SIGHUP) if reloads else _STOP
    before: dict[int, Handler] = {int(number): signal.getsignal(number) for number in numbers}
    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
