"""A record as a file: who may write to it, whether it is still there, and how SQLite names it."""

import fcntl
import os
import urllib.parse
from pathlib import Path

from linegate_bundle.errors import OutputError


def lock(path: Path) -> int:
    """Keep others from writing to the same record; return what holds the lock until closed.

    A file of its own, for SQLite lets its own locks go when any descriptor of a file is closed.

    Raises:
        OutputError: another line writes to it, or nothing can be written there.
    """
    try:
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written to: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise OutputError(
            f"{path}: expected a record that no other line writes to; give each a file of its own"
        ) from error
    return descriptor


def place_of(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name."""
    try:
        found = os.stat(path)  # noqa: PTH116 - asked for each part
    except OSError:
        return None
    return found.st_dev, found.st_ino


def address_of(path: Path) -> str:
    """Return a path as an address that SQLite takes, whatever marks it holds."""
    return f"file:{urllib.parse.quote(str(path))}"


def address_for_reading(path: Path) -> str:
    """Return what SQLite is to open of a record that is only read.

    A record that nobody writes to can be read where nothing can be written, such as on a medium
    that was handed over; SQLite must be told that it does not change, or it would begin a log.
    """
    address = address_of(path)
    is_still = not path.with_name(f"{path.name}-wal").exists()
    if is_still and not os.access(path.parent, os.W_OK):
        return f"{address}?immutable=1"
    return address
