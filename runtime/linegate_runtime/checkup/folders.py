"""May whoever runs the line write where record and pictures are kept?"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from linegate_runtime.checkup.base import Finding, Subject, failed
from linegate_runtime.checkup.disk import Need, nearest
from linegate_runtime.checkup.users import (
    READ,
    SEARCH,
    WRITE,
    Permissions,
    User,
    group_name,
    user_name,
)

_ACCESS_LIST = "system.posix_acl_access"
"""Where Linux keeps what a folder allows beyond its bits: acl(5)."""


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing can be kept in a folder.

    Attributes:
        text: what is in the way.
        advice: what to do.
    """

    text: str
    advice: str


def check_folders(needs: Sequence[Need], user: User) -> Iterator[Finding]:
    """Say what keeps a user from writing; nothing if nothing does. What bars several is said once.

    Args:
        needs: what is kept.
        user: who runs the line.
    """
    barred: dict[Obstacle, list[str]] = {}
    for need in needs:
        obstacle = find_obstacle(need, user) or find_barred_files(need, user)
        if obstacle is not None:
            barred.setdefault(obstacle, []).append(need.name)
    for obstacle, names in barred.items():
        yield failed(Subject.DISK, f"{' and '.join(names)}: {obstacle.text}", obstacle.advice)


def find_obstacle(need: Need, user: User) -> Obstacle | None:
    """Return what keeps a user from writing where something is kept; None if nothing does."""
    folder = Path(os.path.realpath(need.folder))
    there = nearest(folder)
    for above in reversed(there.parents):
        if not _lets(above, user, SEARCH):
            return Obstacle(
                text=f"the user {user.name} may not enter {above} ({_told(above)})",
                advice=f"keep it below a folder that {user.name} may enter; "
                f"or sudo chmod o+x {above}",
            )
    make = f"sudo install -d -o {user.name} {folder}"
    if not need.is_made and _is_missing(folder):
        return Obstacle(text=f"there is no folder {folder}", advice=make)
    if _lets(there, user, WRITE | SEARCH):
        return None
    return Obstacle(
        text=f"the user {user.name} may not write to {there} ({_told(there)})",
        advice=f"sudo chown {user.name} {there}" if there == folder else make,
    )


def find_barred_files(need: Need, user: User) -> Obstacle | None:
    """Return which files in a folder a user may not use, such as those of a line run by root."""
    # What is forbidden counts as not there; this process cannot tell more of it.
    there = [one for one in need.files if os.path.exists(one)]  # noqa: PTH110 - never raises
    barred = [one for one in there if not _lets(one, user, READ | WRITE)]
    if not barred:
        return None
    names = " and ".join(f"{one} ({_told(one)})" for one in barred)
    return Obstacle(
        text=f"the user {user.name} may not read and write {names}",
        advice=f"sudo chown {user.name} {' '.join(map(str, barred))}",
    )


def _lets(folder: Path, user: User, wanted: int) -> bool:
    return _permissions(folder).allow(user, wanted) or _has_access_list(folder)


def _permissions(folder: Path) -> Permissions:
    status = folder.stat()
    return Permissions(mode=status.st_mode & 0o777, uid=status.st_uid, gid=status.st_gid)


def _told(folder: Path) -> str:
    owned = _permissions(folder)
    return f"{user_name(owned.uid)}:{group_name(owned.gid)}, mode {owned.mode:03o}"


def _has_access_list(folder: Path) -> bool:
    """Say whether there is more to it than the bits; then nothing is claimed."""
    try:
        os.getxattr(folder, _ACCESS_LIST)
    except OSError:
        return False
    return True


def _is_missing(folder: Path) -> bool:
    """Say whether it is known that a folder is not there."""
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
