"""Which disk a path lies on, and of what kind it is, by what Linux shows below /proc and /sys."""

import enum
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

_MOUNTS = Path("/proc/self/mountinfo")

_SYS = Path("/sys")

_MOST_LAYERS = 8
"""Disks below disks: partitions, encryption, volumes, arrays."""

_ESCAPE = re.compile(r"\\([0-7]{3})")


class Kind(enum.Enum):
    """What a disk is, in words for people."""

    SD_CARD = "an SD card"
    EMMC = "an eMMC"
    USB = "a USB disk"
    NVME = "an NVMe disk"
    SSD = "a solid-state disk"
    SPINNING = "a spinning disk"
    VIRTUAL = "a virtual disk"
    MEMORY = "memory (tmpfs)"
    OVERLAY = "an overlay"
    NETWORK = "a network's disk"
    UNKNOWN = "a disk of unknown kind"


_BY_FILESYSTEM = {
    **dict.fromkeys(("tmpfs", "ramfs"), Kind.MEMORY),
    **dict.fromkeys(("overlay", "aufs"), Kind.OVERLAY),
    **dict.fromkeys(
        ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "fuse.sshfs", "fuse.glusterfs"),
        Kind.NETWORK,
    ),
}


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``/proc/self/mountinfo``: proc_pid_mountinfo(5).

    Attributes:
        place: where it is mounted.
        device: ``MAJOR:MINOR``.
        filesystem: its type.
        source: what is mounted, as whoever mounted it said.
    """

    place: str
    device: str
    filesystem: str
    source: str


def read_mounts(file: Path = _MOUNTS) -> list[Mount]:
    """Return what is mounted, the oldest first."""
    return parse_mounts(file.read_text(errors="surrogateescape"))


def parse_mounts(text: str) -> list[Mount]:
    """Read the text of ``/proc/self/mountinfo``; lines that are none are left out."""
    found = []
    for line in text.split("\n"):
        # A number of optional fields ends with a dash of its own.
        head, separator, tail = line.partition(" - ")
        fields, rest = head.split(" "), tail.split(" ")
        if separator and len(fields) > 4 and len(rest) > 1:  # noqa: PLR2004 - up to the place
            found.append(
                Mount(
                    place=_unescaped(fields[4]),
                    device=fields[2],
                    filesystem=rest[0],
                    source=_unescaped(rest[1]),
                )
            )
    return found


def mount_of(path: Path, mounts: Sequence[Mount]) -> Mount:
    """Return what an absolute, resolved path lies on."""
    holding = [mount for mount in mounts if path.is_relative_to(mount.place)]
    nowhere = Mount(place="/", device="0:0", filesystem="", source="")
    # Of what is mounted over one another, the newest is seen.
    return max(reversed(holding), key=lambda mount: len(mount.place), default=nowhere)


def kind_of(mount: Mount, sys: Path = _SYS) -> Kind:
    """Return the kind of disk that is mounted.

    Args:
        mount: where.
        sys: what Linux shows of its devices.
    """
    by_filesystem = _BY_FILESYSTEM.get(mount.filesystem)
    if by_filesystem is not None:
        return by_filesystem
    # Some filesystems number themselves instead of their disk; then the source may name it.
    links = [sys / "dev/block" / mount.device, sys / "class/block" / Path(mount.source).name]
    device = next((link.resolve() for link in links if link.exists()), None)
    return Kind.UNKNOWN if device is None else _kind_of_device(device)


def _kind_of_device(device: Path) -> Kind:
    for _ in range(_MOST_LAYERS):
        if (device / "partition").exists():
            device = device.parent
        below = sorted(device.glob("slaves/*"))
        if not below:
            break
        device = below[0].resolve()
    name = device.name
    if name.startswith("mmcblk"):
        return Kind.SD_CARD if _text(device / "device/type") == "SD" else Kind.EMMC
    if any(part.startswith("usb") for part in device.parts):
        return Kind.USB
    if name.startswith("nvme"):
        return Kind.NVME
    if name.startswith(("vd", "xvd", "loop", "zram")):
        return Kind.VIRTUAL
    rotates = {"0": Kind.SSD, "1": Kind.SPINNING}
    return rotates.get(_text(device / "queue/rotational"), Kind.UNKNOWN)


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
