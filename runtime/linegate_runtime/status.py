"""How a run tells people what it does: one living line in a terminal, log lines elsewhere."""

import logging
import shutil
import time
from typing import TextIO

_LOG = logging.getLogger(__name__)

_TERMINAL_PERIOD_S = 0.2
_LOG_PERIOD_S = 10.0


class Status:
    """Shows a line now and then.

    Args:
        stream: where the line lives if it is a terminal; the log is used if not.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._period_s = _TERMINAL_PERIOD_S if self._is_terminal else _LOG_PERIOD_S
        self._due = time.monotonic() + self._period_s
        self._shown = ""

    @property
    def is_due(self) -> bool:
        """Whether it is time for a new line."""
        return time.monotonic() >= self._due

    def show(self, text: str) -> None:
        """Show a line in place of the last one."""
        self._due = time.monotonic() + self._period_s
        if not self._is_terminal:
            _LOG.info("%s", text)
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
