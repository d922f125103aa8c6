"""Are there pins, and may whoever runs the line open them?"""

from collections.abc import Callable, Sequence
from pathlib import Path

from linegate_bundle.errors import ConfigError
from linegate_runtime.checkup.base import Finding, Subject, failed, passed
from linegate_runtime.checkup.users import READ, WRITE, Permissions, User, group_name
from linegate_runtime.gpio_access import find_pins, import_gpiozero

_DEVICES = Path("/dev")


class Chip(Permissions, frozen=True, kw_only=True):
    """A device with pins.

    Attributes:
        path: of the device.
    """

    path: str


def find_chips(devices: Path = _DEVICES) -> list[Chip]:
    """Return the devices ``gpiochip*``; two names of one device count once."""
    paths = {path.resolve() for path in devices.glob("gpiochip*")}
    return [_chip(path) for path in sorted(paths)]


def may_open(user: User, chip: Chip) -> bool:
    """Say whether a user may read and write a device."""
    return chip.allow(user, READ | WRITE)


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
        names = ", ".join(f"{chip.path} (group {group_name(chip.gid)})" for chip in denied)
        parts.append(f"may not open {names}")
    return f"the user {user.name} {' and '.join(parts)}"


def _join(user: User, chip: Chip) -> str:
    if chip.gid == 0:
        return f"let a group open {chip.path} by a rule of udev, and put {user.name} into it"
    group = group_name(chip.gid)
    return f"sudo usermod -aG {group} {user.name}, then log in again or restart the service"


def _chip(path: Path) -> Chip:
    status = path.stat()
    return Chip(path=str(path), mode=status.st_mode & 0o777, uid=status.st_uid, gid=status.st_gid)
