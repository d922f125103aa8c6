"""A kit's installer on an emulated ARM board; systemd does not run there, so nothing is started.

What needs a running systemd is rehearsed on x86, in ``tests/deploy``.
"""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from linegate_deploy.requirement_list import pins_for
from tests.arm64.device import STICK, install_device, site_packages
from tests.arm64.guest import SUITES, Guest
from tests.deploy.fingerprints import DATA, data_files, files

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(1800)]


def test_the_board_has_exactly_the_wheels_of_the_kits_hashed_list(
    device: Guest, kit: Path, suite: str
) -> None:
    platform = SUITES[suite]
    listed = (kit / f"requirements-{platform.pythons[0]}.txt").read_text()
    wanted = {f"{_normal(pin.name)}-{pin.version}" for pin in pins_for(listed, {})}
    found = set()
    for metadata in site_packages(device).glob("*.dist-info"):
        name, _, version = metadata.name.removesuffix(".dist-info").rpartition("-")
        found.add(f"{_normal(name)}-{version}")
    assert found == wanted


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_installing_again_changes_nothing(device: Guest, kit: Path) -> None:
    upper = device.upper / "upper"
    before = files(upper), data_files(upper)
    said = install_device(device, kit)
    assert "nothing to do" in said
    assert (files(upper), data_files(upper)) == before


def test_uninstalling_leaves_the_data_folder_only(
    device: Guest, tree: Path, kit: Path, tmp_path: Path
) -> None:
    guest = dataclasses.replace(device, upper=tmp_path / "upper")
    subprocess.run(["cp", "--archive", device.upper, guest.upper], check=True)
    install_device(guest, kit, "--uninstall")
    upper = guest.upper / "upper"
    # Folders of the tree that something was in for a while, and where this machine's are shown.
    left = {
        place
        for place in files(upper)
        if not (tree / place).is_dir() and not place.startswith("mnt/")
    }
    accounts = {"passwd", "group", "shadow", "gshadow", "subuid", "subgid", ".pwd.lock"}
    assert left - {f"etc/{name}" for name in accounts} <= {DATA}
    for name in ("passwd", "group"):
        assert "linegate" not in guest.run("cat", f"/etc/{name}")
    assert (upper / DATA / "bundles" / "tiny-1.0.0.linegate").exists()


def test_a_kit_for_another_platform_is_refused(
    tree: Path, core: str, kit: Path, suite: str, tmp_path: Path
) -> None:
    guest = Guest(tree, core, tmp_path / "upper")
    foreign = tmp_path / "foreign"
    shutil.copytree(kit, foreign, ignore=shutil.ignore_patterns("wheels", "bundle"))
    text = (foreign / "kit.conf").read_text()
    python = SUITES[suite].pythons[0]
    other = "3.13" if python == "3.11" else "3.11"
    (foreign / "kit.conf").write_text(text.replace(f"pythons={python}", f"pythons={other}"))
    said = guest.seeing(foreign, STICK).run("sh", "-c", f"sh {STICK}/install.sh 2>&1", codes=(4,))
    assert "this kit is for another platform" in said
    assert f"linegate deploy-kit --platform rpi-{suite}" in said


def test_doctor_finds_the_engine_and_its_fast_kernels_here(device: Guest) -> None:
    said = device.run("linegate", "doctor", codes=(0, 5), timeout_s=600.0)
    assert re.search(r"ok +packages +exactly the \d+ of /opt/linegate/env-", said), said
    assert re.search(r"ok +engine .* with XNNPACK", said), said
    assert re.search(r"failed +camera .*there is none at /dev/video0", said), said
