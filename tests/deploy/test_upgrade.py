"""The installer on boards in use: upgrades, bundles, settings, damage."""

import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.deploy.booted import Machine
from tests.deploy.kits import AS_LINEGATE, INSTALLER, STICK, TINY, seal
from tests.record_run import wait_for

pytestmark = pytest.mark.board

DATA = Path("var/lib/linegate")
SETTINGS = Path("etc/linegate/linegate.toml")
UNIT = Path("etc/systemd/system/linegate.service")


def environments(board: Machine) -> set[str]:
    return {path.name for path in (board.root / "opt/linegate").glob("env-*")}


def upgrade(board: Machine) -> None:
    """Let the kit be another one, as an update is: one more line in the runtime."""
    (wheel,) = (board.root / STICK / "wheels").glob("linegate_runtime-*.whl")
    changed = io.BytesIO()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(changed, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename.endswith("METADATA"):
                content += b"\nAnother line.\n"
            if not info.filename.endswith("RECORD"):
                new.writestr(info.filename, content)
            else:
                name = info.filename.replace("RECORD", "METADATA")
                rows = [row for row in content.decode().splitlines() if not row.startswith(name)]
                new.writestr(info.filename, "\n".join([*rows, f"{name},,", ""]))
    wheel.write_bytes(changed.getvalue())
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for listed in (board.root / STICK).glob("requirements-*.txt"):
        others, _, _ = listed.read_text().partition("linegate-runtime==")
        listed.write_text(f"{others}linegate-runtime==0.1.0 --hash=sha256:{digest}\n")
    seal(board.root / STICK)


def test_a_line_that_is_not_started_anew_keeps_its_environment(board: Machine) -> None:
    before = environments(board)
    pid = board.show("MainPID")
    upgrade(board)
    board.run("sh", INSTALLER, "--no-start")
    assert len(environments(board)) == 2
    assert board.show("MainPID") == pid
    board.run("systemctl", "restart", "linegate")
    board.run("sh", INSTALLER)
    assert len(environments(board)) == 1
    assert environments(board) != before


def test_a_line_goes_on_as_before_if_it_does_not_start_with_what_came(board: Machine) -> None:
    before = environments(board), (board.root / UNIT).read_text()
    used = board.root / DATA / "bundle.linegate"
    shutil.copyfile(TINY, board.root / DATA / "bundles" / "older.linegate")
    used.unlink()
    used.symlink_to("bundles/older.linegate")
    upgrade(board)
    unit = board.root / STICK / "linegate.service"
    good = unit.read_text()
    unit.write_text(good.replace("ExecStart=", "ExecStartPre=/bin/false\nExecStart="))
    seal(board.root / STICK)
    try:
        done = board.run("sh", INSTALLER, check=False)
        assert done.returncode == 8
        assert "and goes on as before" in done.stdout
        assert board.show("ActiveState") == "active"
        assert (board.root / UNIT).read_text() == before[1]
        assert used.readlink() == Path("bundles/older.linegate")
        assert (board.root / "opt/linegate/env").readlink().name in before[0]
    finally:
        unit.write_text(good)
        seal(board.root / STICK)
    board.run("sh", INSTALLER)
    assert environments(board).isdisjoint(before[0])


def test_a_bundle_that_somebody_put_there_is_kept(board: Machine) -> None:
    used = board.root / DATA / "bundle.linegate"
    used.unlink()
    shutil.copyfile(TINY, used)
    bundle = board.root / STICK / "bundle"
    elsewhere = board.root / "root" / "bundle"
    bundle.rename(elsewhere)
    seal(board.root / STICK)
    try:
        board.run("sh", INSTALLER)
        assert used.read_bytes() == TINY.read_bytes()
        assert not used.is_symlink()
    finally:
        elsewhere.rename(bundle)
        seal(board.root / STICK)
    assert "keeping /var/lib/linegate/bundle.linegate" in board.run("sh", INSTALLER).stdout
    assert used.is_symlink()
    (kept,) = (board.root / DATA / "bundles").glob("before-*.linegate")
    assert kept.read_bytes() == TINY.read_bytes()
    kept.unlink()


def test_a_bundle_that_fails_here_does_not_take_the_good_ones_place(board: Machine) -> None:
    carried = board.root / STICK / "bundle" / "tiny-1.0.0.linegate"
    good = carried.read_bytes()
    carried.write_bytes(good[:5000] + bytes([good[5000] ^ 1]) + good[5001:])
    seal(board.root / STICK)
    try:
        done = board.run("sh", INSTALLER, check=False)
        assert done.returncode == 6
        used = board.root / DATA / "bundles" / "tiny-1.0.0.linegate"
        assert used.read_bytes() == good
        assert list(used.parent.glob(".*")) == []
    finally:
        carried.write_bytes(good)
        seal(board.root / STICK)


def test_another_file_of_the_bundles_name_is_replaced_and_kept(board: Machine) -> None:
    used = board.root / DATA / "bundles" / "tiny-1.0.0.linegate"
    used.write_bytes(b"another")
    board.run("sh", INSTALLER)
    assert used.read_bytes() == TINY.read_bytes()
    (kept,) = used.parent.glob("before-*-tiny-1.0.0.linegate")
    assert kept.read_bytes() == b"another"


def test_what_another_kit_has_left_in_the_folder_is_not_taken(board: Machine) -> None:
    left = board.root / STICK / "bundle" / "zebras-2.0.0.linegate"
    shutil.copyfile(TINY, left)
    (board.root / STICK / "settings.toml").write_text("[kamera]\n")
    board.run("sh", INSTALLER)
    used = board.root / DATA / "bundle.linegate"
    assert used.readlink() == Path("bundles/tiny-1.0.0.linegate")
    assert not (used.parent / "bundles" / left.name).exists()
    left.unlink()
    (board.root / STICK / "settings.toml").unlink()


def test_the_bundle_that_the_settings_name_is_verified_too_and_said_to_judge(
    board: Machine,
) -> None:
    own = board.root / DATA / "bundles" / "own.linegate"
    shutil.copyfile(TINY, own)
    own.chmod(0o644)
    settings = board.root / SETTINGS
    text = settings.read_text()
    settings.write_text(text.replace("bundle.linegate", "bundles/own.linegate"))
    try:
        said = board.run("sh", INSTALLER).stdout
        assert "linegate verify /var/lib/linegate/bundles/own.linegate" in said
        assert said.count("golden frames answered as promised") == 4
        assert "the settings name /var/lib/linegate/bundles/own.linegate, so that judges" in said
        own.write_bytes(b"")
        done = board.run("sh", INSTALLER, check=False)
        assert done.returncode == 6
        assert "own.linegate does not answer on this board" in done.stdout
    finally:
        settings.write_text(text)


def test_a_switch_that_was_not_followed_by_a_start_is_followed_by_one(board: Machine) -> None:
    pid = board.show("MainPID")
    upgrade(board)
    board.run("sh", INSTALLER, "--no-start")
    assert "installed" in board.run("sh", INSTALLER).stdout
    assert board.show("MainPID") != pid
    pid = board.show("MainPID")
    assert "nothing to do" in board.run("sh", INSTALLER).stdout
    assert board.show("MainPID") == pid


def test_what_was_in_use_is_known_after_an_interruption_too(board: Machine) -> None:
    (before,) = environments(board)
    upgrade(board)
    unit = board.root / STICK / "linegate.service"
    good = unit.read_text()
    unit.write_text(good.replace("ExecStart=", "ExecStartPre=/bin/false\nExecStart="))
    seal(board.root / STICK)
    # As far as an interrupted run comes.
    board.run("sh", INSTALLER, "--no-start")
    try:
        done = board.run("sh", INSTALLER, check=False)
        assert done.returncode == 8
        assert "and goes on as before" in done.stdout
        assert (board.root / "opt/linegate/env").readlink().name == before
    finally:
        unit.write_text(good)
        seal(board.root / STICK)
    board.run("sh", INSTALLER)


def test_a_damaged_environment_is_replaced_and_stays_until_then(board: Machine) -> None:
    (environment,) = (board.root / "opt/linegate").glob("env-*")
    (file,) = environment.glob("lib/python3*/site-packages/msgspec/__init__.py")
    file.write_bytes(file.read_bytes() + b"\n")
    # So little memory that no library loads.
    done = board.run("sh", "-c", f"ulimit -v 400000; sh {INSTALLER}", check=False)
    assert done.returncode != 0
    assert "msgspec/__init__.py: FAILED" in done.stdout
    assert environments(board) == {environment.name}
    assert board.show("ActiveState") == "active"
    assert "another is made" in board.run("sh", INSTALLER).stdout
    (another,) = (board.root / "opt/linegate").glob("env-*")
    assert another != environment
    (another / "bin" / "python").unlink()
    assert "another is made" in board.run("sh", INSTALLER).stdout
    assert "nothing to do" in board.run("sh", INSTALLER).stdout


def test_an_environment_that_is_whole_and_does_not_load_now_is_not_touched(
    board: Machine,
) -> None:
    before = environments(board)
    done = board.run("sh", "-c", f"ulimit -v 400000; sh {INSTALLER}", check=False)
    assert done.returncode == 6
    assert "the service is as it was" in done.stdout
    assert environments(board) == before
    assert (board.root / "opt/linegate/env").readlink().name in before
    assert board.show("ActiveState") == "active"


def test_an_uninstallation_that_was_interrupted_loses_no_settings(board: Machine) -> None:
    settings = board.root / SETTINGS
    text = settings.read_text()
    changed = text.replace('address = "0"', 'address = "7"')
    settings.write_text(changed)
    drop_in = board.root / f"{UNIT}.d"
    drop_in.mkdir(exist_ok=True)
    (drop_in / "own.conf").write_text("[Service]\nRestartSec=4\n")
    (settings.parent / "mqtt.password").write_text("secret")
    board.run("sh", INSTALLER, "--uninstall")
    # As it is left if it ends while it removes what it has set aside.
    settings.parent.mkdir()
    (settings.parent / "mqtt.password").write_text("secret")
    drop_in.mkdir()
    (drop_in / "own.conf").write_text("[Service]\nRestartSec=4\n")
    board.run("sh", INSTALLER, "--uninstall")
    # As it is left if an installation ends while it takes them.
    settings.parent.mkdir()
    aside = board.root / DATA / "settings"
    (aside / "mqtt.password").rename(settings.parent / "mqtt.password")
    board.run("sh", INSTALLER, "--uninstall")
    board.run("sh", INSTALLER)
    assert settings.read_text() == changed
    assert (settings.parent / "mqtt.password").read_text() == "secret"
    assert (drop_in / "own.conf").exists()
    settings.write_text(text)
    shutil.rmtree(drop_in)


def test_changes_of_the_unit_come_back_as_roots(board: Machine) -> None:
    drop_in = board.root / "etc/systemd/system/linegate.service.d"
    drop_in.mkdir()
    (drop_in / "override.conf").write_text("[Service]\nRestartSec=4\n")
    board.run("sh", INSTALLER, "--uninstall")
    assert not drop_in.exists()
    board.run("sh", INSTALLER)
    assert (drop_in / "override.conf").stat().st_uid == 0
    assert drop_in.stat().st_uid == 0
    assert drop_in.stat().st_mode & 0o022 == 0


def test_an_account_that_is_in_use_is_not_removed_and_nothing_else_is(board: Machine) -> None:
    (board.root / "opt/linegate/mine").write_text("a user's own")
    done = board.run(
        "sh",
        "-c",
        f"{' '.join(AS_LINEGATE)} sleep 60 & sh {INSTALLER} --uninstall; code=$?; "
        "kill $!; exit $code",
        check=False,
    )
    assert done.returncode == 4
    assert "of the user linegate still runs: sleep 60" in done.stdout
    board.run("systemctl", "start", "linegate")
    wait_for(lambda: board.show("ActiveState") == "active", 30)
    said = board.run("sh", INSTALLER, "--uninstall").stdout
    assert "/opt/linegate has other files and stays" in said
    assert (board.root / "opt/linegate/mine").exists()
    board.run("sh", INSTALLER)


def test_data_may_lie_on_another_disk_that_is_mounted_and_not_linked(board: Machine) -> None:
    board.run("sh", INSTALLER, "--uninstall")
    board.run("sh", "-c", "mkdir /srv/disk && mv /var/lib/linegate /srv/disk/data")
    board.run("ln", "-s", "/srv/disk/data", "/var/lib/linegate")
    done = board.run("sh", INSTALLER, check=False)
    assert done.returncode == 4
    assert "/srv/disk/data /var/lib/linegate none bind 0 0" in done.stdout
    board.run("sh", "-c", "rm /var/lib/linegate && mkdir /var/lib/linegate")
    board.run("mount", "--bind", "/srv/disk/data", "/var/lib/linegate")
    board.run("sh", INSTALLER)
    assert board.show("ActiveState") == "active"


def test_a_service_that_does_not_start_is_no_success(board: Machine) -> None:
    drop_in = board.root / f"{UNIT}.d" / "broken.conf"
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("[Service]\nExecStartPre=/bin/false\n")
    try:
        board.run("systemctl", "stop", "linegate")
        done = board.run("sh", INSTALLER, check=False)
        assert done.returncode == 8
        assert "it is installed, but the service does not start" in done.stdout
    finally:
        drop_in.unlink()
    board.run("sh", INSTALLER)
    assert board.show("ActiveState") == "active"


@pytest.mark.parametrize(
    ("wrong", "message"), [("[kamera]\n", "kamera: unknown"), ("a = = 1\n", "expected a TOML file")]
)
def test_wrong_settings_are_said_before_a_running_line_is_touched(
    board: Machine, wrong: str, message: str
) -> None:
    pid = board.show("MainPID")
    settings = board.root / SETTINGS
    text = settings.read_text()
    settings.write_text(f"{text}\n{wrong}")
    upgrade(board)
    try:
        done = board.run("sh", INSTALLER, check=False)
        assert done.returncode == 4
        assert message in done.stdout
        assert "the service is as it was" in done.stdout
        assert board.show("MainPID") == pid
    finally:
        settings.write_text(text)
