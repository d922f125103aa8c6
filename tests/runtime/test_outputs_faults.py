"""What a line's record and outputs withstand: failing disks, power cuts, jumping clocks."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from linegate_runtime.record import Access, Record
from tests.power_cut import CutDisk
from tests.record_run import Receiver, line, missing, python_path, wait_for, write_config
from tests.runtime.test_outputs import ask, free_port, health, metrics, ok, rows_in

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as opened:
        yield opened


def strace(pid: int, *options: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["strace", "-f", "-qq", "-p", str(pid), "-o", "/dev/null", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.skipif(shutil.which("strace") is None, reason="apt install strace")
def test_a_sync_that_fails_turns_health_red_and_acknowledges_nothing_until_it_works(
    tmp_path: Path, bundle_path: Path, receiver: Receiver
) -> None:
    port, record = free_port(), tmp_path / "r.sqlite"
    sinks = [{"kind": "http", "url": receiver.url}]
    config = write_config(tmp_path, record, sinks, metrics(port))
    with line(bundle_path, config) as process:
        wait_for(lambda: ok(port))
        failing = "inject=fsync,fdatasync:error=EIO"
        with strace(process.pid, "-e", "trace=fsync,fdatasync", "-e", failing) as tracer:
            started = time.monotonic()
            wait_for(lambda: health(port)[0] == 503)
            # Attaching takes a moment of its own.
            assert time.monotonic() - started < 2.0
            reasons = health(port)[1]
            assert any("disk I/O error" in reason for reason in reasons), reasons
            told = len(receiver.acknowledged)
            time.sleep(0.7)
            assert len(receiver.acknowledged) <= told + 2
            tracer.send_signal(signal.SIGTERM)
        wait_for(lambda: ok(port))
        seen = len(receiver.acknowledged)
        wait_for(lambda: len(receiver.acknowledged) > seen + 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    with Record(record, Access.READ) as opened:
        rows = [one.row for one in opened.rows()]
    assert receiver.acknowledged == [row.uuid for row in rows]
    assert [row.part for row in rows] == list(range(1, len(rows) + 1))
    overridden = [row for row in rows if row.reason == "override"]
    assert overridden
    assert {row.verdict for row in overridden} == {"reject"}


def test_power_cuts_lose_nothing_that_was_acknowledged(
    tmp_path: Path, bundle_path: Path, receiver: Receiver
) -> None:
    with CutDisk.make(tmp_path) as disk:
        record = disk.folder / "r.sqlite"
        sinks = [{"kind": "http", "url": receiver.url}]
        config = write_config(tmp_path, record, sinks)
        with line(bundle_path, config) as process:
            for number in range(3):
                seen = len(receiver.acknowledged)
                wait_for(lambda: len(receiver.acknowledged) > seen + 10)  # noqa: B023
                time.sleep(0.007 * number)
                os.kill(process.pid, signal.SIGSTOP)
                acknowledged = list(receiver.acknowledged)
                image = disk.cut()
                os.kill(process.pid, signal.SIGCONT)
                with image.mounted() as folder:
                    left = folder / "r.sqlite"
                    assert missing(left, acknowledged) == set()
                    with sqlite3.connect(left) as database:
                        check = database.execute("PRAGMA integrity_check").fetchone()
                    database.close()
                    assert check == ("ok",)


@pytest.mark.skipif(FAKETIME is None, reason="apt install faketime")
def test_a_clock_that_jumps_neither_stalls_the_line_nor_changes_the_order(
    tmp_path: Path, bundle_path: Path, receiver: Receiver
) -> None:
    port, record, clock = free_port(), tmp_path / "r.sqlite", tmp_path / "clock"
    clock.write_text("+0")
    # This faketime makes a wrong time of the absolute one that Python's sleep gives the system.
    (tmp_path / "sitecustomize.py").write_text(
        "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": python_path(tmp_path),
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    sinks = [{"kind": "http", "url": receiver.url}]
    config = write_config(tmp_path, record, sinks, metrics(port))
    with line(bundle_path, config, environment=environment) as process:
        wait_for(lambda: ok(port))
        for jump in ("+5h", "-3h", "@1970-01-01 00:00:10", "+0"):
            before = rows_in(record)
            clock.write_text(jump)
            time.sleep(1.0)
            assert rows_in(record) - before > 15  # of 30
            assert ok(port), health(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    with Record(record, Access.READ) as opened:
        rows = [one.row for one in opened.rows()]
    assert any(row.time_utc.startswith("1970-01-01") for row in rows)
    assert [row.part for row in rows] == list(range(1, len(rows) + 1))
    times = [row.monotonic_ns for row in rows]
    assert times == sorted(times)
    assert {row.reason for row in rows[:-1]} == {"vote"}
    assert receiver.acknowledged == [row.uuid for row in rows]


def test_an_inspection_that_is_stopped_turns_health_red(tmp_path: Path, bundle_path: Path) -> None:
    port = free_port()
    config = write_config(tmp_path, tmp_path / "r.sqlite", [], metrics(port))
    with line(bundle_path, config) as process:
        wait_for(lambda: ok(port))
        os.kill(process.pid, signal.SIGSTOP)
        started = time.monotonic()
        wait_for(lambda: health(port)[0] == 503)
        assert time.monotonic() - started < 1.0
        assert health(port)[1] == ["the inspecting process is stuck or gone"]
        os.kill(process.pid, signal.SIGCONT)
        wait_for(lambda: ok(port))


def test_a_damaged_record_is_moved_aside_and_the_line_runs_within_five_seconds(
    tmp_path: Path, bundle_path: Path, receiver: Receiver
) -> None:
    port, record = free_port(), tmp_path / "r.sqlite"
    sinks = [{"kind": "http", "url": receiver.url}]
    config = write_config(tmp_path, record, sinks, metrics(port))
    with line(bundle_path, config):
        wait_for(lambda: len(receiver.acknowledged) > 30)
    with contextlib.closing(sqlite3.connect(record)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(record.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    record.write_bytes(content)
    seen = len(receiver.acknowledged)
    started = time.monotonic()
    with line(bundle_path, config):
        wait_for(lambda: len(receiver.acknowledged) > seen)
        assert time.monotonic() - started < 5.0
        wait_for(lambda: ok(port))
        alarms = json.loads(ask(port, "/healthz")[1])["alarms"]
    (kept,) = tmp_path.glob("r.sqlite.damaged-*[0-9]")
    assert any(str(kept) in alarm for alarm in alarms), alarms
    assert kept.read_bytes() == content


def test_pictures_of_rejected_parts_lie_where_their_rows_say(
    tmp_path: Path, bundle_path: Path
) -> None:
    record = tmp_path / "r.sqlite"
    config = write_config(tmp_path, record, [])
    text = config.read_text().replace(
        "[record]\n", '[record]\npictures = "pictures"\naccepted_share = 0.0\n'
    )
    config.write_text(text)
    with line(bundle_path, config) as process:
        wait_for(lambda: record.exists() and rows_in(record) > 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    with Record(record, Access.READ) as opened:
        rows = [one.row for one in opened.rows()]
    kept = {row.picture for row in rows if row.picture is not None}
    assert {row.verdict for row in rows if row.picture is not None} <= {"reject", "unsure"}
    assert len(kept) >= 0.9 * sum(row.verdict != "accept" for row in rows)
    folder = tmp_path / "pictures"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.jpg")} == kept
