"""What the device's tests need on a board, as a folder for ``PYTHONPATH``; fetched once."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from linegate_deploy.platforms import Platform
from linegate_deploy.requirement_list import as_text, pins_for
from linegate_deploy.wheels import fetch_wheels


def library_folder(requirements: Path, platform: Platform, folder: Path) -> Path:
    """Make a folder with the libraries of a list; nothing is done if it is there.

    Args:
        requirements: pinned with hashes.
        platform: of the board; its first Python is taken.
        folder: where to.

    Returns:
        ``folder``.
    """
    python = platform.pythons[0]
    pins = pins_for(requirements.read_text(), platform.markers(python))
    digest = hashlib.sha256(as_text(pins).encode()).hexdigest()
    stamp = folder / "stamp"
    if stamp.exists() and stamp.read_text() == digest:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        wheels = Path(name)
        fetch_wheels(pins, platform, python, None, wheels)
        for wheel in sorted(wheels.glob("*.whl")):
            # A wheel is a zip that may be unpacked as it is (PyPA: binary distribution format).
            subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, folder], check=True)
    stamp.write_text(digest)
    return folder
