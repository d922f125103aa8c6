"""``linegate deploy-kit``: what is in a kit, and what it refuses."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from linegate_deploy.runtime_wheel import runtime_wheel
from tests.contract.test_wheels import LISTS, build, contents
from tests.deploy.kits import ROOT, TINY, WHEELS, deploy_kit, make_kit, unpack


@pytest.fixture(scope="module")
def folder(kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit, unpacked."""
    return unpack(kit, tmp_path_factory.mktemp("unpacked"))


def test_a_kit_holds_what_it_says_and_nothing_else(folder: Path) -> None:
    listed = {
        line.split("  ")[1]: line.split("  ")[0]
        for line in (folder / "SHA256SUMS").read_text().splitlines()
    }
    found = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert listed == found
    assert (folder / "bundle" / "tiny-1.0.0.linegate").read_bytes() == TINY.read_bytes()


def test_the_same_contents_give_the_same_kit(kit: Path, tmp_path: Path) -> None:
    again = make_kit("debian-x86", tmp_path, "--bundle", TINY)
    assert again.name == kit.name
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(kit.read_bytes()).digest()


def test_a_kits_list_is_met_by_its_wheels_alone(folder: Path, tmp_path: Path) -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"),
            *("--no-index", "--find-links", folder / "wheels", "--require-hashes"),
            *("--target", tmp_path / "site", "-r", folder / f"requirements-{version}.txt"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.board
def test_the_wheels_for_ubuntus_python_work_where_that_is_installed(
    folder: Path, tmp_path: Path
) -> None:
    """Debian has none of this version, so no machine is booted with it."""
    python = shutil.which("python3.12")
    if python is None or subprocess.run([python, "--version"], check=False).returncode:
        pytest.skip("needs python3.12")
    environment = tmp_path / "env"
    subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)
    (pip,) = (folder / "wheels").glob("pip-*.whl")
    inside = environment / "bin" / "python"
    subprocess.run(
        [
            *(python, f"{pip}/pip", "--python", str(inside), "install", "--quiet", "--no-deps"),
            *("--no-index", "--find-links", f"{folder}/wheels", "--require-hashes"),
            *("--only-binary=:all:", "-r", f"{folder}/requirements-3.12.txt"),
        ],
        check=True,
        timeout=300,
    )
    verify = [f"{environment}/bin/linegate", "verify", str(TINY)]
    said = subprocess.run(verify, check=True, capture_output=True, text=True, timeout=60).stdout
    assert said.count("golden frames answered as promised") == 2


@pytest.mark.board
def test_a_kit_can_be_made_for_a_platform_that_no_tree_here_has(tmp_path: Path) -> None:
    try:
        kit = make_kit("ubuntu-arm64", tmp_path)
    except ConnectionError as error:
        pytest.skip(f"the kit's wheels cannot be fetched: {error}")
    wheels = [path.name for path in (unpack(kit, tmp_path / "unpacked") / "wheels").iterdir()]
    compiled = [name for name in wheels if not name.endswith("-any.whl")]
    assert {"numpy", "onnxruntime", "lgpio"} <= {name.split("-")[0] for name in compiled}
    assert all(name.endswith("_aarch64.whl") for name in compiled), compiled


def test_the_runtimes_wheel_is_the_one_that_a_build_gives(tmp_path: Path) -> None:
    wheel = runtime_wheel()
    path = tmp_path / wheel.name
    path.write_bytes(wheel.content)
    listed = (LISTS / "linegate_runtime.txt").read_text().splitlines()
    assert contents(path) == listed
    built = build(ROOT / "runtime", tmp_path / "built")
    with zipfile.ZipFile(path) as ours, zipfile.ZipFile(built) as theirs:
        for name in ours.namelist():
            if name.startswith("linegate_"):
                if "dist-info" in name and name.endswith(("RECORD", "WHEEL")):
                    continue
                # Behind the head stands the README, which may be edited since it was installed.
                head = name.endswith("METADATA")
                pair = [archive.read(name) for archive in (ours, theirs)]
                assert len({text.split(b"\n\n")[0] if head else text for text in pair}) == 1, name


def test_a_kits_files_have_no_times_owners_or_odd_modes(kit: Path) -> None:
    with tarfile.open(kit) as archive:
        members = archive.getmembers()
    assert {(one.mtime, one.uid, one.gid) for one in members} == {(0, 0, 0)}
    assert {one.mode for one in members} == {0o644, 0o755}
    assert all(one.isfile() and ".." not in one.name for one in members)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--platform", "rpi-jessie"), 2, "invalid choice"),
        (("--platform", "debian-x86", "--bundle", "DAMAGED"), 3, "DAMAGED"),
        (("--platform", "debian-x86", "--bundle", "nowhere.linegate"), 3, "nowhere.linegate"),
        (("--platform", "debian-x86", "--settings", "WRONG"), 4, "kamera: unknown"),
        (("--platform", "debian-x86", "--settings", "BESIDE"), 4, "expected a path on the board"),
        (("--platform", "debian-x86", "--settings", "BESIDE"), 4, 'expected bundle = "/var/lib'),
        (
            ("--platform", "debian-x86", "--settings", "NAMES"),
            4,
            "empty: a kit carries no such file",
        ),
        (
            ("--platform", "debian-x86", "--settings", "NAMES"),
            4,
            "or /etc/linegate/secret if it is only read",
        ),
        (("--platform", "debian-x86", "--wheels", "EMPTY"), 7, "cannot be had from"),
    ],
)
def test_what_cannot_be_made_is_explained_and_nothing_is_left(
    tmp_path: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    places = {name: tmp_path / name for name in ("DAMAGED", "WRONG", "BESIDE", "NAMES", "EMPTY")}
    content = bytearray(TINY.read_bytes())
    content[1000] ^= 1
    places["DAMAGED"].write_bytes(content)
    places["WRONG"].write_text("[kamera]\n")
    places["BESIDE"].write_text('[camera]\naddress = "0"\n[record]\npath = "parts.sqlite"\n')
    places["NAMES"].write_text(
        'bundle = "/b.linegate"\n[camera]\naddress = "0"\n[trigger]\nempty = "empty.png"\n'
        '[record]\npath = "/r.sqlite"\n[[sink]]\nkind = "mqtt"\naddress = "::1"\n'
        'user = "u"\npassword_file = "secret"\n'
    )
    places["EMPTY"].mkdir()
    out = tmp_path / "out"
    done = deploy_kit(*(places.get(option, option) for option in options), "--out", out)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert not out.exists() or list(out.iterdir()) == []


def test_a_wheel_with_another_hash_is_refused(kit: Path, tmp_path: Path) -> None:
    del kit  # has fetched the wheels
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for wheel in (WHEELS / "debian-x86").iterdir():
        (shelf / wheel.name).symlink_to(wheel)
    forged = next(shelf.glob("idna-*.whl"))
    content = forged.read_bytes()
    forged.unlink()
    forged.write_bytes(content + b"\0")
    done = deploy_kit("--platform", "debian-x86", "--wheels", shelf, "--out", tmp_path)
    assert done.returncode == 7
    assert "idna" in done.stderr
    assert list(tmp_path.glob("*.tar")) == []
