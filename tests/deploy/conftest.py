"""Kits, trees and machines; what cannot be had here is skipped, with what to install."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.booted import Machine, booted, make_tree, missing
from tests.deploy.kits import INSTALLER, TINY, make_kit, unpack


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit for this kind of machine, with a bundle."""
    try:
        return make_kit("debian-x86", tmp_path_factory.mktemp("kit"), "--bundle", TINY)
    except ConnectionError as error:
        pytest.skip(f"the kit's wheels cannot be fetched: {error}")


@pytest.fixture(scope="session")
def tree() -> Path:
    """A Debian to install on."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    return make_tree()


@pytest.fixture(scope="module")
def machine(tree: Path, kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted machine with the kit's folder in ``/media/stick``."""
    with booted(tree, tmp_path_factory.mktemp("machine")) as machine:
        unpack(kit, machine.root / "media" / "stick")
        yield machine


@pytest.fixture(scope="module")
def board(tree: Path, kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A board in use: installed, its service runs."""
    with booted(tree, tmp_path_factory.mktemp("board")) as machine:
        unpack(kit, machine.root / "media" / "stick")
        machine.run("sh", INSTALLER)
        yield machine
