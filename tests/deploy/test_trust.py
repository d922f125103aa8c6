"""What the service's user, or whoever has taken the service over, cannot do to root."""

import shutil
from pathlib import Path

import pytest

from tests.deploy.booted import Machine
from tests.deploy.kits import AS_LINEGATE, INSTALLER, STICK

pytestmark = pytest.mark.board

DATA = Path("var/lib/linegate")
SYSTEM = Path("etc/systemd/system")

EVIL_UNIT = (
    "mkdir -p settings/linegate.service.d && "
    "printf '[Service]\\nUser=root\\n' > settings/linegate.service.d/evil.conf"
)
"""Looks like settings that an uninstallation has set aside."""


def as_linegate(board: Machine, script: str) -> None:
    """Do what somebody could who has taken the service over."""
    board.run(*AS_LINEGATE, "sh", "-c", f"cd /{DATA} && {script}")


def test_what_the_service_puts_into_its_data_gets_no_rights(board: Machine) -> None:
    as_linegate(board, "mv bundles old && ln -s /etc/systemd/system bundles && rm bundle.linegate")
    as_linegate(board, EVIL_UNIT)
    board.run("sh", INSTALLER, check=False)
    assert (board.root / SYSTEM).stat().st_uid == 0
    assert not list((board.root / SYSTEM).glob("*.linegate*"))
    board.run("sh", INSTALLER, "--uninstall")
    board.run("sh", INSTALLER, check=False)
    assert not (board.root / SYSTEM / "linegate.service.d").exists()
    (board.root / DATA / "bundles").unlink()
    board.run("sh", INSTALLER)
    assert board.show("User") == "linegate"


def test_settings_of_the_services_making_are_not_taken_where_root_has_none(
    board: Machine,
) -> None:
    as_linegate(board, EVIL_UNIT)
    shutil.rmtree(board.root / "etc/linegate")
    board.run("sh", INSTALLER, "--uninstall")
    assert not (board.root / DATA / "settings").exists()
    board.run("sh", INSTALLER)
    assert not (board.root / SYSTEM / "linegate.service.d").exists()
    assert board.show("User") == "linegate"


def test_pipes_and_folders_in_a_bundles_place_are_no_bundles(board: Machine) -> None:
    as_linegate(board, "rm bundles/tiny-1.0.0.linegate && mkfifo bundles/tiny-1.0.0.linegate")
    as_linegate(board, "mkfifo bundles/.tiny-1.0.0.linegate.new")
    as_linegate(board, "rm bundle.linegate && mkdir -p bundle.linegate.new/folder")
    board.run("sh", INSTALLER, limit_s=60)
    assert (board.root / DATA / "bundles" / "tiny-1.0.0.linegate").is_file()
    assert (board.root / DATA / "bundle.linegate").is_symlink()


def test_what_runs_as_the_services_user_has_no_terminal_no_lock_and_no_way_to_rights(
    board: Machine,
) -> None:
    steps = f". /{STICK}/installer/data.sh; ACCOUNT=linegate; exec 9>/run/lock-of-a-test"
    look = "ls -l /proc/self/fd; cat /proc/self/status; echo stat; cat /proc/self/stat"
    script = f"{steps}; as_account sh -c '{look}'"
    # A shell at a terminal, as a technician's.
    said = board.run("script", "-qec", f'sh -c "{script}"', "/dev/null").stdout
    assert "lock-of-a-test" not in said
    lines = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert lines["NoNewPrivs"].strip() == "1"
    assert {int(lines[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd")} == {0}
    terminal = said.split("stat")[-1].rpartition(")")[2].split()[4]
    assert terminal == "0", "it has a terminal (tty_nr of proc_pid_stat(5))"


def test_the_callers_folder_has_no_say_in_what_root_runs(board: Machine) -> None:
    trap = board.root / "root/trap"
    trap.mkdir()
    for name in ("venv", "random", "tomllib", "sitecustomize"):
        (trap / f"{name}.py").write_text("open('/root/PWNED', 'w')")
    shutil.rmtree(next((board.root / "opt/linegate").glob("env-*")))
    board.run("sh", "-c", f"cd /root/trap && PYTHONPATH=/root/trap sh {INSTALLER}")
    assert not (board.root / "root/PWNED").exists()
