"""Reads what is put on record while the line runs, for those who are told of it."""

import os
from pathlib import Path

from linegate_runtime.part_row import Recorded
from linegate_runtime.record import Access, Record


class Feed:
    """Rows of a record after a place; another thread or process adds to it.

    Args:
        path: the record.
        name: the record's own name that the place is in; another one that has taken its place
            after damage is read from its begin.
        place: number of the row before the first one.

    Attributes:
        name: of the record that was read last.
        place: number of the last row that :meth:`advance` was told of.
    """

    def __init__(self, path: Path, name: str, place: int) -> None:
        self._path = path
        self._record: Record | None = None
        self._inode = 0
        self.name = name
        self.place = place

    def read(self, most: int) -> list[Recorded]:
        """Return the next rows; none if there are no others yet.

        Raises:
            OutputError: the record cannot be read.
        """
        return list(self._opened().rows(self.place, most))

    @property
    def waiting(self) -> int:
        """How many rows there are after the place.

        Raises:
            OutputError: the record cannot be read.
        """
        return max(0, self._opened().refresh().last_number - self.place)

    def advance(self, number: int) -> None:
        """Go on after a row."""
        self.place = number

    def close(self) -> None:
        """Close the record; a second call does nothing."""
        if self._record is not None:
            self._record.close()
            self._record = None

    def _opened(self) -> Record:
        """Open the record, and again if another one has taken its place after damage."""
        if self._record is not None and self._inode_now() == self._inode:
            return self._record
        self.close()
        self._record = Record(self._path, Access.READ)
        self._inode = self._inode_now()
        name = self._record.chain.record
        if name != self.name:
            self.name, self.place = name, 0
        return self._record

    def _inode_now(self) -> int:
        try:
            return os.stat(self._path).st_ino  # noqa: PTH116 - asked for each part
        except OSError:
            return 0
