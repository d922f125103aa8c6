"""What is installed on an emulated board is for its processor, and small."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arm64.device import site_packages
from tests.arm64.guest import ENVIRONMENT, Guest

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(1200)]

MOST_BYTES = 330_000_000

NATIVE = ("ai_edge_litert", "cryptography", "lgpio", "msgspec", "numpy", "onnxruntime", "opencv")
"""Distributions with compiled code, by how their names begin."""

_ELF_MACHINE = slice(18, 20)
"""Where an ELF file names its processor, little endian; 183 is aarch64 (ELF for the Arm 64-bit
Architecture)."""


def tags(site: Path) -> Iterator[tuple[str, str]]:
    """Yield each tag of each installed wheel with the distribution's name and version."""
    for file in site.glob("*.dist-info/WHEEL"):
        for line in file.read_text().splitlines():
            if line.startswith("Tag: "):
                yield file.parent.name.removesuffix(".dist-info"), line.removeprefix("Tag: ")


def test_every_installed_wheel_is_pure_python_or_for_aarch64(device: Guest, suite: str) -> None:
    found = dict(tags(site_packages(device)))
    assert all(tag.endswith(("-none-any", "_aarch64")) for tag in found.values()), found
    compiled = {name for name, tag in found.items() if tag.endswith("_aarch64")}
    # It has no wheel for Python 3.13; boards with that have the system's.
    missing = {"lgpio"} if suite == "trixie" else set()
    for start in set(NATIVE) - missing:
        assert any(name.startswith(start) for name in compiled), (start, found)


def test_every_library_in_the_environment_is_for_aarch64(device: Guest) -> None:
    libraries = list(site_packages(device).rglob("*.so*"))
    assert len(libraries) > 50
    for path in libraries:
        content = path.read_bytes()[:20]
        assert content[:4] == b"\x7fELF", path
        assert int.from_bytes(content[_ELF_MACHINE], "little") == 183, path


def test_the_environment_takes_at_most_330_mb(
    device: Guest, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["du", "-sb", str(site_packages(device))]
    size = int(
        subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()[0]
    )
    with capsys.disabled():
        print(f"\nthe device's environment: {size / 1e6:.0f} MB")  # noqa: T201 - to be read
    assert size <= MOST_BYTES


def test_linegate_runs_on_the_boards_own_python(device: Guest) -> None:
    told = device.run(ENVIRONMENT / "bin" / "linegate", "--version")
    assert told.startswith("linegate ")
    told = device.run(device.python, "-c", "import platform; print(platform.machine())")
    assert told == "aarch64\n"
