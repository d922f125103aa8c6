"""A real line with a gate: whatever dies or hangs, nothing is accepted soon after."""

import contextlib
import itertools
import signal
import subprocess
import time
from pathlib import Path

import pytest

from linegate_runtime.record import Access, Record
from tests.gate_run import Process, gated_line, time_to_safe_ms
from tests.record_run import Receiver, wait_for

LIMIT_MS = 250


@pytest.mark.parametrize(
    ("process", "fault", "mode"),
    [
        # `make bench-outputs` does all of them, ten times each.
        (Process.PARENT, signal.SIGKILL, "reject"),
        (Process.PARENT, signal.SIGSTOP, "accept"),
        (Process.CAMERA, signal.SIGKILL, "accept"),
        (Process.CAMERA, signal.SIGSTOP, "reject"),
        (Process.GUARD, signal.SIGKILL, "reject"),
        (Process.GUARD, signal.SIGSTOP, "accept"),
        (Process.OUTPUTS, signal.SIGKILL, "accept"),
        (Process.OUTPUTS, signal.SIGSTOP, "reject"),
    ],
)
def test_whichever_process_dies_or_hangs_the_line_is_safe_in_time(
    tmp_path: Path, bundle_path: Path, process: Process, fault: signal.Signals, mode: str
) -> None:
    with (
        Receiver() as receiver,
        gated_line(tmp_path, bundle_path, mode, {"kind": "http", "url": receiver.url}) as line,
    ):
        assert time_to_safe_ms(*line, process, fault) < LIMIT_MS


@pytest.mark.parametrize("process", [Process.CAMERA, Process.GUARD, Process.OUTPUTS])
def test_the_line_accepts_again_when_what_died_is_replaced(
    tmp_path: Path, bundle_path: Path, process: Process
) -> None:
    with (
        Receiver() as receiver,
        gated_line(tmp_path, bundle_path, "accept", {"kind": "http", "url": receiver.url}) as line,
    ):
        assert time_to_safe_ms(*line, process, signal.SIGKILL) < LIMIT_MS
        safe_ns = time.monotonic_ns()
        _, observer = line
        wait_for(lambda: any(s.ns > safe_ns and not s.is_safe for s in observer.sights()))


def test_only_what_is_on_record_is_accepted(tmp_path: Path, bundle_path: Path) -> None:
    with (
        Receiver() as receiver,
        gated_line(tmp_path, bundle_path, "accept", {"kind": "http", "url": receiver.url}) as line,
    ):
        _, observer = line
        time.sleep(1.0)
        sights = observer.sights()
    begins = [
        later.ns
        for earlier, later in itertools.pairwise(sights)
        if later.is_active and not earlier.is_active
    ]
    with Record(tmp_path / "gated.sqlite", Access.READ) as record:
        accepted = [one.row for one in record.rows() if one.row.verdict == "accept"]
    assert 10 < len(begins) <= len(accepted)


def test_a_disk_without_room_brings_the_gate_to_its_safe_state_until_there_is_room_again(
    tmp_path: Path, bundle_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk is a tmpfs, for which this test must be root")
    try:
        with gated_line(disk, bundle_path, "accept") as (_, observer):
            filler = disk / "filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            full_ns = time.monotonic_ns()
            assert observer.time_to_safe_ms(full_ns, stays_ms=500.0) < 1000
            filler.unlink()
            free_ns = time.monotonic_ns()
            wait_for(lambda: any(s.ns > free_ns and not s.is_safe for s in observer.sights()))
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
