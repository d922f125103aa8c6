"""``linegate doctor``: folders that whoever runs the line may not write to."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import OutputError
from linegate_runtime.checkup import checkup as module
from linegate_runtime.checkup import folders
from linegate_runtime.checkup.base import Finding, Outcome, Subject
from linegate_runtime.checkup.checkup import Line, checkup
from linegate_runtime.checkup.disk import Need
from linegate_runtime.checkup.folders import check_folders, find_obstacle
from linegate_runtime.checkup.service import ServiceState
from linegate_runtime.checkup.users import SEARCH, WRITE, Permissions, User, this_user
from linegate_runtime.record import Record
from tests.support import TINY_BUNDLE

FREE = 54_321
"""A number that no user and no group here has."""


def user(*, uid: int = FREE, groups: tuple[int, ...] = ()) -> User:
    return User(
        name="linegate",
        uid=uid,
        gid=FREE,
        groups=frozenset({FREE, *groups}),
        home="/",
        is_here=False,
    )


def need(folder: Path, name: str = "record", *, is_made: bool = True) -> Need:
    return Need(name=name, folder=folder, most_bytes=None, is_made=is_made)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that everybody may reach, as far as is known here."""
    look = folders._permissions

    def permissions(folder: Path) -> Permissions:
        is_above = folder in tmp_path.parents or folder == tmp_path
        return Permissions(mode=0o755, uid=0, gid=0) if is_above else look(folder)

    monkeypatch.setattr(folders, "_permissions", permissions)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@given(st.integers(0, 0o777), st.booleans(), st.booleans(), st.sampled_from([2, 3, 6, 7]))
def test_who_may_do_what_is_decided_as_the_kernel_does(
    mode: int, owns: bool, belongs: bool, wanted: int
) -> None:
    # The owner has the owner's bits, even where the group's would allow more.
    someone = user(groups=(7,) if belongs else ())
    shift = 6 if owns else 3 if belongs else 0
    found = Permissions(mode=mode, uid=FREE if owns else 0, gid=7)
    assert found.allow(someone, wanted) is (mode >> shift & wanted == wanted)
    assert found.allow(user(uid=0), wanted)


@pytest.mark.parametrize(
    ("mode", "allows"), [(0o755, False), (0o700, False), (0o772, False), (0o773, True)]
)
def test_a_folder_has_to_be_writable_and_searchable(data: Path, mode: int, *, allows: bool) -> None:
    data.chmod(mode)
    found = list(check_folders([need(data)], user()))
    assert (found == []) is allows
    for finding in found:
        assert (finding.subject, finding.outcome) == (Subject.DISK, Outcome.FAILED)
        assert f"record: the user linegate may not write to {data} (" in finding.detail
        assert f"mode {mode:03o})" in finding.detail
        assert finding.advice == f"sudo chown linegate {data}"


def test_a_group_that_the_service_adds_lets_it_write(data: Path) -> None:
    data.chmod(0o770)
    assert find_obstacle(need(data), user()) is not None
    assert find_obstacle(need(data), user(groups=(data.stat().st_gid,))) is None


def test_root_may_write_everywhere(data: Path) -> None:
    data.chmod(0o500)
    assert find_obstacle(need(data), user(uid=0)) is None


def test_a_folder_that_would_be_made_is_judged_by_the_one_above(data: Path) -> None:
    wanted = data / "pictures" / "of parts"
    obstacle = find_obstacle(need(wanted), user())
    assert obstacle is not None
    assert f"may not write to {data} " in obstacle.text
    assert obstacle.advice == f"sudo install -d -o linegate {wanted}"
    data.chmod(0o777)
    assert find_obstacle(need(wanted), user()) is None


def test_a_records_folder_that_is_not_there_is_a_failure_for_no_line_makes_it(data: Path) -> None:
    data.chmod(0o777)
    missing = data / "none"
    with pytest.raises(OutputError):
        Record(missing / "parts.sqlite")
    obstacle = find_obstacle(need(missing, is_made=False), user())
    assert obstacle is not None
    assert obstacle.text == f"there is no folder {missing}"


def test_a_folder_behind_a_closed_one_cannot_be_reached(data: Path) -> None:
    inner = data / "inner"
    inner.mkdir()
    inner.chmod(0o777)
    data.chmod(0o750)
    obstacle = find_obstacle(need(inner), user())
    assert obstacle is not None
    assert f"the user linegate may not enter {data} (" in obstacle.text
    assert f"chmod o+x {data}" in obstacle.advice


