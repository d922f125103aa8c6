"""What a record withstands, and how fast a large one answers.

``linegate run`` judges 30 parts a second of a fake camera and sends each to an HTTP receiver on
this machine as soon as it is on record. It is killed with SIGKILL at a random moment, 1,000
times in a row on one record: ``sigkill_lost`` counts parts that the receiver had acknowledged
and the record does not hold, ``sigkill_corrupt`` how often SQLite's integrity check, done after
every 50th kill, or the check of the chain at the end failed. Then the record lies on an ext4
disk in a file, mounted with loop, that is copied while the line is stopped at a random
moment, 20 times: the copy is mounted, as after a power cut, and ``power_cut_lost`` counts in the
same way.

A record of 2.5 million parts of one day is made. ``stats_day_s`` is the median time of ``linegate
log stats`` for that day from exec to exit, ``chart_ms`` that of the query behind a chart of
verdicts by quarter hours, ``stats_memory_mb`` the most memory that the program took.
"""

import contextlib
import datetime as dt
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import PartRow
from linegate_runtime.record import Access, Entry, Record
from linegate_runtime.record_check import check
from linegate_runtime.record_stats import chart
from tests.benchmarks.bench import Result, show_progress, write
from tests.power_cut import CutDisk
from tests.record_run import Receiver, line, missing, wait_for, write_config
from tests.runtime.sink_support import recorded
from tests.support import tiny_bundle

_KILLS = int(os.environ.get("LINEGATE_KILLS", "1000"))
_CUTS = int(os.environ.get("LINEGATE_CUTS", "20"))
_ROWS = int(os.environ.get("LINEGATE_ROWS", "2500000"))
_CHECK_EVERY = 50
_LATEST_KILL_S = 0.3
_BATCH = 5_000
_TIMES = 9
_DAY = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
_DAY_MS = 86_400_000


def killed(folder: Path, bundle: Path) -> tuple[int, int, int]:
    """Kill a line again and again; return parts lost, checks that failed, and parts in all."""
    record = folder / "killed.sqlite"
    corrupt = 0
    rng = random.Random(0)
    with Receiver() as receiver:
        config = write_config(folder, record, [{"kind": "http", "url": receiver.url}])
        for number in range(1, _KILLS + 1):
            seen = len(receiver.acknowledged)
            with line(bundle, config):
                wait_for(_more_than(receiver, seen))
                time.sleep(rng.uniform(0, _LATEST_KILL_S))
            if number % _CHECK_EVERY == 0:
                corrupt += not _is_whole(record)
        lost = len(missing(record, receiver.acknowledged))
    return lost, corrupt + _is_broken(record), len(receiver.acknowledged)


def cut(folder: Path, bundle: Path) -> tuple[int, int, int]:
    """Cut the power of a line's disk; return as :func:`killed` does."""
    lost = corrupt = 0
    rng = random.Random(1)
    with Receiver() as receiver, CutDisk.make(folder) as disk:
        sinks = [{"kind": "http", "url": receiver.url}]
        config = write_config(folder, disk.folder / "cut.sqlite", sinks)
        with line(bundle, config) as process:
            for _ in range(_CUTS):
                wait_for(_more_than(receiver, len(receiver.acknowledged) + 5))
                time.sleep(rng.uniform(0, 1.0))
                os.kill(process.pid, signal.SIGSTOP)
                acknowledged = list(receiver.acknowledged)
                image = disk.cut()
                os.kill(process.pid, signal.SIGCONT)
                with image.mounted() as left:
                    record = left / "cut.sqlite"
                    lost += len(missing(record, acknowledged))
                    corrupt += not _is_whole(record) or _is_broken(record)
        return lost, corrupt, len(receiver.acknowledged)


def _more_than(receiver: Receiver, count: int) -> Callable[[], bool]:
    return lambda: len(receiver.acknowledged) > count


