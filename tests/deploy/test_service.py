"""The service on a machine that a real systemd has booted, in the sandbox of its unit."""

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.deploy.booted import PYTHON, Machine
from tests.deploy.kits import INSTALLER, TINY
from tests.record_run import wait_for

pytestmark = pytest.mark.board

CAMERA = """
import time, numpy
from linegate_runtime.testing import MjpegServer
random = numpy.random.default_rng(0)
def picture(seconds):
    return random.integers(0, 200, (240, 320, 3), numpy.uint8)
with MjpegServer(picture, fps=30) as server:
    print(server.address, flush=True)
    time.sleep(600)
"""

SETTINGS = """
bundle = "/var/lib/linegate/bundle.linegate"
[camera]
address = "{address}"
[trigger]
kind = "continuous"
[record]
path = "/var/lib/linegate/parts.sqlite"
pictures = "/var/lib/linegate/pictures"
accepted_share = 1.0
[metrics]
listen = "127.0.0.1:9464"
[[sink]]
kind = "csv"
path = "/var/lib/linegate/parts.csv"
[[sink]]
kind = "modbus"
listen = "127.0.0.1:5020"
[[sink]]
kind = "opcua"
listen = "127.0.0.1:4840"
"""


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Machine:
    """The machine after the installer, with a service that has no camera."""
    machine.run("sh", INSTALLER)
    return machine


@pytest.fixture(scope="module")
def watching(installed: Machine) -> Iterator[Machine]:
    """The same before a camera, with every kind of output that needs no other machine."""
    with installed.serving(PYTHON, CAMERA) as address:
        settings = SETTINGS.format(address=address)
        (installed.root / "etc/linegate/linegate.toml").write_text(settings)
        installed.run("systemctl", "restart", "linegate")
        wait_for(lambda: parts(installed) > 3, 30)
        yield installed


def parts(machine: Machine) -> int:
    found = re.search(r"parts (\d+)", machine.show("StatusText"))
    return int(found[1]) if found else 0


def test_a_service_without_its_camera_runs_and_says_so(installed: Machine) -> None:
    wait_for(lambda: "nothing is accepted: camera 0 gives no frames" in status(installed), 30)
    assert installed.show("ActiveState") == "active"
    assert installed.show("NRestarts") == "0"


def test_doctor_says_what_the_board_lacks_and_that_the_rest_is_in_order(
    installed: Machine,
) -> None:
    found = doctor(installed)
    assert ("packages", "ok") in found
    assert ("service", "warning") in found
    assert ("camera", "failed") in found
    assert ("engine", "ok") in found
    installed.run("systemctl", "stop", "linegate")
    try:
        assert ("camera", "failed") in doctor(installed)
        # As its own user the service finds the same, but for what root alone is told.
        assert ("packages", "ok") in doctor(
            installed, "setpriv", "--reuid", "linegate", "--regid", "linegate", "--init-groups"
        )
    finally:
        installed.run("systemctl", "start", "linegate")


def doctor(machine: Machine, *before: str) -> list[tuple[str, str]]:
    done = machine.run(*before, "linegate", "doctor", "--json", check=False)
    assert done.returncode == 5, done.stdout
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    return [(finding["subject"], finding["outcome"]) for finding in findings]


def status(machine: Machine) -> str:
    return machine.show("StatusText")


def test_a_line_in_its_sandbox_judges_records_and_tells(watching: Machine) -> None:
    data = watching.root / "var/lib/linegate"
    wait_for(lambda: (data / "parts.csv").exists() and len((data / "parts.csv").read_text()) > 500)
    log = watching.run("journalctl", "-u", "linegate", "--no-pager", "-o", "cat").stdout
    assert "Permission denied" not in log
    assert "not permitted" not in log
    health = watching.run(
        *("/opt/linegate/env/bin/python", "-c"),
        "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/healthz').read())",
    ).stdout
    assert '"status":"ok"' in health
    assert any((data / "pictures").rglob("*.jpg"))


def test_the_sandbox_lets_the_line_ask_for_the_clock(watching: Machine) -> None:
    row = watching.run(
        "linegate", "log", "show", "/var/lib/linegate/parts.sqlite", "--json", "--limit", "1"
    ).stdout
    assert '"clock_synced":true' in row or '"clock_synced":false' in row


