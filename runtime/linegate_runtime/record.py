"""The record: one row a part in SQLite, on disk before anybody is told.

A row is committed with ``synchronous=FULL``, so it survives a power cut. Rows are chained by
hash, see :mod:`linegate_runtime.record_schema`.
"""

import contextlib
import enum
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from linegate_bundle.errors import OutputError
from linegate_runtime import record_file
from linegate_runtime.part_row import PartRow, Recorded
from linegate_runtime.record_schema import (
    APPLICATION_ID,
    COLUMNS,
    FIRST_HASH,
    SCHEMA_VERSION,
    TABLES,
    from_values,
    link,
    to_values,
)
from linegate_runtime.record_sums import add_sums

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from linegate_bundle.decide import Float64Array

    Float32Array = npt.NDArray[np.float32]

_BUSY_TIMEOUT_S = 0.5
"""Somebody else may have the file locked for a moment; no longer, for parts are waiting."""

_IN_MEMORY = ":memory:"

_CACHE_KIB = 1024
"""Half of SQLite's default, which fills up within minutes and stays."""

_INSERT = (
    f"INSERT INTO parts (number, hash, {', '.join(COLUMNS)}) "  # noqa: S608 - own names
    f"VALUES (?, ?, {', '.join('?' * len(COLUMNS))})"
)

_SELECT = f"SELECT number, hash, {', '.join(COLUMNS)} FROM parts"  # noqa: S608


class Access(enum.StrEnum):
    """What a record is opened for."""

    WRITE = "write"
    READ = "read"


class Entry(NamedTuple):
    """What goes on record of one part.

    Attributes:
        row: the row.
        class_map: shape ``(height, width, logits)``, kept with it in float32; None keeps none.
    """

    row: PartRow
    class_map: "Float64Array | None" = None


class Chain(NamedTuple):
    """Where the chain of rows begins and ends.

    Attributes:
        record: the record's own name, a UUID; another file has another.
        before_number, before_hash: of the newest row that was removed because of its age.
        last_number, last_hash: of the newest row.
    """

    record: str
    before_number: int
    before_hash: bytes
    last_number: int
    last_hash: bytes


class DamagedRecordError(OutputError):
    """The file is no database any more, or what it holds contradicts itself."""


