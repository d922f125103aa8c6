"""A technician's way from a stick to the first verdict, as the page says, on a booted machine."""

import contextlib
import re
from pathlib import Path

import pytest

from tests.deploy.booted import PYTHON, Machine, booted
from tests.deploy.quick_start import SUDO, board_commands, tried
from tests.record_run import wait_for

CAMERA = """
import time, numpy
from linegate_runtime.testing import Belt, MjpegServer
parts = [numpy.full((120, 120, 3), 60 + 40 * number, numpy.uint8) for number in range(4)]
belt = Belt(parts, speed_px=6, gap_px=150, width=320, height=240, lead_px=400)
def picture(seconds):
    return belt.frame(int(seconds * 30) % len(belt))
with MjpegServer(picture, fps=30) as server:
    print(server.address, flush=True)
    time.sleep(900)
"""


@pytest.mark.board
@pytest.mark.timeout(600)
def test_every_command_of_the_quick_start_works_as_it_stands(
    tree: Path, kit: Path, tmp_path: Path
) -> None:
    with booted(tree, tmp_path) as machine:
        (machine.root / "mnt" / kit.name).write_bytes(kit.read_bytes())
        sudo = machine.root / "usr/local/bin/sudo"
        sudo.write_text(SUDO)
        sudo.chmod(0o755)
        with contextlib.ExitStack() as stack:
            for command in filter(tried, board_commands()):
                said = type_in(machine, command)
                if "install.sh" in command:
                    assert said.count("answered as promised") == 2
                    set_camera(machine, stack.enter_context(machine.serving(PYTHON, CAMERA)))
                if "log show" in command:
                    assert "accept" in said or "reject" in said or "unsure" in said


def type_in(machine: Machine, command: str) -> str:
    """Run a command as it stands, but for this kind of machine and for not too long."""
    command = command.replace("rpi-bookworm", "debian-x86")
    if "--view" in command:
        command = f"timeout --signal=INT 5 {command} || [ $? = 124 ]"
    if " bench " in command:
        command += " --seconds 1"
    if "status" in command:
        wait_for(lambda: re.search(r"parts [1-9]", machine.show("StatusText")) is not None, 60)
    done = machine.run("sh", "-c", f"cd /root && {command}", check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def set_camera(machine: Machine, address: str) -> None:
    """Write what a technician would with the editor: a camera in the network."""
    settings = machine.root / "etc/linegate/linegate.toml"
    settings.write_text(
        settings.read_text()
        .replace('address = "0"', f'address = "{address}"')
        .replace("# part_size = [300, 300]", "part_size = [120, 120]")
    )
