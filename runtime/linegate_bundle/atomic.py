"""Writing files so that a crash or a full disk never leaves half of one."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` that takes its name when the block ends well.

    The file and its folder are synced to disk before the block returns. If the
    block raises, ``path`` is as it was and the temporary file is gone.

    Raises:
        OSError: the disk is full, or the folder is missing or read-only.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x+b") as file:
            yield file
            sync_file(file)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` as a whole or not at all, see :func:`atomic_file`."""
    with atomic_file(path) as file:
        file.write(content)


def write_replaced(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` as a whole or not at all, without waiting for the disk.

    After a power cut the file may be empty; for what is not worth a sync.

    Raises:
        OSError: see :func:`atomic_file`.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_file(file: BinaryIO) -> None:
    """Make what was written survive a power cut."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
