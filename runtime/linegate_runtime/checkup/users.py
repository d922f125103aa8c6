"""Users of this system, and what ordinary permissions let them do."""

import grp
import os
import pwd
from collections.abc import Sequence

import msgspec

READ, WRITE, SEARCH = 0o4, 0o2, 0o1
"""Bits of permission; of a folder the last one lets a user reach what is in it."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs the line.

    Attributes:
        name: of the user.
        uid: number of the user.
        gid: number of the first group.
        groups: numbers of all groups.
        home: folder.
        is_here: whether this process may do all that the user may.
    """

    name: str
    uid: int
    gid: int
    groups: frozenset[int]
    home: str
    is_here: bool


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do what with a file, a folder or a device.

    Attributes:
        mode: bits of permission.
        uid, gid: numbers of its owner and group.
    """

    mode: int
    uid: int
    gid: int

    def allow(self, user: User, wanted: int) -> bool:
        """Say whether the bits let a user do all that is wanted; no access list is asked."""
        if user.uid == 0:
            return True
        if user.uid == self.uid:
            bits = self.mode >> 6
        elif self.gid in user.groups:
            bits = self.mode >> 3
        else:
            bits = self.mode
        return bits & wanted == wanted


def this_user() -> User:
    """Return who runs this process."""
    uid, gid = os.geteuid(), os.getegid()
    return User(
        name=user_name(uid),
        uid=uid,
        gid=gid,
        groups=frozenset({gid, *os.getgroups()}),
        home=os.path.expanduser("~"),  # noqa: PTH111 - Path.home() raises where there is none
        is_here=True,
    )


def named_user(name: str, more_groups: Sequence[str] = ()) -> User | None:
    """Return a user of this system; None if there is none of this name.

    Args:
        name: of the user.
        more_groups: names of groups that a service has besides its user's.
    """
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    by_name = {group.gr_name: group.gr_gid for group in grp.getgrall()}
    added = {by_name[group] for group in more_groups if group in by_name}
    return User(
        name=name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=frozenset({*os.getgrouplist(name, entry.pw_gid), *added}),
        home=entry.pw_dir,
        is_here=os.geteuid() in (0, entry.pw_uid),
    )


def user_name(uid: int) -> str:
    """Return a user's name, or the number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """Return a group's name, or the number if it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
