"""The wheels of a board of another architecture, downloaded once and kept."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from tests.arm64.guest import Suite

_OLDEST_GLIBC = 17
"""Minor version; no wheel for aarch64 is for an older one."""

NO_WHEEL = {"3.13": ("lgpio",)}
"""What has no wheel for aarch64 and a Python: boards take it from their system's packages."""


def download(requirements: Sequence[Path], suite: Suite, folder: Path) -> Path:
    """Download the wheels that an aarch64 board takes; nothing is done if they are there.

    Args:
        requirements: pinned files with hashes.
        suite: the board's system.
        folder: where to.

    Returns:
        ``folder``.
    """
    wanted = "".join(for_board(file.read_text(), suite.python) for file in requirements)
    # Files may name a package twice, and pip takes it once.
    wanted = "".join(f"{line}\n" for line in sorted(set(wanted.splitlines())))
    stamp = folder / "stamp"
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return folder
    making = folder.with_name(folder.name + ".making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    listed = making / "requirements.txt"
    listed.write_text(wanted)
    _pip("download", "--require-hashes", "--requirement", listed, "--dest", making, *_tags(suite))
    (making / "stamp").write_text(digest)
    shutil.rmtree(folder, ignore_errors=True)
    making.rename(folder)
    return folder


def unpack(requirements: Path, suite: Suite, wheels: Path, folder: Path) -> Path:
    """Unpack downloaded wheels as a folder for ``PYTHONPATH``; anew each time.

    Returns:
        ``folder``.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    listed = folder / "requirements.txt"
    listed.write_text(for_board(requirements.read_text(), suite.python))
    _pip(
        "install",
        "--no-index",
        "--find-links",
        wheels,
        "--target",
        folder,
        "--no-compile",
        "--requirement",
        listed,
        *_tags(suite),
    )
    return folder


def for_board(text: str, python: str) -> str:
    """Keep the requirements of a 64-bit ARM board with Linux, one a line with its hashes.

    Pip itself asks the machine that it runs on, not the one that the wheels are for.
    """
    board = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "aarch64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    kept = ""
    for line in text.replace("\\\n", " ").splitlines():
        named, *hashes = line.split(" --hash=")
        if not named.strip() or named.startswith("#"):
            continue
        requirement = Requirement(named)
        if requirement.name in NO_WHEEL.get(python, ()):
            continue
        if requirement.marker is None or requirement.marker.evaluate(board):
            pinned = f"{requirement.name}{requirement.specifier}"
            kept += " --hash=".join([pinned, *(one.strip() for one in hashes)]) + "\n"
    return kept


def _tags(suite: Suite) -> Iterator[str]:
    yield from ("--only-binary", ":all:", "--no-deps")
    yield from ("--python-version", suite.python, "--implementation", "cp")
    for abi in (f"cp{suite.python.replace('.', '')}", "abi3", "none"):
        yield from ("--abi", abi)
    # What a board prefers: the newest that its C library can load.
    for minor in range(suite.glibc, _OLDEST_GLIBC - 1, -1):
        yield from ("--platform", f"manylinux_2_{minor}_aarch64")
    yield from ("--platform", "manylinux2014_aarch64")


def _pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq"]
    subprocess.run([*command, *map(str, arguments)], check=True)
