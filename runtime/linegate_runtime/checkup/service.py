"""Is linegate installed as a service, and how does it do?"""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from linegate_runtime.checkup.base import Finding, Subject, failed, passed, warned
from linegate_runtime.readiness import NOTHING_ACCEPTED

SERVICE_CONFIG = Path("/etc/linegate/linegate.toml")
"""The settings of the installed service."""

SERVICE_USER = "linegate"

_UNIT = "linegate.service"

_SYSTEMD = Path("/run/systemd/system")
"""There where systemd runs the machine: sd_booted(3)."""

_PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "NRestarts", "Result"),
    *("StatusText", "MainPID", "SupplementaryGroups"),
    *("ExecMainStartTimestampMonotonic", "ProtectSystem"),
    *("ReadWritePaths", "StateDirectory", "RuntimeDirectory"),
)

_STATES = Path("/var/lib")
"""Where systemd makes a service's StateDirectory."""

_RUN = Path("/run")
"""Where systemd makes a service's RuntimeDirectory."""

_LIMIT_S = 10.0

_MANY_RESTARTS = 3

_WAITING = "auto-restart"
"""What systemd calls a service that has ended and is to be started again; newer ones have also
``auto-restart-queued``."""

LOG_ADVICE = "sudo journalctl -u linegate -n 50"

_BY_HAND = "a line runs only while it is started by hand"


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """What systemd tells of a unit; texts are systemd's own words, empty if it does not tell.

    Attributes:
        load: whether the unit was found and understood.
        active: such as ``active``, ``inactive``, ``failed``.
        sub: the same in more detail.
        unit_file: whether it is started with the machine, such as ``enabled``.
        restarts: how often it was started again by itself.
        result: why it ended; ``success`` too from its next start on.
        status: what the service says of itself.
        pid: of its main process; 0 without one.
        groups: names of groups that it has besides those of its user.
        started_s: when its process was started, by the monotonic clock; 0 if it never was.
        folders: where it may write; None if it may wherever its user may.
    """

    load: str = ""
    active: str = ""
    sub: str = ""
    unit_file: str = ""
    restarts: int = 0
    result: str = ""
    status: str = ""
    pid: int = 0
    groups: tuple[str, ...] = ()
    started_s: float = 0.0
    folders: tuple[Path, ...] | None = None

    @property
    def is_installed(self) -> bool:
        """Whether there is such a unit."""
        return self.load not in ("", "not-found")

    @property
    def is_active(self) -> bool:
        """Whether it has a process, which may hold cameras and pins."""
        return self.pid > 0 and self.active in ("active", "activating", "deactivating", "reloading")

    def has_read(self, settings: Path) -> bool:
        """Say whether its process was started after a file was changed the last time."""
        age_s = time.time() - settings.stat().st_mtime
        return self.is_active and time.monotonic() - self.started_s < age_s

    def may_write(self, folder: Path) -> bool:
        """Say whether its sandbox lets it write below a folder."""
        if self.folders is None:
            return True
        # Either may be reached by a link, and systemd follows those that it is given.
        there = Path(os.path.realpath(folder))
        return any(there.is_relative_to(os.path.realpath(one)) for one in self.folders)


def parse_show(text: str) -> ServiceState:
    """Read what ``systemctl show --property=...`` prints: a line ``Name=value`` a property."""
    known = {name: value for name, _, value in (line.partition("=") for line in text.split("\n"))}
    return ServiceState(
        load=known.get("LoadState", ""),
        active=known.get("ActiveState", ""),
        sub=known.get("SubState", ""),
        unit_file=known.get("UnitFileState", ""),
        restarts=_number(known.get("NRestarts", "")),
        result=known.get("Result", ""),
        status=known.get("StatusText", ""),
        pid=_number(known.get("MainPID", "")),
        groups=tuple(known.get("SupplementaryGroups", "").split()),
        started_s=_number(known.get("ExecMainStartTimestampMonotonic", "")) / 1e6,
        folders=_folders(known),
    )


def read_service(folder: Path = _SYSTEMD, systemctl: str = "systemctl") -> ServiceState | None:
    """Ask systemd for the service; None where it does not run the machine.

    Raises:
        OSError, subprocess.SubprocessError: it does not answer, or not this user.
    """
    if not folder.is_dir():
        return None
    done = subprocess.run(
        [systemctl, "show", _UNIT, f"--property={','.join(_PROPERTIES)}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_LIMIT_S,
    )
    if done.returncode:
        raise PermissionError(" ".join(done.stderr.split()) or "systemctl does not answer")
    return parse_show(done.stdout)


def check_service(state: ServiceState | None) -> Finding:
    """Judge the service; None without systemd."""
    if state is None:
        return passed(Subject.SERVICE, f"no systemd runs this machine; {_BY_HAND}")
    if not state.is_installed:
        return passed(Subject.SERVICE, f"no service is installed; {_BY_HAND}")
    if state.load != "loaded":
        text = f"systemd cannot use {_UNIT}: {state.load}"
        return failed(Subject.SERVICE, text, "systemctl status linegate says why")
    if state.active == "failed":
        return failed(Subject.SERVICE, f"it has failed{_reason(state)}", LOG_ADVICE)
    if _comes_not_up(state):
        text = f"it does not stay up: {state.active} ({state.sub}){_reason(state)}"
        text += f"; started again {state.restarts} times"
        return failed(Subject.SERVICE, text, LOG_ADVICE)
    return _judge_loaded(state)


def _judge_loaded(state: ServiceState) -> Finding:
    text = f"{state.active} ({state.sub})"
    text += f", process {state.pid}" if state.pid else ""
    text += f", {state.unit_file} at start of the machine" if state.unit_file else ""
    if state.active == "inactive":
        return warned(Subject.SERVICE, text, "sudo systemctl start linegate")
    text += f"; it says: {state.status}" if state.status else ""
    if NOTHING_ACCEPTED in state.status:
        return warned(Subject.SERVICE, text, f"mend what it names; {LOG_ADVICE}")
    if state.restarts >= _MANY_RESTARTS:
        text = f"{text}; started again {state.restarts} times"
        return warned(Subject.SERVICE, text, LOG_ADVICE)
    if state.active != "active":
        return warned(Subject.SERVICE, text, f"wait, and look again; {LOG_ADVICE}")
    if state.unit_file == "disabled":
        return warned(Subject.SERVICE, text, "sudo systemctl enable linegate")
    return passed(Subject.SERVICE, text)


def _comes_not_up(state: ServiceState) -> bool:
    """Say whether it ends again and again; between two starts it looks as if it was starting."""
    # One that was stopped by hand is inactive, however often it was started again before.
    is_between = state.active not in ("active", "inactive")
    return state.sub.startswith(_WAITING) or (is_between and state.restarts >= _MANY_RESTARTS)


def _reason(state: ServiceState) -> str:
    """Return why it ended, if that is known: each start sets it back to success."""
    return "" if state.result in ("", "success") else f", it ended by {state.result}"


def _folders(known: Mapping[str, str]) -> tuple[Path, ...] | None:
    if known.get("ProtectSystem") != "strict":
        return None
    named = [Path(text.lstrip("-+")) for text in known.get("ReadWritePaths", "").split()]
    own = [_STATES / name for name in known.get("StateDirectory", "").split()]
    run = [_RUN / name for name in known.get("RuntimeDirectory", "").split()]
    return (*named, *own, *run)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0
