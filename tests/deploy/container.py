"""Images built from a kit by buildah, and run without it: in a chroot, as their file says."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.deploy.kits import ROOT, TINY

USER = 10001
"""Of the image; has the same number everywhere."""

_LIMIT_S = 1800.0

_LINE = """
bundle = "tiny.linegate"
[camera]
address = "64x64@{fps}"
source = "fake"
[trigger]
kind = "continuous"
[record]
path = "parts.sqlite"
"""


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


def verifies_and_judges(
    disk: Path,
    settings: Mapping[str, object],
    folder: Path,
    *,
    fps: int = 30,
    core: str | None = None,
) -> None:
    """Assert that an image verifies a bundle, judges and records, with its volume to write to.

    Args:
        disk: of the image.
        settings: of the image.
        folder: an empty one, for the volume.
        fps: of the simulated camera.
        core: of ``deploy/arm64`` that is emulated; None runs it as it is.
    """
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    shutil.copyfile(TINY, data / "tiny.linegate")
    (data / "line.toml").write_text(_LINE.format(fps=fps))
    shutil.chown(data, USER, USER)
    environment = list(map(str, settings["Env"]))  # type: ignore[call-overload]
    cpuinfo = Path("/proc/cpuinfo")
    if core is not None:
        environment.append(f"QEMU_CPU=cortex-{core}")
        cpuinfo = ROOT / "deploy" / "arm64" / f"cpuinfo-{core}"

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return _run_read_only(disk, data, ["linegate", *command], environment, cpuinfo)

    verified = run("verify", "/var/lib/linegate/tiny.linegate")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout.count("golden frames answered as promised") == 2
    ran = run("run", "--config", "/var/lib/linegate/line.toml", "--parts", "5")
    assert ran.returncode == 0, ran.stderr
    assert "5 parts" in ran.stderr
    checked = run("log", "verify", "/var/lib/linegate/parts.sqlite")
    assert checked.returncode == 0, checked.stdout
    assert (data / "parts.sqlite").stat().st_uid == USER


def _run_read_only(
    disk: Path,
    data: Path,
    command: Sequence[str],
    environment: Sequence[str],
    cpuinfo: Path,
) -> "subprocess.CompletedProcess[str]":
    """Run a command as a container would: no network, no capability, nothing to write but data.

    Args:
        disk: of the image.
        data: what is its volume.
        command: the whole of it.
        environment: ``NAME=VALUE`` each.
        cpuinfo: what it is told of the processor.
    """
    script = (
        "set -e; disk=$1 data=$2 cpuinfo=$3; shift 3; mount --make-rprivate /; "
        'mount --bind "$disk" "$disk"; mount --bind "$data" "$disk/var/lib/linegate"; '
        'mount -t proc proc "$disk/proc"; mount --bind "$cpuinfo" "$disk/proc/cpuinfo"; '
        'mount -t tmpfs tmpfs "$disk/tmp"; mount -t tmpfs tmpfs "$disk/dev"; '
        'mkdir "$disk/dev/shm"; chmod 1777 "$disk/dev/shm"; '
        'for one in null zero urandom; do touch "$disk/dev/$one"; '
        'mount --bind "/dev/$one" "$disk/dev/$one"; done; '
        'mount -o remount,bind,ro "$disk"; exec "$@"'
    )
    return subprocess.run(
        [
            *("unshare", "--mount", "--net", "sh", "-c", script),
            *("sh", str(disk), str(data), str(cpuinfo), "chroot", str(disk)),
            *("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"),
            *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"),
            *("env", "-i", *environment, *command),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
