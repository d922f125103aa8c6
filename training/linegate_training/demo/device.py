"""Looking at the device's side from outside: its packages and its memory."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_SAMPLE_INTERVAL_S = 0.5
_KIB = 1024


def site_packages(python: Path) -> Path:
    """Return the folder with the packages of an interpreter's environment."""
    done = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Path(done.stdout.strip())


def folder_size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class MemoryWatch:
    """Samples the memory of a process and all its descendants while the block runs.

    The proportional set size counts memory that processes share once, as the kernel
    reports it in ``/proc/PID/smaps_rollup``.

    Attributes:
        peak_bytes: largest sum seen so far.
    """

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLE_INTERVAL_S):
            total = sum(_proportional_set_size(pid) for pid in _family(self._pid))
            self.peak_bytes = max(self.peak_bytes, total)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()


def _family(pid: int) -> Iterator[int]:
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:  # the thread ended between the listing and the reading
            continue
        for child in children:
            yield from _family(int(child))


def _proportional_set_size(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # the process ended between the listing and the reading
        return 0
    return sum(int(line.split()[1]) * _KIB for line in lines if line.startswith("Pss:"))
