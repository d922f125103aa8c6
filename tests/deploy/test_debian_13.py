"""The installer on Debian 13, booted by its own systemd: from a kit, and from a package index."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.booted import PYTHON, Machine, booted, make_tree, missing
from tests.deploy.fingerprints import changed, data_files, files
from tests.deploy.kits import INSTALLER, STICK, unpack

pytestmark = [pytest.mark.board, pytest.mark.timeout(900)]

INDEX = """
import functools, http.server
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/root/index")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def trixie(kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A Debian 13 with the kit in its stick."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with booted(make_tree("trixie"), tmp_path_factory.mktemp("trixie")) as machine:
        unpack(kit, machine.root / "media" / "stick")
        yield machine


def test_a_kit_is_installed_once_works_and_goes_again(trixie: Machine) -> None:
    said = trixie.run("sh", INSTALLER).stdout
    assert said.count("golden frames answered as promised") == 2
    assert trixie.show("ActiveState") == "active"
    assert trixie.run(PYTHON, "--version").stdout.startswith("Python 3.13.")
    found = checked(trixie)
    assert found["python"] == "ok"
    assert found["packages"] == "ok"
    assert found["engine"] == "ok"
    assert found["service"] in {"ok", "warning"}

    trixie.run("systemctl", "stop", "linegate")
    before = files(trixie.root), data_files(trixie.root)
    again = trixie.run("sh", INSTALLER, "--no-start").stdout
    assert "nothing to do" in again
    assert changed(before[0], files(trixie.root)) == set()
    assert changed(before[1], data_files(trixie.root)) == set()

    trixie.run("sh", INSTALLER, "--uninstall")
    assert not (trixie.root / "opt/linegate").exists()
    assert trixie.show("LoadState") == "not-found"
    assert (trixie.root / "var/lib/linegate/bundles/tiny-1.0.0.linegate").exists()


def test_the_systems_library_of_pins_is_used_where_there_is_no_wheel_of_it(
    trixie: Machine,
) -> None:
    """Debian has none; what stands in for it lies where that of Raspberry Pi OS does."""
    system = trixie.root / "usr/lib/python3/dist-packages"
    (system / "lgpio.py").write_text("from _lgpio import HERE\n")
    (system / "_lgpio.py").write_text("HERE = True\n")
    said = trixie.run("sh", INSTALLER, "--no-start").stdout
    assert "the pins are reached through the system's lgpio" in said
    assert trixie.run(PYTHON, "-I", "-c", "import lgpio; print(lgpio.HERE)").stdout == "True\n"
    assert "nothing to do" in trixie.run("sh", INSTALLER, "--no-start").stdout
    trixie.run("sh", INSTALLER, "--uninstall")
    for name in ("lgpio.py", "_lgpio.py"):
        (system / name).unlink()


def checked(machine: Machine) -> dict[str, str]:
    """Return what doctor says of each subject."""
    said = machine.run("linegate", "doctor", "--json", check=False).stdout
    rows = [json.loads(line) for line in said.splitlines()]
    return {row["subject"]: row["outcome"] for row in rows}


def test_wheels_come_from_an_index_where_there_is_no_kit(trixie: Machine) -> None:
    """Data and settings of the installation before are there, and taken again."""
    make_index(trixie.root)
    installer = "/root/linegate/deploy/install.sh"
    with trixie.serving(Path("/usr/bin/python3"), INDEX) as address:
        said = trixie.run("env", f"PIP_INDEX_URL={address}", "sh", installer).stdout
        assert "taking the settings of the installation before" in said
        assert said.count("golden frames answered as promised") == 2
        assert checked(trixie)["packages"] == "ok"
        assert trixie.run("linegate", "--version").stdout.startswith("linegate ")
        again = trixie.run("env", f"PIP_INDEX_URL={address}", "sh", installer).stdout
        assert "nothing to do" in again
        trixie.run("sh", installer, "--uninstall")

        wheel = next((trixie.root / "root/index/numpy").glob("numpy-*-cp313-*.whl"))
        wheel.write_bytes(wheel.read_bytes()[:-1] + b"x")
        before = files(trixie.root)
        done = trixie.run("env", f"PIP_INDEX_URL={address}", "sh", installer, check=False)
        assert done.returncode == 7, done.stdout
        assert "the wheels cannot be fetched from the package index, see above" in done.stdout
        assert "DO NOT MATCH THE HASHES" in done.stdout
        assert changed(before, files(trixie.root)) == set()


def make_index(root: Path) -> None:
    """Put what a checkout has, and an index of the kit's wheels (PyPA: simple repository API)."""
    repository = Path(__file__).resolve().parents[2]
    checkout = root / "root" / "linegate"
    shutil.copytree(
        repository / "deploy",
        checkout / "deploy",
        symlinks=True,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copytree(repository / "requirements", checkout / "requirements")
    for wheel in (root / STICK / "wheels").glob("*.whl"):
        name = wheel.name.split("-")[0].lower().replace("_", "-").replace(".", "-")
        own = wheel.name.startswith("linegate")
        folder = checkout / "build/wheels" if own else root / "root/index" / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wheel, folder / wheel.name)
        if own:
            continue
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        with (folder / "index.html").open("a") as page:
            page.write(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n')
