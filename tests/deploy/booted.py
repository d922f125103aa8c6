"""A Debian of its own, booted by a real systemd, to install on; needs root and systemd-nspawn.

Its disk is a tree of ``deploy/arm64/tree.sh`` with an overlay in memory, so each is new. It has
no network but its loopback.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LIMIT_S = 60.0

PYTHON = Path("/opt/linegate/env/bin/python")
"""Of an installed linegate, on the machine."""

NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "shellcheck": "shellcheck",
}
"""Programs, and the packages that have them."""


def missing() -> str | None:
    """Return why no machine can be booted here; None if one can."""
    if os.geteuid() != 0:
        return "needs root: chroot, mounts and a container"
    packages = sorted({package for name, package in NEEDED.items() if shutil.which(name) is None})
    return f"apt install {' '.join(packages)}" if packages else None


def make_tree(suite: str = "bookworm") -> Path:
    """Return a tree for x86; it is made once."""
    tree = ROOT / "build" / "trees" / f"{suite}-amd64"
    subprocess.run(
        ["sh", ROOT / "deploy" / "arm64" / "tree.sh", suite, "amd64", tree], check=True, timeout=600
    )
    return tree


class Machine:
    """A booted machine; made by :func:`booted`.

    Attributes:
        root: its disk, as this machine sees it.
    """

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self._leader = leader

    def run(
        self, *command: str | Path, check: bool = True, limit_s: float = 180.0
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command as root there, and return what it printed, both streams in one."""
        done = subprocess.run(
            self.command(*command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=limit_s,
        )
        assert not check or done.returncode == 0, done.stdout
        return done

    def command(self, *command: str | Path) -> list[str]:
        """Return the command line that runs a command there."""
        path = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return [
            *("nsenter", "--target", str(self._leader), "--all"),
            *("env", "-i", path, "HOME=/root", "LANG=C.UTF-8", *map(str, command)),
        ]

    @contextlib.contextmanager
    def serving(self, python: Path, script: str) -> Iterator[str]:
        """Run a server there while the block runs.

        Args:
            python: that has what the server needs.
            script: prints an address, then serves.

        Yields:
            The address.
        """
        process = subprocess.Popen(
            self.command(python, "-c", script),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, "the server does not start"
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=20)

    def show(self, name: str) -> str:
        """Return a property of the service, as ``systemctl show`` has it."""
        return self.run("systemctl", "show", "linegate", "-p", name, "--value").stdout.strip()

    def wait_until(self, *command: str | Path) -> None:
        """Wait until a command there succeeds."""
        end = time.monotonic() + _LIMIT_S
        while (done := self.run(*command, check=False)).returncode:
            assert time.monotonic() < end, f"{command}: {done.stdout}"
            time.sleep(0.1)


@contextlib.contextmanager
def booted(tree: Path, folder: Path, *, options: Sequence[str] = ()) -> Iterator[Machine]:
    """Boot a machine while the block runs.

    Args:
        tree: see :func:`make_tree`.
        folder: an empty one, for its disk.
        options: more of ``systemd-nspawn``.
    """
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(overlaid(tree, folder))
        console = stack.enter_context((folder / "console.txt").open("wb"))
        process = subprocess.Popen(
            [
                *("systemd-nspawn", "--quiet", "--boot", f"--directory={root}"),
                *("--register=no", "--keep-unit", "--private-network", "--link-journal=no"),
                # As on a board: the system may ask for the clock's state.
                *("--system-call-filter=adjtimex clock_adjtime", "--console=pipe", *options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
        )
        stack.callback(_end, process)
        machine = Machine(root, _leader(process))
        machine.wait_until("systemctl", "is-system-running", "--wait")
        yield machine


@contextlib.contextmanager
def overlaid(tree: Path, folder: Path) -> Iterator[Path]:
    """Give a disk as a tree has it; what is changed there is gone when the block ends."""
    layers, root = folder / "layers", folder / "root"
    layers.mkdir()
    root.mkdir()
    with contextlib.ExitStack() as stack:
        _mount(stack, layers, "-t", "tmpfs", "-o", "size=3G", "tmpfs")
        (layers / "upper").mkdir()
        (layers / "work").mkdir()
        places = f"lowerdir={tree},upperdir={layers}/upper,workdir={layers}/work"
        _mount(stack, root, "-t", "overlay", "-o", places, "overlay")
        yield root


def _mount(stack: contextlib.ExitStack, place: Path, *options: str) -> None:
    subprocess.run(["mount", *options, place], check=True)
    stack.callback(lambda: subprocess.run(["umount", "--lazy", place], check=True))


def _leader(process: "subprocess.Popen[bytes]") -> int:
    """Return the process id of the machine's systemd, as this machine has it."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + _LIMIT_S
    while time.monotonic() < end and process.poll() is None:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/root/run/systemd/system").exists():
                return int(child)
        time.sleep(0.05)
    raise TimeoutError("systemd does not start in the container")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
