"""An emulated board with linegate on it, made once a session; caches lie in ``build/arm64``."""

import os
import shutil
from pathlib import Path

import pytest

from tests.arm64 import trained
from tests.arm64.device import install_device
from tests.arm64.guest import CORES, REPOSITORY, SUITES, Guest, make_tree
from tests.arm64.wheels import library_folder
from tests.deploy.kits import make_kit, unpack
from tests.support import TINY_BUNDLE

_CACHE = REPOSITORY / "build" / "arm64"
_REQUIREMENTS = REPOSITORY / "requirements"

_PROGRAMS = {
    "qemu-aarch64-static": "qemu-user-static",
    "mmdebstrap": "mmdebstrap",
    "arch-test": "arch-test",
}

PICTURES_OF_A_CLASS = 23
"""Of each of six classes of defects, and three times as many good ones."""


@pytest.fixture(scope="session")
def suite() -> str:
    """The Debian that is tested."""
    return _chosen("LINEGATE_ARM64_SUITE", "bookworm", tuple(SUITES))


@pytest.fixture(scope="session")
def core() -> str:
    """The processor that is tested."""
    return _chosen("LINEGATE_ARM64_CORE", "a72", CORES)


@pytest.fixture(scope="session")
def tree(suite: str) -> Path:
    """A Debian without linegate."""
    if os.getuid() != 0:
        pytest.skip("needs root, for chroot and mounts")
    missing = [package for program, package in _PROGRAMS.items() if not shutil.which(program)]
    if missing:
        pytest.skip(f"apt install {' '.join(missing)}")
    return make_tree(suite, _CACHE / f"tree-{suite}")


@pytest.fixture(scope="session")
def kit(suite: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a kit for the board, with a bundle, as it is unpacked there."""
    folder = tmp_path_factory.mktemp("kit")
    return unpack(make_kit(SUITES[suite].name, folder, "--bundle", TINY_BUNDLE), folder / "stick")


@pytest.fixture(scope="session")
def device(tree: Path, core: str, suite: str, kit: Path) -> Guest:
    """A board on which the installer has just installed linegate."""
    guest = Guest(tree, core, _CACHE / f"device-{suite}-{core}")
    shutil.rmtree(guest.upper, ignore_errors=True)
    said = install_device(guest, kit)
    assert said.count("golden frames answered as promised") == 2, said
    return guest


@pytest.fixture(scope="session")
def libraries(suite: str) -> Path:
    """A folder for ``PYTHONPATH`` with pytest and its plug-ins for the board."""
    folder = _CACHE / f"device-test-{suite}"
    return library_folder(_REQUIREMENTS / "device-test.txt", SUITES[suite], folder)


@pytest.fixture(scope="session")
def trained_bundle() -> Path:
    """A bundle of a net that was trained on real pictures."""
    return trained.trained_bundle(_CACHE)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 207 real pictures that no training saw."""
    folder = tmp_path_factory.mktemp("pictures")
    for source in trained.choose("test", PICTURES_OF_A_CLASS):
        shutil.copyfile(source, folder / f"{source.parent.name}-{source.name}")
    return folder


def _chosen(variable: str, default: str, valid: tuple[str, ...]) -> str:
    value = os.environ.get(variable, default)
    if value not in valid:
        raise ValueError(f"{variable}: expected {' or '.join(valid)}, got {value!r}")
    return value
