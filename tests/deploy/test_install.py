"""The installer on a machine that a real systemd has booted, without network."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.deploy.booted import Machine, booted, overlaid
from tests.deploy.fingerprints import DATA, changed, data_files, files
from tests.deploy.kits import INSTALLER, STICK, unpack

pytestmark = pytest.mark.board


def test_install_verifies_and_starts_again_changes_nothing_and_uninstall_leaves_the_data(
    machine: Machine,
) -> None:
    before = files(machine.root)
    said = machine.run("sh", INSTALLER, "--no-start").stdout
    assert "10 golden frames answered as promised in ai-edge-litert" in said
    assert "10 golden frames answered as promised in onnxruntime" in said
    assert said.rstrip().splitlines()[-2].endswith("installed")
    assert "warning: /opt lies on an overlay" in said
    installed, data = files(machine.root), data_files(machine.root)
    assert machine.run("systemctl", "is-enabled", "linegate").stdout.strip() == "enabled"

    again = machine.run("sh", INSTALLER, "--no-start").stdout
    assert "nothing to do" in again
    assert changed(installed, files(machine.root)) == set()
    assert data_files(machine.root) == data

    settings = machine.root / "etc/linegate/linegate.toml"
    settings.write_text(settings.read_text().replace('address = "0"', 'address = "7"'))
    machine.run("sh", INSTALLER, "--uninstall")
    left = changed(before, files(machine.root))
    # The accounts' files have the bytes of before, at another time.
    accounts = {"etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "etc/subuid", "etc/subgid"}
    assert {place for place in left if place not in accounts} <= {"etc/.pwd.lock", DATA}
    for place in accounts & left:
        assert before[place].split()[-1] == files(machine.root)[place].split()[-1], place
    assert (machine.root / "var/lib/linegate/bundles/tiny-1.0.0.linegate").exists()

    said = machine.run("sh", INSTALLER).stdout
    assert "taking the settings of the installation before" in said
    assert 'address = "7"' in settings.read_text()
    assert machine.show("ActiveState") == "active"
    machine.run("sh", INSTALLER, "--uninstall")


def test_what_an_interruption_left_goes_with_the_rest(machine: Machine) -> None:
    before = files(machine.root)
    machine.run("sh", INSTALLER, "--no-start")
    for name in (
        "opt/linegate/env",
        "etc/systemd/system/linegate.service",
        "etc/systemd/journald.conf.d/linegate.conf",
        "etc/linegate/linegate.toml",
    ):
        (machine.root / f"{name}.new").write_text("half a file")
    machine.run("sh", INSTALLER, "--uninstall")
    assert not {place for place in changed(before, files(machine.root)) if "linegate" in place}
    assert not (machine.root / DATA / "settings" / "linegate.toml.new").exists()


def test_a_kits_tar_file_is_taken_as_it_is(machine: Machine, kit: Path) -> None:
    place = machine.root / "media" / "kit.tar"
    place.write_bytes(kit.read_bytes())
    script = machine.root / "root" / "install.sh"
    script.write_bytes((machine.root / STICK / "install.sh").read_bytes())
    said = machine.run("sh", "/root/install.sh", "--offline", "/media/kit.tar", "--no-start").stdout
    assert said.count("answered as promised") == 2
    assert list((machine.root / "var/tmp").glob("linegate-*")) == []
    machine.run("sh", INSTALLER, "--uninstall")


def refused(machine: Machine, code: int, *options: str) -> str:
    """Run the installer, which must refuse and change nothing."""
    before = files(machine.root)
    done = machine.run("sh", INSTALLER, *options, check=False)
    assert done.returncode == code, done.stdout
    assert changed(before, files(machine.root)) == set()
    return done.stdout


def test_a_foreign_service_of_that_name_is_left_alone(machine: Machine) -> None:
    unit = machine.root / "etc/systemd/system/linegate.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    try:
        assert "another program has a service of this name" in refused(machine, 4)
        assert "another program" in refused(machine, 4, "--uninstall")
    finally:
        unit.unlink()


def test_a_foreign_user_of_that_name_is_left_alone(machine: Machine) -> None:
    machine.run("useradd", "--create-home", "linegate")
    try:
        assert "the user linegate exists and is somebody else's" in refused(machine, 4)
    finally:
        machine.run("userdel", "--remove", "linegate")


def test_a_foreign_group_of_that_name_is_left_alone(machine: Machine) -> None:
    machine.run("groupadd", "linegate")
    try:
        assert "the group linegate exists without a user" in refused(machine, 4)
    finally:
        machine.run("groupdel", "linegate")


def test_a_masked_service_is_named_as_what_it_is(machine: Machine) -> None:
    machine.run("systemctl", "mask", "linegate")
    try:
        assert "systemctl unmask linegate" in refused(machine, 4)
    finally:
        machine.run("systemctl", "unmask", "linegate")


def test_a_damaged_step_of_the_installer_is_never_run(machine: Machine) -> None:
    step = machine.root / STICK / "installer" / "system.sh"
    content = step.read_bytes()
    step.write_bytes(content + b"touch /root/was-run\n")
    try:
        assert "installer/system.sh: FAILED" in refused(machine, 3)
        assert "installer/system.sh: FAILED" in refused(machine, 3, "--offline", f"/{STICK}")
    finally:
        step.write_bytes(content)


def test_the_script_alone_says_what_it_needs(machine: Machine) -> None:
    script = machine.root / "root" / "alone" / "install.sh"
    script.parent.mkdir()
    script.write_bytes((machine.root / STICK / "install.sh").read_bytes())
    done = machine.run("sh", "/root/alone/install.sh", check=False)
    assert done.returncode == 2
    assert "say --offline KIT.tar" in done.stdout


def test_what_no_step_foresees_is_said_to_be_that(machine: Machine) -> None:
    tool = machine.root / "usr/sbin/useradd"
    content = tool.read_bytes()
    tool.rename(tool.with_suffix(".real"))
    tool.write_text("#!/bin/sh\necho useradd: no >&2\nexit 12\n")
    tool.chmod(0o755)
    try:
        done = machine.run("sh", INSTALLER, check=False)
        assert done.returncode == 1, done.stdout
        assert "useradd: no\nlinegate: error: a command failed that never should" in done.stdout
    finally:
        tool.with_suffix(".real").rename(tool)
    assert tool.read_bytes() == content
    machine.run("sh", INSTALLER, "--no-start")
    machine.run("sh", INSTALLER, "--uninstall")


def test_a_damaged_kit_is_refused(machine: Machine) -> None:
    wheel = next((machine.root / STICK / "wheels").glob("numpy-*-cp311-*.whl"))
    content = wheel.read_bytes()
    wheel.write_bytes(content[:-1] + b"x")
    try:
        said = refused(machine, 3)
        assert f"{wheel.name}: FAILED" in said
        assert "copy it to the board once more" in said
    finally:
        wheel.write_bytes(content)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("architecture", "arm64", "this kit is for another platform"),
        ("pythons", "3.9", "this is amd64 3.11"),
    ],
)
def test_a_kit_for_another_platform_is_refused(
    machine: Machine, key: str, value: str, message: str
) -> None:
    description = machine.root / STICK / "kit.conf"
    text = description.read_text()
    lines = [f"{key}={value}" if line.startswith(f"{key}=") else line for line in text.splitlines()]
    description.write_text("\n".join(lines) + "\n")
    try:
        said = refused(machine, 4)
        assert message in said
        assert "linegate deploy-kit --platform debian-x86" in said
    finally:
        description.write_text(text)


def test_a_32_bit_system_is_refused_with_the_reason(machine: Machine) -> None:
    # A 64-bit kernel under a 32-bit system, as Raspberry Pi OS has had it: only dpkg tells.
    real = machine.root / "usr/bin/dpkg"
    content = real.read_bytes()
    real.rename(real.with_suffix(".real"))
    real.write_text("#!/bin/sh\necho armhf\n")
    real.chmod(0o755)
    try:
        said = refused(machine, 4)
        assert "expected a 64-bit system, this one is armhf" in said
        assert "64-bit Raspberry Pi OS" in said
    finally:
        real.with_suffix(".real").rename(real)
        assert real.read_bytes() == content


def test_no_kit_and_no_network_is_said_with_what_to_do(machine: Machine) -> None:
    folder = machine.root / "root" / "checkout"
    kit = machine.root / STICK
    shutil.copytree(kit, folder, ignore=shutil.ignore_patterns("kit.conf", "wheels", "bundle"))
    before = files(machine.root)
    done = machine.run("sh", "/root/checkout/install.sh", check=False)
    assert done.returncode == 2
    assert "expected the runtime's wheel" in done.stdout
    assert "linegate deploy-kit" in done.stdout
    (wheel,) = (kit / "wheels").glob("linegate_runtime-*.whl")
    (folder / wheel.name).write_bytes(wheel.read_bytes())
    other = folder / wheel.name.replace("-py3-", "-2-py3-")
    other.write_bytes(wheel.read_bytes())
    done = machine.run("sh", "/root/checkout/install.sh", check=False)
    assert done.returncode == 2
    assert "expected one wheel of the runtime, found" in done.stdout
    other.unlink()
    done = machine.run("sh", "/root/checkout/install.sh", check=False)
    assert done.returncode in {4, 7}
    assert "linegate deploy-kit" in done.stdout or "python3-venv" in done.stdout
    left = f"root/checkout/{wheel.name}"
    assert changed(before, files(machine.root)) == {left}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--offline",), "--offline needs a folder"),
        (("--offline", "/nowhere"), "there is no such folder or file"),
        (("--offline", "/etc"), "expected a kit, with kit.conf"),
        (("--offline", "/etc/passwd"), "it cannot be unpacked into /var/tmp"),
        (("--often",), "unknown option --often"),
        (("--with-picamera2",), "apt install python3-picamera2"),
    ],
)
def test_wrong_options_are_explained(
    machine: Machine, options: tuple[str, ...], message: str
) -> None:
    done = machine.run("sh", INSTALLER, *options, check=False)
    assert done.returncode in {2, 3, 4}
    assert message in done.stdout
    assert not (machine.root / "opt/linegate").exists()


def test_too_little_space_and_a_read_only_disk_are_said_and_nothing_is_changed(
    tree: Path, kit: Path, tmp_path: Path
) -> None:
    with overlaid(tree, tmp_path) as root:
        stick = tmp_path / "stick"
        folder = unpack(kit, stick)
        command = [
            *("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--root", str(root)),
            *("sh", f"/media/{folder.name}/install.sh"),
        ]
        subprocess.run(["mount", "--bind", stick, root / "media"], check=True)
        try:
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=90M", "small", root / "opt"], check=True
            )
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            subprocess.run(["umount", root / "opt"], check=True)
            assert done.returncode == 7
            assert "expected 450 MB free below /opt, got 90 MB" in done.stderr
            subprocess.run(["mount", "-o", "remount,ro", root], check=True)
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 7, done.stderr
            assert "/run/linegate-install.lock cannot be written to" in done.stderr
            subprocess.run(["mount", "-t", "tmpfs", "run", root / "run"], check=True)
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            subprocess.run(["umount", root / "run"], check=True)
            assert done.returncode == 7, done.stderr
            assert "/opt cannot be written to: the system's disk is read-only" in done.stderr
        finally:
            subprocess.run(["umount", "--lazy", root / "media"], check=True)


def test_an_installation_that_is_killed_is_repeated_as_if_it_had_not_been(
    tree: Path, kit: Path, tmp_path: Path
) -> None:
    with booted(tree, tmp_path) as machine:
        unpack(kit, machine.root / "media" / "stick")
        process = subprocess.Popen(
            machine.command("sh", INSTALLER),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        machine.wait_until("sh", "-c", "ls -d /opt/linegate/env-*/lib/python3*/site-packages/numpy")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        machine.run("sh", INSTALLER)
        assert machine.show("ActiveState") == "active"
        assert len(list((machine.root / "opt/linegate").glob("env-*"))) == 1
