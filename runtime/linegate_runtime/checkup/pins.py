"""Are there pins, and may whoever runs the line open them?"""

import grp
import os
import pwd
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_runtime.checkup.base import Finding, Subject, failed, passed
from linegate_runtime.gpio_access import find_pins, import_gpiozero

_DEVICES = Path("/dev")

_READ_AND_WRITE = 0o6


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs the line.

    Attributes:
        name: of the user.
        uid: number of the user.
        groups: numbers of all groups.
        is_here: whether this process may do all that the user may.
    """

    name: str
    uid: int
    groups: frozenset[int]
    is_here: bool


class Chip(msgspec.Struct, frozen=True, kw_only=True):
    """A device with pins.

    Attributes:
        path: of the device.
        mode: bits of permission.
        uid, gid: numbers of its owner and group.
    """

    path: str
    mode: int
    uid: int
    gid: int


def this_user() -> User:
    """Return who runs this process."""
    uid = os.geteuid()
    return User(
        name=_user_name(uid),
        uid=uid,
        groups=frozenset({os.getegid(), *os.getgroups()}),
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
        groups=frozenset({*os.getgrouplist(name, entry.pw_gid), *added}),
        is_here=os.geteuid() in (0, entry.pw_uid),
    )


def find_chips(devices: Path = _DEVICES) -> list[Chip]:
    """Return the devices ``gpiochip*``; two names of one device count once."""
    paths = {path.resolve() for path in devices.glob("gpiochip*")}
    return [_chip(path) for path in sorted(paths)]


def may_open(user: User, chip: Chip) -> bool:
    """Say whether the bits of permission let a user read and write; no access list is asked."""
    if user.uid == 0:
        return True
    if user.uid == chip.uid:
        bits = chip.mode >> 6
    elif chip.gid in user.groups:
        bits = chip.mode >> 3
    else:
        bits = chip.mode
    return bits & _READ_AND_WRITE == _READ_AND_WRITE


def reach_pins(asker: str) -> None:
    """Let gpiozero find pins here; raise :class:`ConfigError` if it does not."""
    find_pins(import_gpiozero(asker), asker)


def check_pins(
    askers: Sequence[str] | None,
    user: User | None,
    chips: Sequence[Chip],
    reach: Callable[[str], None] = reach_pins,
) -> Finding:
    """Say whether pins can be had by whoever runs the line.

    Args:
        askers: what uses pins, such as ``the trigger gpio``; empty if nothing does, None if
            that is not known.
        user: who runs the line; None if the service's user is not there.
        chips: the devices.
        reach: raises ConfigError if nothing reaches pins for a named asker.
    """
    if user is None:
        return failed(
            Subject.PINS,
            "the service's user is not on this system",
            "run the installer again",
        )
    denied = [chip for chip in chips if not may_open(user, chip)]
    text = _access(user, chips, denied)
    if not askers:
        use = "it is not known whether pins are used" if askers is None else "no pins are used"
        return passed(Subject.PINS, f"{use}; {text}")
    if denied and len(denied) == len(chips):
        return failed(Subject.PINS, f"{askers[0]} needs pins; {text}", _join(user, denied[0]))
    if user.is_here:
        try:
            reach(askers[0])
        except ConfigError as error:
            advice = "install what reaches pins, and let the user open them, as it says"
            return failed(Subject.PINS, f"{text}; {error}", advice)
    elif not chips:
        advice = "take a board with pins, and install 'linegate-runtime[gpio]'"
        return failed(Subject.PINS, f"{askers[0]} needs pins; {text}", advice)
    return passed(Subject.PINS, f"{askers[0]} can have pins; {text}")


def _access(user: User, chips: Sequence[Chip], denied: Sequence[Chip]) -> str:
    """Say which devices there are and which of them the user may open."""
    if not chips:
        return "there is no /dev/gpiochip* here"
    open_to = [chip.path for chip in chips if chip not in denied]
    parts = [f"may open {', '.join(open_to)}"] if open_to else []
    if denied:
        names = ", ".join(f"{chip.path} (group {_group_name(chip.gid)})" for chip in denied)
        parts.append(f"may not open {names}")
    return f"the user {user.name} {' and '.join(parts)}"


def _join(user: User, chip: Chip) -> str:
    if chip.gid == 0:
        return f"let a group open {chip.path} by a rule of udev, and put {user.name} into it"
    group = _group_name(chip.gid)
    return f"sudo usermod -aG {group} {user.name}, then log in again or restart the service"


def _chip(path: Path) -> Chip:
    status = path.stat()
    return Chip(path=str(path), mode=status.st_mode & 0o777, uid=status.st_uid, gid=status.st_gid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
