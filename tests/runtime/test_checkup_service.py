"""``linegate doctor``: what systemd tells, and who may open the pins."""

import grp
import stat
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError
from linegate_runtime.checkup.base import Outcome
from linegate_runtime.checkup.pins import (
    Chip,
    check_pins,
    find_chips,
    may_open,
    reach_pins,
)
from linegate_runtime.checkup.service import (
    LOG_ADVICE,
    ServiceState,
    check_service,
    parse_show,
    read_service,
)
from linegate_runtime.checkup.users import User, named_user, this_user

SHOWN = """\
Result=success
NRestarts=0
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
StatusText=1,204 parts = all judged
MainPID=812
SupplementaryGroups=gpio video
"""
GATE = "the sink gpio"
TEXTS = st.text(st.characters(exclude_characters="\n", codec="utf-8"))


@given(TEXTS, TEXTS, st.integers(0, 10**9), st.integers(0, 2**22))
def test_what_systemd_shows_is_read(active: str, status: str, restarts: int, pid: int) -> None:
    text = f"NRestarts={restarts}\nActiveState={active}\nStatusText={status}\nMainPID={pid}\n"
    expected = ServiceState(active=active, status=status, restarts=restarts, pid=pid)
    assert parse_show(text) == expected


@given(st.text())
def test_any_text_can_be_read_as_what_systemd_shows(text: str) -> None:
    assert isinstance(parse_show(text), ServiceState)


def test_a_running_service_is_ok_and_its_own_words_are_repeated() -> None:
    state = parse_show(SHOWN)
    assert state.is_installed
    assert state.is_active
    assert state.groups == ("gpio", "video")
    finding = check_service(state)
    assert finding.outcome is Outcome.OK
    assert finding.detail == (
        "active (running), process 812, enabled at start of the machine; "
        "it says: 1,204 parts = all judged"
    )


@pytest.mark.parametrize(
    ("before", "after", "outcome", "words"),
    [
        ("=active", "=failed", Outcome.FAILED, "sudo journalctl -u linegate -n 50"),
        ("=active", "=inactive", Outcome.WARNING, "systemctl start linegate"),
        ("=active", "=activating", Outcome.WARNING, "look again"),
        ("NRestarts=0", "NRestarts=17", Outcome.WARNING, "started again 17 times"),
        ("=enabled", "=disabled", Outcome.WARNING, "systemctl enable linegate"),
        ("=loaded", "=masked", Outcome.FAILED, "masked"),
        ("=loaded", "=not-found", Outcome.OK, "only while it is started by hand"),
    ],
)
def test_a_service_that_does_not_run_is_told_with_what_to_do(
    before: str, after: str, outcome: Outcome, words: str
) -> None:
    finding = check_service(parse_show(SHOWN.replace(before, after)))
    assert finding.outcome is outcome
    assert words in f"{finding.detail} {finding.advice}"


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"active": "activating", "sub": "auto-restart"}, Outcome.FAILED),
        ({"active": "activating", "sub": "auto-restart-queued"}, Outcome.FAILED),
        # Its start has set the reason back.
        (
            {"active": "activating", "sub": "start", "restarts": 3, "pid": 9, "result": "success"},
            Outcome.FAILED,
        ),
        (
            {"active": "activating", "sub": "start", "restarts": 2, "pid": 9, "result": "success"},
            Outcome.WARNING,
        ),
        (
            {"active": "active", "sub": "running", "restarts": 3, "pid": 9, "result": "success"},
            Outcome.WARNING,
        ),
        # It was stopped by hand, and is not started again.
        (
            {"active": "inactive", "sub": "dead", "restarts": 3, "result": "success"},
            Outcome.WARNING,
        ),
    ],
)
def test_a_service_that_does_not_stay_up_is_a_failure(
    changes: dict[str, object], outcome: Outcome
) -> None:
    state = ServiceState(load="loaded", unit_file="enabled", result="exit-code")
    finding = check_service(msgspec.structs.replace(state, **changes))
    assert finding.outcome is outcome
    if outcome is Outcome.FAILED:
        assert finding.advice == LOG_ADVICE
        assert "; started again" in finding.detail
        is_known = "result" not in changes
        assert ("it ended by exit-code; started again" in finding.detail) is is_known
        assert "success" not in finding.detail