class Record:
    """An open record file; used by one thread at a time.

    Args:
        path: the SQLite file; for writing it is made if it is not there.
        access: whether rows are to be added.

    Raises:
        OutputError: not there, not writable, no record of linegate, or one of
            another schema.
        DamagedRecordError: it was one.
    """

    def __init__(self, path: Path, access: Access = Access.WRITE) -> None:
        self.path = path
        if access is Access.READ and not path.is_file():
            raise OutputError(f"{path}: expected a record, there is no such file")
        if not path.parent.is_dir():
            raise OutputError(f"{path}: expected an existing folder {path.parent}; make it first")
        is_read = access is Access.READ
        address = (record_file.address_for_reading if is_read else record_file.address_of)(path)
        try:
            self._database = sqlite3.connect(
                address,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
                uri=True,
            )
        except sqlite3.Error as error:
            raise OutputError(f"{path}: cannot be opened: {error}") from error
        self._lock: int | None = None
        try:
            self._prepare(access)
            # Not sooner: beside what was named by mistake nothing is to be left.
            if access is Access.WRITE and str(path) != _IN_MEMORY:
                self._lock = record_file.lock(path)
            self._chain = self._read_chain()
            self._place = record_file.place_of(path)
        except sqlite3.Error as error:
            self.close()
            raise self._failure(
                "expected a record of linegate; choose another path or move it away", error
            ) from error
        except BaseException:
            self.close()
            raise

    @property
    def chain(self) -> Chain:
        """Where the chain begins and ends, as of the last row that was added here."""
        return self._chain

    def append(
        self, entries: Sequence[Entry], delivered: Mapping[str, int] | None = None
    ) -> list[Recorded]:
        """Add rows, all or none; they are on disk when this returns.

        Args:
            entries: in their order.
            delivered: by the names of sinks, up to which row they have got them.

        Raises:
            OutputError: the disk is full or failing, or a part has a row already.
            DamagedRecordError: the file is damaged.
        """
        parts = ", ".join(str(entry.row.part) for entry in entries)
        what = f"part {parts} cannot be recorded" if parts else "the outbox cannot be written"
        with self.writing(what) as database:
            chain, recorded = self._add(entries)
            for sink, number in (delivered or {}).items():
                database.execute(
                    "UPDATE outbox SET delivered = ? WHERE sink = ? AND delivered < ?",
                    (number, sink, number),
                )
        self._chain = chain
        if record_file.place_of(self.path) != self._place:
            raise OutputError(
                f"{self.path}: {what}: the file was removed or replaced while the line wrote to it"
            )
        return recorded

    def _add(self, entries: Sequence[Entry]) -> tuple[Chain, list[Recorded]]:
        number, last = self._chain.last_number, self._chain.last_hash
        recorded = []
        for row, class_map in entries:
            values = to_values(row)
            number += 1
            last = link(last, number, values)
            self._database.execute(_INSERT, (number, last, *values))
            if class_map is not None:
                self._database.execute(
                    "INSERT INTO class_maps VALUES (?, ?, ?, ?, ?)",
                    (row.uuid, *class_map.shape, class_map.astype("<f4").tobytes()),
                )
            recorded.append(Recorded(number, last.hex(), row))
        if recorded:
            add_sums(self._database, [entry.row for entry in entries])
            self._database.execute(
                "UPDATE chain SET last_number = ?, last_hash = ?", (number, last)
            )
        return self._chain._replace(last_number=number, last_hash=last), recorded

    @property
    def size_bytes(self) -> int:
        """How much of the file is in use; what was removed is used again."""
        with self.reading("its size cannot be read"):
            pages = self._pragma("page_count") - self._pragma("freelist_count")
            return pages * self._pragma("page_size")

    def find(self, uuid: str) -> Recorded | None:
        """Return a row; None if it is not there.

        Raises:
            OutputError: the file cannot be read.
        """
        return next(self.select(f"{_SELECT} WHERE uuid = ?", (uuid,)), None)

    def rows(self, after: int = 0, limit: int | None = None) -> Iterator[Recorded]:
        """Read rows in the order they were added.

        Args:
            after: number of the row before the first one.
            limit: how many at most; None for all.

        Raises:
            OutputError: the file is damaged.
        """
        query = f"{_SELECT} WHERE number > ? ORDER BY number LIMIT ?"
        yield from self.select(query, (after, -1 if limit is None else limit))

    def select(self, query: str, values: Sequence[str | float]) -> Iterator[Recorded]:
        """Read the rows that a query gives which begins as :data:`ROWS` does."""
        with self.reading("a row cannot be read") as database:
            for number, digest, *stored in database.execute(query, values):
                yield Recorded(number, bytes(digest).hex(), from_values(tuple(stored)))

    def class_map(self, uuid: str) -> "Float32Array | None":
        """Return the class map kept with a row, shape ``(height, width, logits)``.

        None if there is none.

        Raises:
            OutputError: the file is damaged.
        """
        import numpy as np  # noqa: PLC0415 - who only reads rows needs none

        with self.reading("a class map cannot be read") as database:
            found = database.execute(
                "SELECT height, width, logits, float32 FROM class_maps WHERE uuid = ?", (uuid,)
            ).fetchone()
            if found is None:
                return None
            *shape, values = found
            return np.frombuffer(values, "<f4").reshape(shape)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _prepare(self, access: Access) -> None:
        version = self._pragma("user_version")
        application = self._pragma("application_id")
        tables = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        is_new = tables == 0 and version == 0 and application == 0
        if is_new and access is Access.WRITE:
            self._create()
        elif application != APPLICATION_ID:
            raise OutputError(
                f"{self.path}: expected a record of linegate, got another SQLite file; "
                "choose another path"
            )
        elif version != SCHEMA_VERSION:
            raise OutputError(
                f"{self.path}: expected a record of schema version {SCHEMA_VERSION}, got {version}"
                "; move it away or use the release that wrote it"
            )
        if access is Access.READ:
            self._database.execute("PRAGMA query_only = ON")
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # The row must be on disk before a gate or a controller hears of it.
        self._database.execute("PRAGMA synchronous = FULL")

    def _create(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        with self.writing("cannot be made") as database:
            for table in TABLES:
                database.execute(table)
            start = (str(uuid.uuid4()), 0, FIRST_HASH, 0, FIRST_HASH)
            database.execute("INSERT INTO chain VALUES (?, ?, ?, ?, ?)", start)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _read_chain(self) -> Chain:
        rows = self._database.execute("SELECT * FROM chain").fetchall()
        if len(rows) != 1:
            raise DamagedRecordError(f"{self.path}: expected one row in chain, got {len(rows)}")
        return Chain(*rows[0])

    def refresh(self) -> Chain:
        """Return where the chain is now, if another process adds to it.

        Raises:
            OutputError: the file cannot be read.
        """
        with self.reading("the chain cannot be read"):
            self._chain = self._read_chain()
        return self._chain

    @contextlib.contextmanager
    def writing(self, what: str) -> Iterator[sqlite3.Connection]:
        """Commit what the block does, or nothing of it.

        Args:
            what: could not be done if it fails; for the error's message.

        Raises:
            OutputError: the disk is full or failing, or what is written cannot be.
            DamagedRecordError: the file is damaged.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            finally:
                # Also when the commit itself has failed.
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise self._failure(what, error) from error

    @contextlib.contextmanager
    def reading(self, what: str) -> Iterator[sqlite3.Connection]:
        """Turn what SQLite or a value complains of while the block runs into an OutputError."""
        try:
            yield self._database
        except (sqlite3.Error, msgspec.MsgspecError, TypeError, ValueError) as error:
            raise self._failure(what, error) from error

    def _pragma(self, name: str) -> int:
        return int(self._database.execute(f"PRAGMA {name}").fetchone()[0])

    def _failure(self, what: str, error: Exception) -> OutputError:
        """Return the error to raise for one of SQLite's."""
        code = getattr(error, "sqlite_errorname", "")
        is_damaged = code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        kind = DamagedRecordError if is_damaged else OutputError
        return kind(f"{self.path}: {what}: {error}")


ROWS = _SELECT
"""How a query for :meth:`Record.select` begins."""
