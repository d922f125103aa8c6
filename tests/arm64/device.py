"""Installs linegate in a tree, as a board has it: from a kit, by the kit's installer."""

from pathlib import Path

from tests.arm64.guest import ENVIRONMENT, Guest

STICK = Path("/media/stick")


def install_device(guest: Guest, kit: Path, *options: str) -> str:
    """Run a kit's installer; return what it says.

    Args:
        guest: a tree.
        kit: the unpacked kit's folder.
        options: of the installer.
    """
    return guest.seeing(kit, STICK).run("sh", STICK / "install.sh", *options, timeout_s=900.0)


def site_packages(guest: Guest) -> Path:
    """Return the folder with the device's packages, as seen from this machine."""
    (found,) = guest.kept(ENVIRONMENT).glob("lib/python3.*/site-packages")
    return found
