"""How a run tells people what it does.

One living line in a terminal, or in what the service manager shows; log lines elsewhere.
"""

import contextlib
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TextIO

from linegate_runtime.logs import is_json_wanted
from linegate_runtime.service_manager import ServiceManager

_LOG = logging.getLogger(__name__)

_TERMINAL_PERIOD_S = 0.2
_LOG_PERIOD_S = 10.0
_MANAGER_PERIOD_S = 1.0


class Status:
    """Shows a line now and then.

    Args:
        stream: where the line lives if it is a terminal; the log is used if not, and where
            the log is for programs.
        manager: if there is one, it is told instead of the log, which may be on a memory card
            that wears out.
    """

    def __init__(self, stream: TextIO, manager: ServiceManager | None = None) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty() and not is_json_wanted()
        self._manager = manager or ServiceManager()
        self._period_s = _TERMINAL_PERIOD_S if self._is_terminal else _LOG_PERIOD_S
        if self._manager.is_there:
            self._period_s = _MANAGER_PERIOD_S
        self._due = time.monotonic() + self._period_s
        self._shown = ""

    @property
    def is_due(self) -> bool:
        """Whether it is time for a new line."""
        return time.monotonic() >= self._due

    def show(self, text: str, fields: Mapping[str, object] | None = None) -> None:
        """Show a line in place of the last one.

        Args:
            text: for people.
            fields: the same for programs that read the log.
        """
        self._due = time.monotonic() + self._period_s
        if self._manager.is_there:
            self._manager.tell(text)
            return
        if not self._is_terminal:
            _LOG.info("%s", text, extra={"fields": {"event": "status", **(fields or {})}})
            return
        width = shutil.get_terminal_size().columns - 1
        self._shown = text[:width]
        self._stream.write(f"\r\x1b[K{self._shown}")
        self._stream.flush()

    def clear(self) -> None:
        """Make room for other output."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = ""


class ClearFirst(logging.Handler):
    """Clears the living line before the handlers behind this one write to the terminal."""

    def __init__(self, status: Status) -> None:
        super().__init__()
        self._status = status

    def emit(self, record: logging.LogRecord) -> None:
        """Clear the line."""
        del record
        self._status.clear()


@contextlib.contextmanager
def living_status(manager: ServiceManager | None = None) -> Iterator[Status]:
    """Give the status of a command; the log makes room for it and clears it at the end.

    Args:
        manager: of the service that the command runs as, if it does.
    """
    status = Status(sys.stderr, manager)
    clear_first = ClearFirst(status)
    root = logging.getLogger()
    root.handlers.insert(0, clear_first)
    try:
        yield status
    finally:
        status.clear()
        root.removeHandler(clear_first)
