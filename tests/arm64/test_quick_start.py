"""The quick start's commands on an emulated ARM board, as far as they need no running systemd."""

import dataclasses
import subprocess
from pathlib import Path

import pytest

from linegate_runtime.testing import MjpegServer
from tests.arm64.guest import SUITES, Guest
from tests.deploy.kits import TINY, make_kit
from tests.deploy.quick_start import SUDO, board_commands, tried
from tests.fault_run import changing_picture

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(1800)]


def test_the_commands_of_the_quick_start_work_as_they_stand(
    device: Guest, suite: str, tmp_path: Path
) -> None:
    """The board has had the same installation once: its minute under emulation is not repeated."""
    stick = tmp_path / "stick"
    stick.mkdir()
    make_kit(SUITES[suite].name, stick, "--bundle", TINY)
    guest = dataclasses.replace(device, upper=tmp_path / "upper").seeing(stick, Path("/mnt"))
    subprocess.run(["cp", "--archive", device.upper, guest.upper], check=True)
    write_sudo = f"cat > /usr/local/bin/sudo <<'END'\n{SUDO}END\nchmod 755 /usr/local/bin/sudo"
    guest.run("sh", "-c", write_sudo)
    with MjpegServer(changing_picture, fps=5) as camera:
        for command in filter(is_tried_here, board_commands()):
            typed = as_typed(command).replace("rpi-bookworm", SUITES[suite].name)
            said = guest.run("sh", "-c", f"cd /root && {typed}", timeout_s=900.0)
            if "install.sh" in command:
                assert said.count("answered as promised") == 2
                edit = f's#^address = "0"#address = "{camera.address}"#'
                guest.run("sed", "-i", edit, "/etc/linegate/linegate.toml")


def is_tried_here(command: str) -> bool:
    # There is no running systemd and no part: test_live.py has a line with parts.
    return tried(command) and "systemctl" not in command and "log show" not in command


def as_typed(command: str) -> str:
    """Return the command so that it ends: what is watched or timed ends after a while."""
    if "--view" in command:
        return f"timeout --signal=INT 20 {command} || [ $? = 124 ]"
    return f"{command} --seconds 1" if " bench " in command else command
