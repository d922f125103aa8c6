"""Fetches the wheels that another machine needs; pip does the work and checks the hashes."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from linegate_bundle.errors import OutputError
from linegate_deploy.platforms import Platform
from linegate_deploy.requirement_list import Pin, as_text

_LIMIT_S = 3600.0
"""A slow network is waited for, a hanging one not for ever."""


def fetch_wheels(
    pins: Sequence[Pin], platform: Platform, python: str, shelf: Path | None, into: Path
) -> None:
    """Put the wheels of a list into a folder, each with one of its hashes.

    Args:
        pins: what is wanted.
        platform: of the machine that will install them.
        python: its version, such as ``3.11``.
        shelf: a folder of wheels that were fetched before; None asks the package index.
        into: an existing folder; wheels that it has already are not fetched again.

    Raises:
        OutputError: one is not to be had, or has another hash.
    """
    tag = "cp" + python.replace(".", "")
    source = [] if shelf is None else ["--no-index", "--find-links", str(shelf)]
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "requirements.txt"
        asked.write_text(as_text(pins))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"),
                *("download", "--quiet", "--require-hashes", "--no-deps", "--only-binary=:all:"),
                *("--python-version", python, "--implementation", "cp"),
                *(f"--abi={abi}" for abi in (tag, "abi3", "none")),
                *(f"--platform={name}" for name in platform.wheel_tags),
                *(*source, "--dest", str(into), "--requirement", str(asked)),
            ],
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
        said = " ".join(" ".join(lines).split()) or "pip said nothing"
        where = "the package index" if shelf is None else str(shelf)
        raise OutputError(
            f"the wheels for {platform.name} with Python {python} cannot be had from {where}: "
            f"{said}; where no index can be reached, fetch them on a machine that can "
            "(the folder wheels of any kit) and give that folder with --wheels"
        )
