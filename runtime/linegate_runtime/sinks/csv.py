r"""Verdicts as rows of a CSV file, RFC 4180, for spreadsheets and for who has nothing else.

A file begins with a header line; each row has a column for each field of
:data:`linegate_runtime.sinks.payload.FIELDS`, with ``probabilities`` as JSON. It is UTF-8, and
lines end with ``\r\n`` and nowhere else: line breaks and zero bytes in texts become blanks, so that
a line is a row. Spreadsheets take cells that begin with ``=``, ``+``, ``-``, ``@``, a tab or a
line break for formulas, and a label or a camera's name could bring one in: such texts get a ``'``
before them, which who reads the file by program takes off again. Numbers are written as they are.

A file whose header is another, as of another release, is renamed and another is begun.
"""

import collections
import csv
import io
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from linegate_bundle.errors import OutputError
from linegate_runtime.sinks.base import Sink, SinkOptions
from linegate_runtime.sinks.payload import FIELDS, text_of, values_of
from linegate_runtime.sinks.row_file import RowFile
from linegate_runtime.spreadsheet import disarmed

if TYPE_CHECKING:
    from linegate_runtime.part_row import Recorded

_BREAKS = str.maketrans("\r\n\0", "   ")
"""What ends a line, and what a power cut leaves behind, must not be in a text."""

_UUID = FIELDS.index("uuid")
_BYTES_A_MB = 1_000_000

_CLOSE_S = 0.5
"""How long closing waits for a row that is just being written."""


class CsvOptions(SinkOptions, frozen=True, kw_only=True):
    """Options of the sink csv.

    Attributes:
        path: the file that rows are appended to; its folder must be there.
        max_mb: before it grows beyond that it is renamed to ``NAME-TIME.csv``, with the time in
            UTC, and another is begun.
        keep: so many renamed files are kept at most, the newest.
    """

    path: Path
    max_mb: Annotated[float, msgspec.Meta(ge=1.0, le=100_000.0)] = 100.0
    keep: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10

    def problems(self) -> Mapping[str, str]:
        """See :meth:`SinkOptions.problems`."""
        if self.path.is_dir():
            return {"path": f"expected a file, got the folder {self.path}"}
        return {}


class CsvSink(Sink[CsvOptions]):
    """Appends rows to a file; see the module and :class:`CsvOptions`.

    When :meth:`deliver` returns, the rows are on the disk. Parts whose rows are among the last
    500 are not written again. A disk that hangs cannot be interrupted, not by closing either.
    """

    Options: ClassVar[type[SinkOptions]] = CsvOptions
    batch: ClassVar[int] = 500

    def __init__(self, options: CsvOptions) -> None:
        self._path = options.path
        self._file = RowFile(
            options.path,
            header=_line(FIELDS),
            largest_bytes=round(options.max_mb * _BYTES_A_MB),
            keep=options.keep,
            tail=self.batch,
        )
        self._written: collections.deque[str] = collections.deque(maxlen=self.batch)
        self._lock = threading.Lock()
        self._is_closed = False

    def deliver(self, parts: Sequence["Recorded"]) -> None:
        """See :meth:`Sink.deliver`."""
        with self._lock:
            try:
                self._append(parts)
            except OutputError:
                raise
            except OSError as error:
                raise OutputError(
                    f"{self._path}: cannot be written: {error.strerror}; check that its folder is "
                    "there, that it may be written, and that the disk has room"
                ) from error
            finally:
                if self._is_closed:
                    self._file.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._is_closed = True
        if self._lock.acquire(timeout=_CLOSE_S):
            self._file.close()
            self._lock.release()

    def _append(self, parts: Sequence["Recorded"]) -> None:
        if self._is_closed:
            raise OutputError(f"{self._path}: the sink was closed")
        self._written.extend(_uuids_in(self._file.open()))
        written = frozenset(self._written)
        left = [part for part in parts if part.row.uuid not in written]
        while left:
            count = self._file.append([_row(part) for part in left])
            self._written.extend(part.row.uuid for part in left[:count])
            left = left[count:]


def _row(part: "Recorded") -> bytes:
    return _line([_cell(value) for value in values_of(part).values()])


def _cell(value: object) -> str:
    text = text_of(value)
    if not isinstance(value, str):
        return text
    return disarmed(text).translate(_BREAKS)


def _line(cells: Sequence[str]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue().encode()


def _uuids_in(lines: Sequence[bytes]) -> list[str]:
    """Return the UUIDs of rows; lines that somebody else has written have none."""
    rows = csv.reader(line.decode("utf-8", "replace") for line in lines)
    return [row[_UUID] for row in rows if len(row) == len(FIELDS)]
