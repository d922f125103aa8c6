"""Memory and freshness of a real ``linegate run`` over ten minutes.

In the device's environment, before one network camera (MJPEG over HTTP in a process of its
own, 640x480, 30 frames a second), MobileNetV2 at 224 pixels, every frame judged and on
record. ``pss_mb`` is the largest sum of
the proportional set sizes of all its processes, taken every second; ``slope_mb_per_hour`` is
the regression line of that sum after the first two minutes. Ages are from the capture of a
frame to its verdict, in frame periods. Then the same camera is read by a consumer that takes
five frames a second for a minute; ``slow_age_frames_p99`` is the age of its frames when they
are handed out.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from linegate_runtime.capture import Capture
from linegate_runtime.capture_protocol import Request
from linegate_runtime.record import Access, Record
from linegate_runtime.sources import SourceOptions
from tests.benchmarks.bench import DEVICE_PYTHON, Result, show_progress, write
from tests.benchmarks.speed_bundles import LARGEST, bundle_of
from tests.stream_server import FPS

_SECONDS = float(os.environ.get("LINEGATE_MEMORY_SECONDS", "600"))
_WARM_UP_S = min(120.0, _SECONDS / 5)
_SLOW_S = min(60.0, _SECONDS / 5)
_SLOW_PERIOD_S = 0.2


@contextmanager
def camera(seconds: float) -> Iterator[str]:
    """Give the address of a camera that serves so long."""
    command = [sys.executable, "-m", "tests.stream_server", str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("expected the camera to say its address")
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def watch(address: str, folder: Path) -> tuple[list[tuple[float, float]], Path]:
    """Run the line; return the seconds and MB of each second, and the record."""
    record = folder / "memory.sqlite"
    command = [
        *(str(DEVICE_PYTHON), "-m", "linegate_runtime", "run", str(bundle_of(LARGEST))),
        *("--camera", address, "--trigger", "continuous", "--record", str(record)),
        *("--seconds", str(_SECONDS)),
    ]
    taken: list[tuple[float, float]] = []
    start = time.monotonic()
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            time.sleep(1.0)
            total = pss_mb(process.pid)
            if total is not None:
                taken.append((time.monotonic() - start, total))
    return taken, record


def pss_mb(pid: int) -> float | None:
    """Return the proportional set sizes of a process and its children together, in MB."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        total = 0.0
        for one in (pid, *children):
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            line = next(text for text in rollup if text.startswith("Pss:"))
            total += int(line.split()[1]) * 1024 / 1e6
    except (OSError, StopIteration):
        return None  # it is just ending
    return total


def slow_ages(address: str) -> list[float]:
    """Return the ages, in frame periods, of the frames that a slow consumer is given."""
    ages = []
    end = time.monotonic() + _SLOW_S
    with Capture(Request(source="mjpeg", options=SourceOptions(address=address))) as capture:
        while time.monotonic() < end:
            frame = capture.next_frame(5.0)
            if frame is not None:
                ages.append((time.monotonic_ns() - frame.monotonic_ns) / 1e9 * FPS)
                time.sleep(_SLOW_PERIOD_S)
    return ages[5:]


def measure() -> Result:
    """Run for ten minutes, then slowly for one."""
    with tempfile.TemporaryDirectory() as folder, camera(_SECONDS + _SLOW_S + 60) as address:
        taken, path = watch(address, Path(folder))
        with Record(path, Access.READ) as record:
            ages = sorted((one.row.frame_age_ms or 0.0) / 1000 * FPS for one in record.rows())
        slow = sorted(slow_ages(address))
    settled = np.array([point for point in taken if point[0] > _WARM_UP_S])
    slope = float(np.polyfit(settled[:, 0], settled[:, 1], 1)[0]) * 3600
    return Result(
        name="memory",
        protocol=__doc__ or "",
        columns=("seconds", "verdicts", "most MB", "last MB", "MB an hour"),
        rows=[
            (
                *(round(taken[-1][0]), len(ages)),
                *(max(one for _, one in taken), taken[-1][1], slope),
            )
        ],
        figures={
            "pss_mb": max(one for _, one in taken),
            "slope_mb_per_hour": slope,
            "age_frames_median": statistics.median(ages),
            "age_frames_p99": ages[int(0.99 * len(ages))],
            "slow_age_frames_p99": slow[int(0.99 * len(slow))],
        },
    )


if __name__ == "__main__":
    show_progress()
    write(measure())