def _is_whole(record: Path) -> bool:
    with contextlib.closing(sqlite3.connect(record)) as database:
        return bool(database.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def _is_broken(record: Path) -> bool:
    with Record(record, Access.READ) as opened:
        return bool(check(opened).problems)


def fill(path: Path) -> None:
    """Make a record of a whole day."""
    with Record(path) as record:
        # Only to make it sooner; it is read afterwards.
        record._database.execute("PRAGMA synchronous = OFF")
        batch: list[Entry] = []
        for row in _rows():
            batch.append(Entry(row))
            if len(batch) == _BATCH:
                record.append(batch)
                batch = []
        record.append(batch)


def _rows() -> Iterator[PartRow]:
    rng = random.Random(2)
    pattern = recorded(1).row
    for number in range(_ROWS):
        when = _DAY + dt.timedelta(milliseconds=number * _DAY_MS / _ROWS)
        verdict = rng.choices(list(Verdict), weights=(95, 4, 1))[0]
        yield msgspec.structs.replace(
            pattern,
            uuid=f"{rng.getrandbits(128):032x}",
            part=number + 1,
            time_utc=when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z",
            monotonic_ns=number,
            camera=("left", "right")[number % 2],
            frame_age_ms=rng.lognormvariate(3.0, 0.4),
            model_ms=rng.lognormvariate(2.0, 0.2),
            verdict=verdict,
        )


def stats_times(path: Path) -> tuple[list[float], float]:
    """Return the seconds of each ``linegate log stats``, and the most memory of one in MB."""
    until = _DAY + dt.timedelta(days=1)
    command = [
        *(sys.executable, "-m", "linegate_runtime", "log", "stats", str(path)),
        *("--since", _DAY.isoformat(), "--until", until.isoformat(), "--json"),
    ]
    seconds, most_mb = [], 0.0
    for _ in range(_TIMES):
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds.append(time.perf_counter() - start)
        if process.returncode:
            raise RuntimeError(f"linegate log stats ended with code {process.returncode}")
        most_mb = max(most_mb, usage.ru_maxrss * 1024 / 1e6)
    return seconds, most_mb


def chart_times(path: Path) -> list[float]:
    """Return the seconds of each query behind a chart of a day."""
    seconds = []
    with Record(path, Access.READ) as record:
        for _ in range(_TIMES):
            start = time.perf_counter()
            chart(record, _DAY, _DAY + dt.timedelta(days=1), 15)
            seconds.append(time.perf_counter() - start)
    return seconds


def measure() -> Result:
    """Kill, cut, and ask a large record."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = tiny_bundle(folder / "tiny-1.0.0.linegate")
        by_kill = killed(folder, bundle)
        by_cut = cut(folder, bundle)
        path = folder / "day.sqlite"
        start = time.perf_counter()
        fill(path)
        filled_s = time.perf_counter() - start
        seconds, most_mb = stats_times(path)
        charts = chart_times(path)
        size_mb = path.stat().st_size / 1e6
    return Result(
        name="records",
        protocol=__doc__ or "",
        columns=("what", "value"),
        rows=[
            ("kills", _KILLS),
            ("parts acknowledged between kills", by_kill[2]),
            ("parts lost by them", by_kill[0]),
            ("checks that failed", by_kill[1]),
            ("power cuts", _CUTS),
            ("parts acknowledged between cuts", by_cut[2]),
            ("parts lost by them", by_cut[0]),
            ("checks that failed", by_cut[1]),
            ("parts of a day", _ROWS),
            ("MB of the record", size_mb),
            ("seconds to write it, without syncs", filled_s),
            ("seconds of `log stats`, median", statistics.median(seconds)),
            ("ms of a chart's query, longest", 1000 * max(charts)),
        ],
        figures={
            "sigkill_lost": by_kill[0],
            "sigkill_corrupt": by_kill[1],
            "power_cut_lost": by_cut[0],
            "power_cut_corrupt": by_cut[1],
            "stats_day_s": statistics.median(seconds),
            "stats_memory_mb": most_mb,
            "chart_ms": 1000 * max(charts),
        },
    )


if __name__ == "__main__":
    show_progress()
    write(measure())
