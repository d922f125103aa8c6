"""Kits made by the real command; wheels are fetched once and kept below ``build``."""

import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "data" / "tiny.linegate"
WHEELS = ROOT / "build" / "wheels-of-kits"

STICK = Path("media/stick/linegate-kit-debian-x86-0.1.0")
"""The unpacked kit, below a machine's disk."""

INSTALLER = f"/{STICK}/install.sh"
"""The kit's installer, on the machine."""

AS_LINEGATE = ("setpriv", "--reuid", "linegate", "--regid", "linegate", "--init-groups")
"""What runs a command there as the service's user."""


def deploy_kit(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run ``linegate deploy-kit``."""
    return subprocess.run(
        [sys.executable, "-m", "linegate_runtime", "deploy-kit", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def make_kit(platform: str, folder: Path, *arguments: str | Path) -> Path:
    """Make a kit and return it.

    Raises:
        ConnectionError: its wheels were never fetched, and cannot be now.
    """
    kept = WHEELS / platform
    options = ("--platform", platform, "--out", folder, *arguments)
    done = deploy_kit(*options, "--wheels", kept)
    if done.returncode == 7:
        done = deploy_kit(*options)
        if done.returncode == 7:
            raise ConnectionError(done.stderr)
    assert done.returncode == 0, done.stderr
    kit = Path(done.stdout.split("  (")[0])
    keep_wheels(kit, kept)
    return kit


def keep_wheels(kit: Path, kept: Path) -> None:
    """Keep the wheels of a kit for the next one."""
    kept.mkdir(parents=True, exist_ok=True)
    with tarfile.open(kit) as archive:
        for member in archive.getmembers():
            path = kept / Path(member.name).name
            if path.suffix == ".whl" and "linegate" not in path.name and not path.exists():
                content = archive.extractfile(member)
                assert content is not None
                path.write_bytes(content.read())


def unpack(kit: Path, folder: Path) -> Path:
    """Unpack a kit as its README says, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xf", kit, "-C", folder], check=True)
    (root,) = folder.glob("linegate-kit-*")
    return root


def seal(folder: Path) -> None:
    """Let a kit's list of hashes be that of its files."""
    script = (
        "find . -type f ! -name SHA256SUMS | sed 's#^./##' | sort | xargs sha256sum >SHA256SUMS"
    )
    subprocess.run(["sh", "-c", script], cwd=folder, check=True)