def test_a_link_is_judged_by_where_it_leads(data: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(data)
    obstacle = find_obstacle(need(tmp_path / "link"), user())
    assert obstacle is not None
    assert obstacle.advice == f"sudo chown linegate {data}"


def test_files_of_a_record_that_root_has_written_are_a_failure_of_another_user(data: Path) -> None:
    record, lock = data / "parts.sqlite", data / "parts.sqlite.lock"
    for file in (record, lock):
        file.touch()
        file.chmod(0o644)
    data.chmod(0o777)
    wanted = msgspec.structs.replace(need(data), files=(record, data / "none", lock))
    (finding,) = check_folders([wanted], user())
    assert (finding.subject, finding.outcome) == (Subject.DISK, Outcome.FAILED)
    assert f"record: the user linegate may not read and write {record} (" in finding.detail
    assert finding.advice == f"sudo chown linegate {record} {lock}"
    record.chmod(0o666)
    (finding,) = check_folders([wanted], user())
    assert finding.advice == f"sudo chown linegate {lock}"
    lock.chmod(0o666)
    assert not list(check_folders([wanted], user()))
    assert not list(check_folders([wanted], user(uid=0)))


def test_what_bars_record_and_pictures_is_said_once(data: Path) -> None:
    (finding,) = check_folders([need(data), need(data, "pictures")], user())
    assert finding.detail.startswith("record and pictures: the user linegate may not write")


def test_nothing_is_claimed_of_a_folder_with_an_access_list(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_has_access_list", lambda folder: folder == data)
    assert find_obstacle(need(data), user()) is None


def test_the_bits_say_what_the_kernel_lets_this_user_do(tmp_path: Path) -> None:
    for mode in (0o700, 0o500, 0o300, 0o100, 0o000):
        tmp_path.chmod(mode)
        found = find_obstacle(need(tmp_path), this_user()) is None
        assert found is os.access(tmp_path, os.W_OK | os.X_OK)
    tmp_path.chmod(0o700)
    assert folders._lets(tmp_path, this_user(), WRITE | SEARCH)


Check = Callable[[ServiceState | None], list[Finding]]


@pytest.fixture
def disks(data: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Give what checks the disks of a line whose record is in that folder."""
    monkeypatch.setattr(module, "import_problems", lambda _: {})
    # The engine and the cameras are no matter of these tests.
    monkeypatch.setattr(module._Checkup, "_engine_and_cameras", lambda _: iter(()))
    settings = data / "linegate.toml"
    settings.write_text(
        f'bundle = "{TINY_BUNDLE}"\n[camera]\naddress = "64x48@30"\nsource = "fake"\n'
        f'[record]\npath = "{data}/parts.sqlite"\n'
    )

    def check(state: ServiceState | None) -> list[Finding]:
        line = Line(
            config=settings,
            service_config=settings,
            service_user="nobody",
            ask_service=lambda: state,
        )
        return [one for one in checkup(line) if one.subject is Subject.DISK]

    return check


def test_the_services_user_is_asked_for_the_services_settings_only(
    data: Path, disks: Check
) -> None:
    (barred, disk) = disks(ServiceState(load="loaded"))
    assert f"record: the user nobody may not write to {data}" in barred.detail
    assert "free" in disk.detail
    # Without a service it is whoever looks that runs the line.
    assert len(disks(None)) == 1


def test_every_file_that_a_record_leaves_is_looked_at(data: Path, disks: Check) -> None:
    data.chmod(0o777)
    with Record(data / "parts.sqlite"):
        for file in (files := sorted(data.glob("parts.sqlite*"))):
            file.chmod(0o600)
        (barred, _) = disks(ServiceState(load="loaded"))
    assert len(files) == 4
    words = str(barred.advice).split()
    assert words[:3] == ["sudo", "chown", "nobody"]
    assert sorted(words[3:]) == [str(file) for file in files]


def test_sandbox_and_permissions_are_told_as_two_things(data: Path, disks: Check) -> None:
    elsewhere = ServiceState(load="loaded", folders=(Path("/var/lib/linegate"),))
    (sandbox, permissions, _) = disks(elsewhere)
    assert f"the sandbox keeps the service from {data}" in sandbox.detail
    assert f"ReadWritePaths={data}" in str(sandbox.advice)
    assert f"sudo chown nobody {data}" in str(permissions.advice)
