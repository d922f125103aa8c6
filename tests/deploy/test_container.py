"""The image of the container file: built by buildah, run with a read-only root."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.deploy.container import USER, Builder, missing, verifies_and_judges
from tests.deploy.kits import ROOT, unpack

FILE = ROOT / "deploy" / "linegate_deploy" / "board" / "Containerfile"


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
) -> Iterator[tuple[Path, Mapping[str, object]]]:
    """The image's disk and settings."""
    builder.build(unpack(kit, tmp_path_factory.mktemp("context")), "amd64", "linegate")
    with builder.unpacked("linegate") as disk:
        yield disk, builder.settings("linegate")


@pytest.mark.board
def test_the_image_verifies_a_bundle_and_judges_with_nothing_to_write_but_its_volume(
    image: tuple[Path, Mapping[str, object]], tmp_path: Path
) -> None:
    disk, settings = image
    assert settings["User"] == f"{USER}:{USER}"
    assert settings["Entrypoint"] == ["linegate"]
    assert settings["StopSignal"] == "SIGTERM"
    verifies_and_judges(disk, settings, tmp_path)


@pytest.mark.board
def test_the_image_has_nothing_that_only_building_needs(
    image: tuple[Path, Mapping[str, object]],
) -> None:
    disk, _ = image
    assert not (disk / "kit").exists()
    assert list((disk / "opt/linegate/env/lib").glob("python3*/site-packages/pip")) == []
    assert list((disk / "var/lib/apt/lists").glob("*_Packages*")) == []
