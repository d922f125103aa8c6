"""Installs linegate in a tree, as a board has it."""

import importlib.util
from pathlib import Path

from tests.arm64.guest import ENVIRONMENT, REPOSITORY, Guest, Suite
from tests.arm64.wheels import for_board

_WHEELS = Path("/mnt/wheels")
_RUNTIME = Path("/mnt/runtime")
_PIP = Path("/mnt/pip")
_REQUIREMENTS = Path("/mnt/device.txt")


def install_device(guest: Guest, suite: Suite, wheels: Path, runtime: Path) -> None:
    """Install what ``requirements/device.txt`` names and linegate's own wheel.

    Nothing is downloaded. The environment has no pip, as ``make`` sets a device's up.

    Args:
        guest: a tree without linegate.
        suite: its system.
        wheels: folder of the libraries' wheels, for aarch64.
        runtime: the wheel of ``linegate-runtime``.
    """
    listed = guest.upper / "device.txt"
    listed.parent.mkdir(parents=True, exist_ok=True)
    pinned = (REPOSITORY / "requirements" / "device.txt").read_text()
    listed.write_text(for_board(pinned, suite.python))
    installer = (
        guest.seeing(wheels, _WHEELS)
        .seeing(runtime.parent, _RUNTIME)
        .seeing(_pip_package(), _PIP / "pip")
        .seeing(listed, _REQUIREMENTS)
    )
    guest.run("python3", "-m", "venv", "--without-pip", ENVIRONMENT)
    install = (
        *("env", f"PYTHONPATH={_PIP}", "PYTHONDONTWRITEBYTECODE=1", guest.python),
        *("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"),
        *("--no-compile", "--no-deps", "--root-user-action=ignore"),
    )
    installer.run(
        *(*install, "--require-hashes", "--find-links", _WHEELS, "--requirement", _REQUIREMENTS)
    )
    installer.run(*install, _RUNTIME / runtime.name)
    # Byte code of linegate and of what it loads, as every start of a board would take it.
    site = site_packages(guest).relative_to(guest.upper / "upper")
    guest.run(guest.python, "-m", "compileall", "-q", f"/{site}/linegate_bundle")
    guest.run(guest.python, "-m", "compileall", "-q", f"/{site}/linegate_runtime")
    loaded = "import ai_edge_litert.interpreter, cv2, onnxruntime, msgspec, sqlite3"
    guest.run(guest.python, "-c", loaded)


def site_packages(guest: Guest) -> Path:
    """Return the folder with the device's packages, as seen from this machine."""
    (found,) = guest.kept(ENVIRONMENT).glob("lib/python3.*/site-packages")
    return found


def _pip_package() -> Path:
    """Return this environment's pip; it is pure Python."""
    spec = importlib.util.find_spec("pip")
    if spec is None or spec.origin is None:
        raise RuntimeError("expected pip in the workstation's environment, got none")
    return Path(spec.origin).parent
