"""``deploy/arm64/enter.sh`` runs commands as a board would and leaves nothing behind."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.arm64.guest import REPOSITORY, Guest

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(1200)]

ENTER = REPOSITORY / "deploy" / "arm64" / "enter.sh"
PARTS = {"a53": "0xd03", "a72": "0xd08", "a76": "0xd0b"}
"""Part numbers of Arm's Cortex cores, as Linux tells them."""


@pytest.fixture
def guest(tree: Path, core: str, tmp_path: Path) -> Guest:
    """A tree without linegate."""
    return Guest(tree, core, tmp_path / "upper")


def test_programs_see_the_core_and_no_device_of_this_machine(guest: Guest) -> None:
    told = guest.run("sh", "-c", "uname -m; cat /proc/cpuinfo; ls /dev /sys/devices/system/cpu")
    assert told.startswith("aarch64\n")
    assert f"CPU part\t: {PARTS[guest.core]}" in told
    assert "null" in told
    assert "possible" in told
    assert not any(name in told for name in ("vda", "sda", "nvme", "video0", "gpiochip"))


def test_changes_are_kept_in_the_upper_folder_and_the_tree_stays_as_it_was(guest: Guest) -> None:
    guest.run("sh", "-c", "echo kept > /etc/changed")
    assert guest.kept(Path("/etc/changed")).read_text() == "kept\n"
    assert guest.run("cat", "/etc/changed") == "kept\n"
    assert not (guest.tree / "etc" / "changed").exists()


def test_without_an_upper_folder_changes_are_thrown_away(guest: Guest) -> None:
    def enter(script: str) -> int:
        command = [str(ENTER), str(guest.tree), guest.core, "sh", "-c", script]
        return subprocess.run(command, check=False).returncode

    assert enter("echo gone > /etc/changed && test -e /etc/changed") == 0
    assert enter("test -e /etc/changed") == 1


def test_what_is_bound_is_the_same_file_on_both_sides(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    seeing = guest.seeing(tmp_path / "folder", Path("/mnt/folder"))
    seeing.run("sh", "-c", "echo there > /mnt/folder/file")
    assert (tmp_path / "folder" / "file").read_text() == "there\n"


def test_exit_codes_and_signals_are_those_of_the_command(guest: Guest) -> None:
    assert guest.run("sh", "-c", "exit 7", codes=(7,)) == ""
    script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    with subprocess.Popen(guest.command("sh", "-c", script), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 9
    with subprocess.Popen(guest.command("sleep", "600")) as process:
        process.kill()
        assert process.wait(60) == -signal.SIGKILL


def test_nothing_stays_mounted_on_this_machine(guest: Guest) -> None:
    before = Path("/proc/self/mounts").read_text()
    guest.run("true")
    assert Path("/proc/self/mounts").read_text() == before


def test_users_and_services_can_be_set_up(guest: Guest) -> None:
    """What an installer needs of a board."""
    guest.run("useradd", "--system", "gate")
    unit = "[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n"
    guest.run("sh", "-c", f"printf '{unit}' > /etc/systemd/system/gate.service")
    guest.run("systemctl", "enable", "gate.service")
    guest.run("systemd-analyze", "verify", "/etc/systemd/system/gate.service")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{tree}", "a73", "true"), "expected the core host, or for arm64"),
        (("{tree}", "host", "true"), "does not run a tree of arm64 itself"),
        (("/tmp", "a72", "true"), "expected a tree; make it with"),  # noqa: S108 - no tree
        (("--bind", "x", "{tree}", "a72", "true"), "expected HOST:GUEST"),
        (("--bind", "/nowhere:/mnt", "{tree}", "a72", "true"), "/nowhere does not exist"),
        (("{tree}",), "expected TREE CORE COMMAND"),
    ],
)
def test_mistakes_are_named(tree: Path, arguments: tuple[str, ...], message: str) -> None:
    command = [str(ENTER), *(one.format(tree=tree) for one in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert message in done.stderr
    assert done.stdout == ""
