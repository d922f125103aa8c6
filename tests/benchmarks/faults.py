"""A real stream that breaks in every way before a real ``linegate run``, and heals.

MJPEG over HTTP on this machine, 30 frames a second, every frame judged. Each fault lasts 3
seconds (a restart is there again at once), five times by turns. ``stale_verdicts`` counts
verdicts on frames that came in while the stream was broken; ``recover_s_max`` is the longest
time from the stream being back to the next verdict. Then the stream is killed and served
again a hundred times: what the process holds afterwards is compared with what it held
after the first ten.
"""

import tempfile
import time
from pathlib import Path

from linegate_runtime.testing import MjpegServer
from tests.belt_run import TRAINED
from tests.benchmarks.bench import Result, show_progress, write
from tests.fault_run import Break, WatchedRun, changing_picture

_TIMES = 5
_LASTING_S = 3.0
_CYCLES = 100
_SETTLED = 10


def measure() -> Result:
    """Break everything by turns, then count what leaks."""
    recoveries: dict[Break, list[float]] = {fault: [] for fault in Break}
    stale: dict[Break, int] = dict.fromkeys(Break, 0)
    with (
        tempfile.TemporaryDirectory() as folder,
        MjpegServer(changing_picture) as camera,
        WatchedRun(camera, TRAINED, Path(folder), "tflite") as run,
    ):
        for _ in range(_TIMES):
            for fault in Break:
                recovery = run.suffer(fault, _LASTING_S)
                recoveries[fault].append(recovery.recover_s)
                stale[fault] += recovery.stale
                time.sleep(0.5)
        settled = held = _held(run.process.pid)
        for cycle in range(_CYCLES):
            run.suffer(Break.RESTARTED, 0.0)
            held = _held(run.process.pid)
            if cycle + 1 == _SETTLED:
                settled = held
    return Result(
        name="faults",
        protocol=__doc__ or "",
        columns=("fault", "stale verdicts", "longest recovery s", "shortest s"),
        rows=[
            (fault.value, stale[fault], max(seconds), min(seconds))
            for fault, seconds in recoveries.items()
        ],
        figures={
            "recover_s_max": max(max(seconds) for seconds in recoveries.values()),
            "stale_verdicts": sum(stale.values()),
            "cycles": _CYCLES,
            "leaked_descriptors": held["descriptors"] - settled["descriptors"],
            "leaked_threads": held["threads"] - settled["threads"],
            "leaked_mb": held["mb"] - settled["mb"],
        },
    )


def _held(pid: int) -> dict[str, float]:
    folder = Path(f"/proc/{pid}")
    resident = next(
        line for line in (folder / "status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return {
        "descriptors": len(list((folder / "fd").iterdir())),
        "threads": len(list((folder / "task").iterdir())),
        "mb": int(resident.split()[1]) / 1024,
    }


if __name__ == "__main__":
    show_progress()
    write(measure())
