"""How a run tells people what it does: one living line in a terminal, log lines elsewhere."""

import contextlib
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TextIO

from linegate_runtime.logs import is_json_wanted

_LOG = logging.getLogger(__name__)

_TERMINAL_PERIOD_S = 0.2
_LOG_PERIOD_S = 10.0


class Status:
    """Shows a line now and then.

    Args:
        stream: where the line lives if it is a terminal; the log is used if not, and where
            the log is for programs.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty() and not is_json_wanted()
        self._period_s = _TERMINAL_PERIOD_S if self._is_terminal else _LOG_PERIOD_S
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
def living_status() -> Iterator[Status]:
    """Give the status of a command; the log makes room for it and clears it at the end."""
    status = Status(sys.stderr)
    clear_first = ClearFirst(status)
    root = logging.getLogger()
    root.handlers.insert(0, clear_first)
    try:
        yield status
    finally:
        status.clear()
        root.removeHandler(clear_first)
