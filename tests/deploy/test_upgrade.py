"""The installer on boards in use: upgrades, own bundles, damage, and an attacker inside."""

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.booted import Machine, booted
from tests.deploy.kits import TINY, unpack
from tests.record_run import wait_for

pytestmark = pytest.mark.board

STICK = Path("media/stick/linegate-kit-debian-x86-0.1.0")
INSTALLER = f"/{STICK}/install.sh"
DATA = Path("var/lib/linegate")
AS_LINEGATE = ("setpriv", "--reuid", "linegate", "--regid", "linegate", "--init-groups")


@pytest.fixture(scope="module")
def board(tree: Path, kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A board in use: installed, its service runs."""
    with booted(tree, tmp_path_factory.mktemp("board")) as machine:
        unpack(kit, machine.root / "media" / "stick")
        machine.run("sh", INSTALLER)
        yield machine


def as_linegate(board: Machine, script: str) -> None:
    """Do what somebody could who has taken the service over."""
    board.run(*AS_LINEGATE, "sh", "-c", f"cd /{DATA} && {script}")


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
    sums = (
        "digest=$(sha256sum wheels/linegate_runtime-*.whl | cut -c1-64); "
        "for f in requirements-*.txt; do sed -i '/^linegate-runtime/,$d' $f; "
        "printf 'linegate-runtime==0.1.0 --hash=sha256:%s\\n' $digest >>$f; done; "
        "find . -type f ! -name SHA256SUMS | sed 's#^./##' | xargs sha256sum >SHA256SUMS"
    )
    board.run("sh", "-c", f"cd /{STICK} && {sums}")


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


def test_a_bundle_that_somebody_put_there_is_kept(board: Machine) -> None:
    used = board.root / DATA / "bundle.linegate"
    used.unlink()
    shutil.copyfile(TINY, used)
    bundle = board.root / STICK / "bundle"
    bundle.rename(bundle.with_name("elsewhere"))
    sums = board.root / STICK / "SHA256SUMS"
    text = sums.read_text()
    sums.write_text("".join(row + "\n" for row in text.splitlines() if "bundle/" not in row))
    try:
        board.run("sh", INSTALLER)
        assert used.read_bytes() == TINY.read_bytes()
        assert not used.is_symlink()
    finally:
        bundle.with_name("elsewhere").rename(bundle)
        sums.write_text(text)
    assert "keeping /var/lib/linegate/bundle.linegate" in board.run("sh", INSTALLER).stdout
    assert used.is_symlink()
    (kept,) = (board.root / DATA / "bundles").glob("before-*.linegate")
    assert kept.read_bytes() == TINY.read_bytes()


def test_a_bundle_that_fails_here_does_not_take_the_good_ones_place(board: Machine) -> None:
    carried = board.root / STICK / "bundle" / "tiny-1.0.0.linegate"
    sums = board.root / STICK / "SHA256SUMS"
    text, good = sums.read_text(), carried.read_bytes()
    carried.write_bytes(good[:5000] + bytes([good[5000] ^ 1]) + good[5001:])
    sums.write_text("".join(row + "\n" for row in text.splitlines() if "bundle/" not in row))
    try:
        done = board.run("sh", INSTALLER, check=False)
        assert done.returncode == 6
        used = board.root / DATA / "bundles" / "tiny-1.0.0.linegate"
        assert used.read_bytes() == good
        assert list(used.parent.glob(".*")) == []
    finally:
        carried.write_bytes(good)
        sums.write_text(text)


def test_a_damaged_environment_is_made_anew(board: Machine) -> None:
    (environment,) = (board.root / "opt/linegate").glob("env-*")
    (file,) = environment.glob("lib/python3*/site-packages/msgspec/__init__.py")
    file.write_bytes(b"")
    said = board.run("sh", INSTALLER).stdout
    assert "msgspec/__init__.py: missing or altered" in said
    assert "it is made anew" in said
    assert file.read_bytes() != b""
    shutil.rmtree(next(environment.glob("lib/python3*/site-packages/pymodbus-*.dist-info")))
    assert "pymodbus: missing" in board.run("sh", INSTALLER).stdout
    assert "nothing to do" in board.run("sh", INSTALLER).stdout


def test_what_the_service_puts_into_its_data_gets_no_rights(board: Machine) -> None:
    as_linegate(board, "mv bundles old && ln -s /etc/systemd/system bundles && rm bundle.linegate")
    as_linegate(
        board,
        "mkdir -p settings/linegate.service.d && "
        "printf '[Service]\\nUser=root\\n' > settings/linegate.service.d/evil.conf",
    )
    board.run("sh", INSTALLER, check=False)
    system = board.root / "etc/systemd/system"
    assert system.stat().st_uid == 0
    assert not list(system.glob("*.linegate*"))
    board.run("sh", INSTALLER, "--uninstall")
    board.run("sh", INSTALLER, check=False)
    assert not (system / "linegate.service.d").exists()
    (board.root / DATA / "bundles").unlink()
    board.run("sh", INSTALLER)
    assert board.show("User") == "linegate"


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
    settings = board.root / "etc/linegate/linegate.toml"
    text = settings.read_text()
    settings.write_text(text + "\n[kamera]\n")
    try:
        board.run("systemctl", "stop", "linegate")
        done = board.run("sh", INSTALLER, check=False)
        assert done.returncode == 8
        assert "the service does not start" in done.stdout
    finally:
        settings.write_text(text)


def test_the_callers_folder_has_no_say_in_what_root_runs(board: Machine) -> None:
    trap = board.root / "root/trap"
    trap.mkdir()
    for name in ("venv", "random", "tomllib", "sitecustomize"):
        (trap / f"{name}.py").write_text("open('/root/PWNED', 'w')")
    shutil.rmtree(next((board.root / "opt/linegate").glob("env-*")))
    board.run("sh", "-c", f"cd /root/trap && PYTHONPATH=/root/trap sh {INSTALLER}")
    assert not (board.root / "root/PWNED").exists()
