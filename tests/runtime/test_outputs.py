"""A real line with its outputs' process: fed, watched, killed, and never in the way."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime.record import Access, Record
from tests.record_run import Receiver, line, missing, wait_for, write_config


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def metrics(port: int) -> str:
    return f'[metrics]\nlisten = "127.0.0.1:{port}"\n'


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def health(port: int) -> tuple[int, list[str]]:
    try:
        status, text = ask(port, "/healthz")
    except OSError:
        return 0, []
    return status, json.loads(text)["reasons"]


def values_of(port: int) -> dict[str, float]:
    status, text = ask(port, "/metrics")
    assert status == 200
    lines = [one.rpartition(" ") for one in text.splitlines() if not one.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def outputs_pid(parent: int) -> int:
    # A process is the child of the thread that started it.
    tasks = Path(f"/proc/{parent}/task").iterdir()
    for child in [pid for task in tasks for pid in (task / "children").read_text().split()]:
        if b"outputs_child" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise LookupError("the outputs' process is not there")


def rows_in(record: Path) -> int:
    try:
        with Record(record, Access.READ) as opened:
            return opened.chain.last_number
    except OutputError:  # it is just being made
        return 0


def ok(port: int) -> bool:
    return health(port)[0] == 200


def test_health_and_metrics_tell_how_the_line_does(tmp_path: Path, bundle_path: Path) -> None:
    port = free_port()
    with Receiver() as receiver:
        sinks = [{"kind": "http", "url": receiver.url}]
        config = write_config(tmp_path, tmp_path / "r.sqlite", sinks, metrics(port))
        with line(bundle_path, config):
            wait_for(lambda: ok(port))
            wait_for(lambda: values_of(port)["linegate_record_seconds_count"] > 10)
            values = values_of(port)
    assert values["linegate_ready"] == 1
    assert sum(values[f'linegate_parts_total{{verdict="{one}"}}'] for one in ("accept", "reject"))
    assert values['linegate_output_up{output="http"}'] == 1
    assert 'linegate_outbox_parts{output="http"}' in values
    assert values['linegate_model_seconds_bucket{le="+Inf"}'] > 10
    assert 'linegate_camera_frames_total{camera="64x48@90"}' in values
    assert values["linegate_disk_free_bytes"] > 0


def test_a_receiver_that_is_away_turns_health_red_and_gets_everything_later(
    tmp_path: Path, bundle_path: Path
) -> None:
    port, record = free_port(), tmp_path / "r.sqlite"
    with Receiver() as receiver:
        receiver.is_away.set()
        sinks = [{"kind": "http", "url": receiver.url}]
        config = write_config(tmp_path, record, sinks, metrics(port))
        with line(bundle_path, config) as process:
            wait_for(lambda: any("output http" in reason for reason in health(port)[1]))
            wait_for(lambda: rows_in(record) > 30)
            assert process.poll() is None
            receiver.is_away.clear()
            wait_for(lambda: len(receiver.acknowledged) > 30)
            wait_for(lambda: ok(port))
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        with Record(record, Access.READ) as opened:
            uuids = [one.row.uuid for one in opened.rows()]
        assert receiver.acknowledged == uuids


def test_what_was_not_delivered_is_delivered_by_the_next_run(
    tmp_path: Path, bundle_path: Path
) -> None:
    record = tmp_path / "r.sqlite"
    with Receiver() as receiver:
        receiver.is_away.set()
        config = write_config(tmp_path, record, [{"kind": "http", "url": receiver.url}])
        with line(bundle_path, config) as process:
            wait_for(lambda: record.exists() and rows_in(record) > 10)
            process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            assert process.wait(10) == 0
            assert time.monotonic() - started < 2.0
        receiver.is_away.clear()
        first_run = rows_in(record)
        with line(bundle_path, config):
            wait_for(lambda: len(receiver.acknowledged) > first_run + 5)
        with Record(record, Access.READ) as opened:
            uuids = [one.row.uuid for one in opened.rows()]
    assert receiver.acknowledged == uuids[: len(receiver.acknowledged)]


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_an_outputs_process_that_dies_or_hangs_is_replaced_and_holds_nothing_up(
    tmp_path: Path, bundle_path: Path, fault: signal.Signals
) -> None:
    record = tmp_path / "r.sqlite"
    with Receiver() as receiver:
        config = write_config(tmp_path, record, [{"kind": "http", "url": receiver.url}])
        with line(bundle_path, config) as process:
            wait_for(lambda: len(receiver.acknowledged) > 10)
            first = outputs_pid(process.pid)
            os.kill(first, fault)
            before = rows_in(record)
            time.sleep(1.0)
            assert rows_in(record) - before > 20  # of 30
            seen = len(receiver.acknowledged)
            wait_for(lambda: len(receiver.acknowledged) > seen + 60)
            assert outputs_pid(process.pid) != first
    assert missing(record, receiver.acknowledged) == set()
    assert len(receiver.acknowledged) - len(set(receiver.acknowledged)) <= 5


def test_killed_again_and_again_the_record_keeps_all_that_was_acknowledged(
    tmp_path: Path, bundle_path: Path
) -> None:
    record = tmp_path / "r.sqlite"
    with Receiver() as receiver:
        config = write_config(tmp_path, record, [{"kind": "http", "url": receiver.url}])
        for number in range(8):
            with line(bundle_path, config):
                seen = len(receiver.acknowledged)
                wait_for(lambda: len(receiver.acknowledged) > seen + 3)  # noqa: B023
                time.sleep(0.013 * number)
        assert missing(record, receiver.acknowledged) == set()
    with sqlite3.connect(record) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_a_port_that_is_taken_is_said_before_the_line_starts(
    tmp_path: Path, bundle_path: Path
) -> None:
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = write_config(tmp_path, tmp_path / "r.sqlite", [], metrics(taken.getsockname()[1]))
        with line(bundle_path, config, log=log) as process:
            assert process.wait(20) == ConfigError.exit_code
    assert "[metrics] listen: 127.0.0.1:" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_disk_without_room_turns_health_red_within_a_second_and_heals(
    tmp_path: Path, bundle_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=False
    ).returncode:
        pytest.skip("a small disk is a tmpfs, for which this test must be root")
    port, record = free_port(), disk / "r.sqlite"
    try:
        with Receiver() as receiver:
            sinks = [{"kind": "http", "url": receiver.url}]
            config = write_config(tmp_path, record, sinks, metrics(port))
            with line(bundle_path, config) as process:
                wait_for(lambda: ok(port))
                filler = disk / "filler"
                with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(4096))
                wait_for(lambda: health(port)[0] == 503)
                told = len(receiver.acknowledged)
                reasons = health(port)[1]
                assert any("cannot be recorded" in reason for reason in reasons), reasons
                time.sleep(0.7)
                assert len(receiver.acknowledged) <= told + 2
                filler.unlink()
                wait_for(lambda: ok(port))
                seen = len(receiver.acknowledged)
                wait_for(lambda: len(receiver.acknowledged) > seen + 20)
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
            with Record(record, Access.READ) as opened:
                rows = [one.row for one in opened.rows()]
        assert receiver.acknowledged == [row.uuid for row in rows]
        assert [row.part for row in rows] == list(range(1, len(rows) + 1))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