def test_short_lived_files_go_to_memory(watching: Machine) -> None:
    pid = watching.show("MainPID")
    environment = watching.run("sh", "-c", f"tr '\\0' '\\n' < /proc/{pid}/environ").stdout
    assert "TMPDIR=/run/linegate\n" in environment
    mounts = watching.run("cat", f"/proc/{pid}/mountinfo").stdout
    place = watching.run("stat", "-f", "-c", "%T", "/run/linegate").stdout.strip()
    assert place == "tmpfs", mounts


def test_a_line_that_hangs_is_started_anew_by_the_watchdog(watching: Machine) -> None:
    drop_in = watching.root / "etc/systemd/system/linegate.service.d/quick.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nWatchdogSec=2\nRestartSec=0\n")
    try:
        watching.run("systemctl", "daemon-reload")
        watching.run("systemctl", "restart", "linegate")
        first = watching.show("MainPID")
        watching.run("sh", "-c", f"kill -STOP {first}")
        wait_for(lambda: watching.show("MainPID") not in {first, "0"}, 60)
        wait_for(lambda: watching.show("ActiveState") == "active", 60)
        log = watching.run("journalctl", "-u", "linegate", "--no-pager", "-o", "cat").stdout
        assert "watchdog" in log.lower()
    finally:
        drop_in.unlink()
        drop_in.parent.rmdir()
        watching.run("systemctl", "daemon-reload")
        watching.run("systemctl", "restart", "linegate")


def test_a_line_that_is_stopped_ends_in_order_and_leaves_its_record_whole(
    watching: Machine,
) -> None:
    wait_for(lambda: parts(watching) > 3, 30)
    watching.run("systemctl", "stop", "linegate")
    # Anything that was killed after TimeoutStopSec would be the result "timeout".
    assert watching.show("Result") == "success"
    assert watching.show("ExecMainStatus") == "0"
    data = watching.root / "var/lib/linegate"
    assert not (data / "parts.sqlite-wal").exists()
    watching.run("linegate", "log", "verify", "/var/lib/linegate/parts.sqlite")
    watching.run("systemctl", "start", "linegate")


def test_reload_opens_another_bundle_while_the_line_runs(watching: Machine) -> None:
    pid = watching.show("MainPID")
    bundle = watching.root / "var/lib/linegate/bundles/tiny-1.0.0.linegate"
    before = bundle.read_bytes()
    bundle.with_suffix(".new").write_bytes(b"damaged")
    bundle.with_suffix(".new").rename(bundle)
    try:
        watching.run("systemctl", "reload", "linegate")

        def is_refused() -> bool:
            return (
                "the new bundle is not taken"
                in watching.run("journalctl", "-u", "linegate", "--no-pager", "-o", "cat").stdout
            )

        wait_for(is_refused, 30)
        assert watching.show("MainPID") == pid
    finally:
        bundle.with_suffix(".new").write_bytes(before)
        bundle.with_suffix(".new").rename(bundle)
    assert before == TINY.read_bytes()


def test_what_starting_again_cannot_heal_is_not_started_again(watching: Machine) -> None:
    settings = watching.root / "etc/linegate/linegate.toml"
    text = settings.read_text()
    settings.write_text(text + "\n[kamera]\n")
    try:
        watching.run("systemctl", "restart", "linegate", check=False)
        wait_for(lambda: watching.show("ActiveState") == "failed", 30)
        time.sleep(4)
        assert watching.show("ActiveState") == "failed"
        assert watching.show("ExecMainStatus") == "4"
    finally:
        settings.write_text(text)
        watching.run("systemctl", "reset-failed", "linegate")
        watching.run("systemctl", "start", "linegate")


def test_a_line_that_is_killed_is_back(watching: Machine) -> None:
    first = watching.show("MainPID")
    watching.run("sh", "-c", f"kill -KILL {first}")
    wait_for(lambda: watching.show("MainPID") not in {first, "0"}, 60)
    wait_for(lambda: parts(watching) > 3, 60)
    watching.run("linegate", "log", "verify", "/var/lib/linegate/parts.sqlite")
