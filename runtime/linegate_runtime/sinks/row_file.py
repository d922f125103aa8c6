r"""A file of lines that grows at its end, survives power cuts, and is renamed when it is large.

Lines end with ``\r\n``. What was appended is on the disk when :meth:`RowFile.append` returns; what
was begun and not ended, because the power was cut, the process killed or the disk full, is cut
off: at once where that is possible, else when the file is opened again.
"""

import contextlib
import datetime as dt
import fcntl
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from linegate_bundle.atomic import sync_folder
from linegate_bundle.errors import OutputError

_LOG = logging.getLogger(__name__)

_BLOCK = 64 * 1024
_TIME = "%Y%m%dT%H%M%S.%fZ"


class RowFile:
    """The file; nothing is opened before :meth:`open`.

    Only one process may have it open. All methods raise ``OSError`` where the disk says no.

    Args:
        path: of the file.
        header: its first line.
        largest_bytes: before it grows beyond that, it is renamed and another is begun.
        keep: so many renamed files are kept at most, the newest.
        tail: so many of its last lines are looked at when it is opened.
    """

    def __init__(
        self, path: Path, *, header: bytes, largest_bytes: int, keep: int, tail: int
    ) -> None:
        self._path = path
        self._header = header
        self._largest_bytes = largest_bytes
        self._keep = keep
        self._tail = tail
        self._file: int | None = None
        self._size = 0

    def open(self) -> list[bytes]:
        """Open the file if it is not, or if somebody has moved or changed it meanwhile.

        Returns:
            The last lines, without headers, also of the files that were renamed last if there
            are few in this one; empty if it still was open.

        Raises:
            OutputError: another process has it open.
        """
        if self._file is not None:
            if self._is_unchanged(self._file):
                return []
            self.close()
        file = self._begin()
        if os.pread(file, len(self._header), 0) != self._header:
            self._rename("its header is another")
            file = self._begin()
        lines = self._repair(file)
        # A process that was killed may have written lines that are not on the disk yet.
        os.fsync(file)
        renamed = self._renamed()
        for time in sorted(renamed, reverse=True):
            if len(lines) >= self._tail:
                break
            lines = [*self._lines_of(renamed[time]), *lines][-self._tail :]
        return lines

    def append(self, lines: Sequence[bytes]) -> int:
        """Append as many of the lines as the file has room for, at least one.

        If that fails, none of them is in the file, and it is to be opened again.

        Returns:
            How many.
        """
        file = self._file
        if file is None:
            raise ValueError("expected an open file, got one that is closed; call open() first")
        if self._size + len(lines[0]) > self._largest_bytes and self._size > len(self._header):
            self._rename("it is full")
            file = self._begin()
        count, size = 1, self._size + len(lines[0])
        while count < len(lines) and size + len(lines[count]) <= self._largest_bytes:
            size += len(lines[count])
            count += 1
        self._write(file, b"".join(lines[:count]))
        return count

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _begin(self) -> int:
        """Open the file; a new one, or one that has not even a whole header, gets its header."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._file, self._size = file, 0
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise OutputError(
                f"{self._path}: expected it for this sink alone, another process writes it; end "
                "that, or choose another path"
            ) from None
        self._size = os.fstat(file).st_size
        if self._is_torn_header(os.pread(file, len(self._header), 0)):
            os.ftruncate(file, 0)
            self._size = 0
            self._write(file, self._header)
            sync_folder(self._path.parent)
        return file

    def _is_torn_header(self, start: bytes) -> bool:
        # Rows are written when the header is on the disk, so that nothing can follow this one.
        return start != self._header and self._header.startswith(start.rstrip(b"\0"))

    def _is_unchanged(self, file: int) -> bool:
        ours = os.fstat(file)
        with contextlib.suppress(FileNotFoundError):
            there = self._path.stat()
            return os.path.samestat(ours, there) and there.st_size == self._size
        return False

    def _repair(self, file: int) -> list[bytes]:
        """Cut off what was not written whole; returns the last lines that were."""
        content = self._end_of(file, self._size)
        # After a power cut, parts of the file may be zeros, in whole pages.
        whole = content.partition(b"\0")[0]
        whole = whole[: whole.rfind(b"\n") + 1]
        lost = len(content) - len(whole)
        if lost:
            _LOG.warning("%s: cut off its last %d bytes, not written whole", self._path, lost)
            os.ftruncate(file, self._size - lost)
            self._size -= lost
        return whole.splitlines(keepends=True)[-self._tail :]

    def _lines_of(self, renamed: Path) -> list[bytes]:
        with renamed.open("rb") as file:
            if file.read(len(self._header)) != self._header:
                return []
            descriptor = file.fileno()
            content = self._end_of(descriptor, os.fstat(descriptor).st_size)
        return content.splitlines(keepends=True)[-self._tail :]

    def _end_of(self, file: int, size: int) -> bytes:
        """Return a file's end with so many lines as are looked at, or all after its header."""
        content, begin = b"", size
        first = len(self._header)
        while begin > first and content.count(b"\n") <= self._tail:
            end, begin = begin, max(first, begin - _BLOCK)
            content = os.pread(file, end - begin, begin) + content
        return content

    def _write(self, file: int, content: bytes) -> None:
        """Append bytes and wait until they are on the disk; on failure there are none of them."""
        written = 0
        try:
            while written < len(content):
                written += os.pwrite(file, content[written:], self._size + written)
            os.fsync(file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file, self._size)
            self.close()
            raise
        self._size += written

    def _rename(self, reason: str) -> None:
        """Put the file aside, and remove the oldest that were put aside."""
        self.close()
        others = self._renamed()
        now = dt.datetime.now(dt.UTC)
        if others:
            # A clock that was set back must not let the newest look like the oldest.
            now = max(now, max(others) + dt.timedelta(microseconds=1))
        name = f"{self._path.stem}-{now.strftime(_TIME)}{self._path.suffix}"
        self._path.rename(self._path.with_name(name))
        sync_folder(self._path.parent)
        _LOG.info("%s: renamed to %s, since %s", self._path, name, reason)
        for _, path in sorted(self._renamed().items())[: -self._keep]:
            try:
                path.unlink()
            except OSError as error:
                _LOG.warning("%s: cannot be removed: %s", path, error.strerror)

    def _renamed(self) -> dict[dt.datetime, Path]:
        """Return the files that were put aside, by their times."""
        stem, suffix = re.escape(self._path.stem), re.escape(self._path.suffix)
        pattern = re.compile(rf"{stem}-(\d{{8}}T\d{{6}}\.\d{{6}}Z){suffix}")
        found = {}
        for path in self._path.parent.iterdir():
            match = pattern.fullmatch(path.name)
            if match is not None:
                with contextlib.suppress(ValueError):  # no time, so none of ours
                    time = dt.datetime.strptime(match[1], _TIME).replace(tzinfo=dt.UTC)
                    found[time] = path
        return found
