"""Images built from a kit by buildah, and run without it: in a chroot, as their file says."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LIMIT_S = 1800.0


def missing() -> str | None:
    """Return why no image can be built here; None if one can."""
    if os.geteuid() != 0:
        return "needs root: chroot and mounts"
    packages = [name for name in ("buildah", "mmdebstrap") if shutil.which(name) is None]
    return f"apt install {' '.join(packages)}" if packages else None


class Builder:
    """Buildah with a store of its own.

    Args:
        folder: an empty one, for the store.
    """

    def __init__(self, folder: Path) -> None:
        self._store = [
            *("--root", str(folder / "root"), "--runroot", str(folder / "run")),
            *("--storage-driver", "vfs"),
        ]

    def call(self, command: str, *arguments: str | Path) -> str:
        """Run a command of buildah and return what it printed."""
        done = subprocess.run(
            ["buildah", *self._store, command, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT_S,
            env={**os.environ, "QEMU_CPU": "cortex-a72"},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()

    def base(self, arch: str) -> str:
        """Make the image that others begin with, as Debian's own is; return its name."""
        disk = ROOT / "build" / "trees" / f"base-bookworm-{arch}.tar"
        if not disk.exists():
            disk.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                [
                    *("mmdebstrap", "--quiet", "--variant=apt", f"--arch={arch}"),
                    *("--include=ca-certificates", "bookworm", disk.with_suffix(".making.tar")),
                ],
                check=True,
                timeout=_LIMIT_S,
                env={**os.environ, "QEMU_CPU": "cortex-a72"},
            )
            disk.with_suffix(".making.tar").rename(disk)
        name = f"localhost/debian-{arch}"
        container = self.call("from", "--arch", arch, "scratch")
        self.call("add", "--quiet", container, disk, "/")
        self.call("config", "--arch", arch, container)
        self.call("commit", "--quiet", "--rm", container, name)
        return name

    def build(self, context: Path, arch: str, name: str) -> None:
        """Build the image of a kit's folder."""
        self.call(
            "bud",
            *("--pull-never", "--isolation", "chroot", "--arch", arch),
            *("--build-arg", f"BASE={self.base(arch)}", "--tag", name, context),
        )

    def settings(self, name: str) -> dict[str, object]:
        """Return what the image says about how it wants to be run."""
        described = json.loads(self.call("inspect", "--type", "image", name))
        settings: dict[str, object] = described["OCIv1"]["config"]
        return settings

    @contextlib.contextmanager
    def unpacked(self, name: str) -> Iterator[Path]:
        """Give the image's disk."""
        container = self.call("from", "--pull-never", name)
        try:
            yield Path(self.call("mount", container))
        finally:
            self.call("rm", container)


def run_read_only(
    disk: Path, data: Path, command: Sequence[str], environment: Sequence[str], user: int
) -> "subprocess.CompletedProcess[str]":
    """Run a command as a container would: no network, no capability, nothing to write but data.

    Args:
        disk: of the image.
        data: what is its volume.
        command: the whole of it.
        environment: ``NAME=VALUE`` each.
        user: who runs it.
    """
    script = (
        'set -e; disk=$1 data=$2; shift 2; mount --make-rprivate /; mount --bind "$disk" "$disk"; '
        'mount --bind "$data" "$disk/var/lib/linegate"; mount -t proc proc "$disk/proc"; '
        'mount -t tmpfs tmpfs "$disk/tmp"; mount -t tmpfs tmpfs "$disk/dev"; '
        'mkdir "$disk/dev/shm"; chmod 1777 "$disk/dev/shm"; '
        'for one in null zero urandom; do touch "$disk/dev/$one"; '
        'mount --bind "/dev/$one" "$disk/dev/$one"; done; '
        'mount -o remount,bind,ro "$disk"; exec "$@"'
    )
    return subprocess.run(
        [
            *("unshare", "--mount", "--net", "sh", "-c", script, "sh", str(disk), str(data)),
            *("chroot", str(disk)),
            *("setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"),
            *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"),
            *("env", "-i", *environment, *command),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
