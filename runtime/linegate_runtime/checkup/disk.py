"""What disk do record and pictures lie on, and is there room for them?"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from linegate_runtime.checkup.base import Finding, Subject, failed, passed, warned
from linegate_runtime.checkup.mounts import Kind, Mount, kind_of, mount_of, read_mounts

_MB = 1_000_000

_RESERVE_BYTES = 64 * _MB
"""Below this a line is about to fail; the system needs as much beside the record's budget."""

_FLEETING = {
    Kind.MEMORY: "what is written there is lost with the power",
    Kind.OVERLAY: "what is written there may be lost with the power, or with the container",
    Kind.NETWORK: "a record there is only as safe and as quick as the network and its server",
}

_ROOM = "make room, or let [record] max_mb and pictures_mb be less"

_OTHER = "let [record] path be on a disk of the board"


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept in a folder.

    Attributes:
        name: of what is kept.
        folder: where; it need not be there yet.
        most_bytes: its budget; None without limit.
        kept_bytes: so much of it is there already.
        is_made: whether a line makes the folder if it is not there.
        files: of these a line reads and writes those that are there.
    """

    name: str
    folder: Path
    most_bytes: int | None
    kept_bytes: int = 0
    is_made: bool = True
    files: tuple[Path, ...] = ()


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What a disk has.

    Attributes:
        folder: the nearest one that is there.
        mount: what it lies on.
        kind: of disk.
        free_bytes: for users.
        is_read_only: whether nothing can be written.
    """

    folder: Path
    mount: Mount
    kind: Kind
    free_bytes: int
    is_read_only: bool


def nearest(folder: Path) -> Path:
    """Return a folder, or the nearest folder above that is there."""
    path = folder.absolute()
    # What is forbidden counts as not there; it lies on the disk of what is above, mostly.
    return next(one for one in (path, *path.parents) if os.path.isdir(one))  # noqa: PTH112


def look_at(folder: Path, mounts: Sequence[Mount] | None = None) -> Room:
    """Look at the disk below a folder, or below the nearest folder above that is there."""
    there = nearest(folder)
    status = os.statvfs(there)
    mount = mount_of(there.resolve(), read_mounts() if mounts is None else mounts)
    return Room(
        folder=there,
        mount=mount,
        kind=kind_of(mount),
        free_bytes=status.f_bavail * status.f_frsize,
        is_read_only=bool(status.f_flag & os.ST_RDONLY),
    )


def check_disks(needs: Sequence[Need], mounts: Sequence[Mount] | None = None) -> Iterator[Finding]:
    """Judge each disk that something is kept on, once."""
    known = read_mounts() if mounts is None else mounts
    rooms = [(need, look_at(need.folder, known)) for need in needs]
    for place in dict.fromkeys(room.mount.place for _, room in rooms):
        together = [(need, room) for need, room in rooms if room.mount.place == place]
        yield check_disk([need for need, _ in together], together[0][1])


def check_disk(needs: Sequence[Need], room: Room) -> Finding:
    """Judge a disk by what is to be kept on it."""
    names = " and ".join(need.name for need in needs)
    free_mb = room.free_bytes // _MB
    text = f"{names}: {needs[0].folder.absolute()} on {room.kind.value}, {free_mb} MB free"
    if room.is_read_only:
        return failed(Subject.DISK, f"{text}, read-only", "mount it writable, or use another")
    if room.free_bytes < _RESERVE_BYTES:
        least = _RESERVE_BYTES // _MB
        return failed(Subject.DISK, f"{text}, expected at least {least} MB", _ROOM)
    if room.kind in _FLEETING:
        return warned(Subject.DISK, f"{text}; {_FLEETING[room.kind]}", _OTHER)
    to_come = sum(max(0, need.most_bytes - need.kept_bytes) for need in needs if need.most_bytes)
    if room.free_bytes < to_come + _RESERVE_BYTES:
        wanted = (to_come + _RESERVE_BYTES) // _MB
        text += f"; they may grow by {to_come // _MB} MB, so expected {wanted} MB free"
        return warned(Subject.DISK, text, _ROOM)
    return passed(Subject.DISK, text)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; 0 where nothing can be seen."""
    total = 0
    try:
        if not path.is_dir():
            return path.stat().st_size
        for entry in os.scandir(path):
            is_folder = entry.is_dir(follow_symlinks=False)
            total += (
                size_of(Path(entry)) if is_folder else entry.stat(follow_symlinks=False).st_size
            )
    except OSError:
        return total
    return total
