"""The image of the container file: built by buildah, run with a read-only root."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.container import Builder, missing, run_read_only
from tests.deploy.kits import ROOT, TINY, unpack

FILE = ROOT / "deploy" / "linegate_deploy" / "board" / "Containerfile"
USER = 10001


def test_the_container_file_is_clean_under_hadolint() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), FILE],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout


def test_the_file_beside_this_folders_readme_is_the_one_that_kits_carry() -> None:
    assert (ROOT / "deploy" / "Containerfile").resolve() == FILE


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    reason = missing()
    if reason:
        pytest.skip(reason)
    return Builder(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def image(
    builder: Builder, kit: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, list[str]]]:
    """The image's disk, and its environment as it says."""
    builder.build(unpack(kit, tmp_path_factory.mktemp("context")), "amd64", "linegate")
    settings = builder.settings("linegate")
    assert settings["User"] == f"{USER}:{USER}"
    assert settings["Entrypoint"] == ["linegate"]
    assert settings["StopSignal"] == "SIGTERM"
    with builder.unpacked("linegate") as disk:
        yield disk, list(map(str, settings["Env"]))  # type: ignore[call-overload]


@pytest.mark.board
def test_the_image_verifies_a_bundle_and_judges_with_nothing_to_write_but_its_volume(
    image: tuple[Path, list[str]], tmp_path: Path
) -> None:
    disk, environment = image
    tmp_path.chmod(0o755)
    data = tmp_path / "data"
    data.mkdir()
    shutil.copyfile(TINY, data / "tiny.linegate")
    (data / "line.toml").write_text(
        'bundle = "tiny.linegate"\n[camera]\naddress = "64x64@30"\nsource = "fake"\n'
        '[trigger]\nkind = "continuous"\n[record]\npath = "parts.sqlite"\n'
    )
    shutil.chown(data, USER, USER)

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return run_read_only(disk, data, ["linegate", *command], environment, USER)

    verified = run("verify", "/var/lib/linegate/tiny.linegate")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout.count("golden frames answered as promised") == 2
    ran = run("run", "--config", "/var/lib/linegate/line.toml", "--parts", "5")
    assert ran.returncode == 0, ran.stderr
    assert "5 parts" in ran.stderr
    checked = run("log", "verify", "/var/lib/linegate/parts.sqlite")
    assert checked.returncode == 0, checked.stdout
    assert (data / "parts.sqlite").stat().st_uid == USER


@pytest.mark.board
def test_the_image_has_nothing_that_only_building_needs(image: tuple[Path, list[str]]) -> None:
    disk, _ = image
    assert not (disk / "kit").exists()
    assert list((disk / "opt/linegate/env/lib").glob("python3*/site-packages/pip")) == []
    assert list((disk / "var/lib/apt/lists").glob("*_Packages*")) == []
