"""Opening a record whatever state its file is in: a damaged one is moved aside and kept."""

import logging
import sqlite3
import time
from pathlib import Path

from linegate_bundle.atomic import sync_folder
from linegate_bundle.errors import OutputError
from linegate_runtime.record import DamagedRecordError, Record
from linegate_runtime.record_schema import APPLICATION_ID

_LOG = logging.getLogger(__name__)

_CHECK_S = 2.0
"""So long a record is looked through at the start; what lies further shows when it is read."""

_STEPS = 10_000
"""SQLite's own steps between two looks at the clock."""

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_APPLICATION_AT = 68
_PAGE_BYTES = 4096

_BESIDE = ("", "-wal", "-shm")
"""A database is a file, the log of what is not yet in it, and that log's index."""


def open_record(path: Path) -> tuple[Record, str | None]:
    """Open a record for writing; if it is damaged, move it aside and make a new one.

    Returns:
        The record, and what happened as a sentence if it was damaged.

    Raises:
        OutputError: it cannot be had for another reason, see :class:`Record`.
    """
    try:
        record = Record(path)
        try:
            _look_through(record)
        except DamagedRecordError:
            record.close()
            raise
    except DamagedRecordError as error:
        if not _was_record(path):
            raise
        alarm = move_aside(path, error)
        return Record(path), alarm
    return record, None


def move_aside(path: Path, error: OutputError) -> str:
    """Give a damaged record another name, with all that belongs to it.

    Returns:
        What was done, as a sentence.

    Raises:
        OutputError: the folder cannot be written to.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    try:
        for ending in _BESIDE:
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(kept.with_name(kept.name + ending))
        sync_folder(path.parent)
    except OSError as failure:
        raise OutputError(f"{error}; and it cannot be moved aside: {failure}") from failure
    alarm = (
        f"the record was damaged and is kept as {kept}; a new one was begun, and what outputs had "
        f"not got from it they will not get ({error})"
    )
    _LOG.error("%s", alarm)
    return alarm


def _look_through(record: Record) -> None:
    """Let SQLite check as much of the file as there is time for.

    Raises:
        DamagedRecordError: it found something.
    """
    end = time.monotonic() + _CHECK_S
    with record.reading("cannot be checked") as database:
        database.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
        try:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_INTERRUPT":
                raise
            return
        finally:
            database.set_progress_handler(None, _STEPS)
    if found != "ok":
        raise DamagedRecordError(f"{record.path}: {found}")


def _was_record(path: Path) -> bool:
    """Say whether the file may be a record that was damaged."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError:
        return False
    if header.startswith(_MAGIC):
        number = int.from_bytes(header[_APPLICATION_AT : _APPLICATION_AT + 4], "big")
        return number == APPLICATION_ID
    # A header of zeros or noise says nothing; what has neither the size of a database nor the log
    # of one beside it, such as a text that was named by mistake, is left alone.
    has_log = path.with_name(f"{path.name}-wal").exists()
    return size > 0 and (size % _PAGE_BYTES == 0 or has_log)