def test_a_sandbox_lets_it_write_below_its_own_folders_and_those_that_links_lead_to(
    tmp_path: Path,
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    state = parse_show(
        f"ProtectSystem=strict\nReadWritePaths=-{tmp_path}/link\n"
        "StateDirectory=linegate\nRuntimeDirectory=linegate\n"
    )
    for writable in (f"{tmp_path}/disk/parts", f"{tmp_path}/link"):
        assert state.may_write(Path(writable))
    for folder in ("/var/lib/linegate", "/run/linegate/parts"):
        assert state.may_write(Path(folder))
    for other in (tmp_path, Path("/run"), Path("/var/lib/other")):
        assert not state.may_write(other)
    assert parse_show("ProtectSystem=no\n").may_write(tmp_path)


def test_without_systemd_there_is_no_service(tmp_path: Path) -> None:
    assert read_service(tmp_path / "none") is None
    assert check_service(None).outcome is Outcome.OK


def test_systemd_is_asked_where_it_runs(tmp_path: Path) -> None:
    program = tmp_path / "systemctl"
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "assert sys.argv[1:3] == ['show', 'linegate.service']\n"
        f"sys.stdout.write({SHOWN!r})\n"
    )
    program.chmod(0o755)
    assert read_service(tmp_path, str(program)) == parse_show(SHOWN)


def user(*, uid: int = 990, groups: tuple[int, ...] = (990,), is_here: bool = False) -> User:
    return User(
        name="linegate", uid=uid, gid=990, groups=frozenset(groups), home="/", is_here=is_here
    )


def chip(mode: int = 0o660, uid: int = 0, gid: int = 997) -> Chip:
    return Chip(path="/dev/gpiochip0", mode=mode, uid=uid, gid=gid)


@given(st.integers(0, 0o777), st.booleans(), st.booleans())
def test_who_may_open_a_device_is_decided_as_the_kernel_does(
    mode: int, owns: bool, belongs: bool
) -> None:
    someone = user(groups=(990, 997) if belongs else (990,))
    device = chip(mode, uid=990 if owns else 0)
    both = (
        (stat.S_IRUSR | stat.S_IWUSR)
        if owns
        else (stat.S_IRGRP | stat.S_IWGRP)
        if belongs
        else (stat.S_IROTH | stat.S_IWOTH)
    )
    assert may_open(someone, device) is (mode & both == both)
    assert may_open(user(uid=0), device)


def test_pins_that_nobody_uses_are_no_failure() -> None:
    finding = check_pins([], user(), [chip()])
    assert finding.outcome is Outcome.OK
    assert "no pins are used; the user linegate may not open /dev/gpiochip0" in finding.detail
    assert "no /dev/gpiochip* here" in check_pins([], user(), []).detail
    assert "not known" in check_pins(None, user(), []).detail


def test_a_services_user_outside_the_devices_group_is_a_failure() -> None:
    finding = check_pins([GATE], user(), [chip(gid=grp.getgrnam("daemon").gr_gid)])
    assert finding.outcome is Outcome.FAILED
    assert "the user linegate may not open /dev/gpiochip0 (group daemon)" in finding.detail
    assert "usermod -aG daemon linegate" in str(finding.advice)
    assert check_pins([GATE], user(groups=(990, 997)), [chip()]).outcome is Outcome.OK
    assert "a rule of udev" in str(check_pins([GATE], user(), [chip(gid=0)]).advice)


def test_a_services_user_that_is_not_there_is_a_failure() -> None:
    assert named_user("nobody-of-this-name") is None
    assert check_pins([], None, []).outcome is Outcome.FAILED


def test_pins_that_are_used_and_not_there_are_a_failure() -> None:
    assert check_pins([GATE], user(), []).outcome is Outcome.FAILED

    def refuse(asker: str) -> None:
        raise ConfigError(f"{asker} finds no pins on this machine")

    finding = check_pins([GATE], user(is_here=True), [], refuse)
    assert finding.outcome is Outcome.FAILED
    assert "the sink gpio finds no pins" in finding.detail


@pytest.mark.usefixtures("pins")
def test_pins_that_gpiozero_finds_are_ok() -> None:
    finding = check_pins([GATE], this_user(), [], reach_pins)
    assert finding.outcome is Outcome.OK


def test_two_names_of_a_device_are_one(tmp_path: Path) -> None:
    (tmp_path / "gpiochip0").touch(0o640)
    (tmp_path / "gpiochip4").symlink_to("gpiochip0")
    (found,) = find_chips(tmp_path)
    assert found.path == str(tmp_path / "gpiochip0")
    assert found.mode == 0o640


def test_a_user_has_the_groups_that_its_service_adds() -> None:
    plain, more = named_user("root"), named_user("root", ["daemon", "no-such-group"])
    assert plain is not None
    assert more is not None
    assert more.groups - plain.groups == {grp.getgrnam("daemon").gr_gid}
