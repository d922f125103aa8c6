"""A real ``linegate run`` on an emulated ARM board before a network camera."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from linegate_bundle.bundle import Bundle
from linegate_bundle.decide import decide_part
from linegate_bundle.manifest import Verdict
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.model import Model
from linegate_runtime.reason import Reason
from linegate_runtime.record import Access, Record
from linegate_runtime.testing import Belt, MjpegServer
from tests.arm64.guest import Guest
from tests.belt_run import SIDE, draw_parts
from tests.runtime.live_support import wait_until, write_empty
from tests.support import TINY_BUNDLE

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(600)]

FPS = 5.0
SPEED_PX = 10
PARTS = 4
LIMIT_S = 240.0

LOG_COMMANDS = (
    ("verify",),
    ("show", "--json"),
    ("stats", "--json"),
    ("export", "--format", "csv", "--out", "-"),
)

SETTINGS = """
[camera]
address = "{address}"
open_timeout_s = 30.0
read_timeout_s = 30.0
frozen_after_s = 30.0

[trigger]
kind = "presence"
empty = "empty.png"
part_size = [{side}, {side}]

[verdict]
deadline_s = 60.0

[record]
path = "parts.sqlite"
"""
"""An emulated processor is slow, so that every limit is wide; the software is as it is."""


class SlowBelt:
    """A belt that stands still until it is started.

    Args:
        belt: what it carries.
    """

    def __init__(self, belt: Belt) -> None:
        self._belt = belt
        self._started: float | None = None

    def start(self) -> None:
        """Let it run."""
        self._started = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Whether all parts have gone."""
        return self._index() >= len(self._belt)

    def frame_at(self, seconds: float) -> UInt8Array:
        """Return what the camera shows now."""
        del seconds
        return self._belt.frame(self._index())

    def _index(self) -> int:
        return 0 if self._started is None else int((time.monotonic() - self._started) * FPS)


@contextlib.contextmanager
def manager() -> Iterator[tuple[str, socket.socket]]:
    """Listen as a service manager does; give the address and the socket."""
    address = f"linegate-arm64-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{address}")
        listener.settimeout(LIMIT_S)
        yield f"@{address}", listener


def verdict_offline(part: UInt8Array) -> Verdict:
    """Return what this machine says of a part."""
    with Bundle.open(TINY_BUNDLE, "0.1.0") as bundle, Model.open(bundle) as model:
        seen = [model.probabilities(part)] * bundle.manifest.policy.vote.frames
        return decide_part(seen, bundle.manifest.labels, bundle.manifest.policy).verdict


def memory_mb(pid: int) -> float:
    """Return the memory of a process and its children: the sum of their shares, in MB."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1e3
    return own + sum(memory_mb(int(child)) for child in children)


def test_parts_before_a_network_camera_are_recorded_with_the_verdicts_of_x86(
    device: Guest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = draw_parts(PARTS)
    belt = Belt(parts, speed_px=SPEED_PX, gap_px=120, width=320, height=160)
    write_empty(belt, tmp_path)
    slow = SlowBelt(belt)
    board = device.seeing(tmp_path, Path("/mnt/line")).seeing(TINY_BUNDLE, Path("/mnt/b.linegate"))
    with MjpegServer(slow.frame_at, fps=FPS) as camera, manager() as (address, listener):
        settings = SETTINGS.format(address=camera.address, side=SIDE)
        (tmp_path / "line.toml").write_text(settings)
        command = board.command(
            *("env", f"NOTIFY_SOCKET={address}", board.python, "-m", "linegate_runtime", "run"),
            *("/mnt/b.linegate", "--config", "/mnt/line/line.toml", "--json"),
        )
        log = tmp_path / "log.txt"
        with (
            log.open("wb") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
        ):
            try:
                assert listener.recv(4096) == b"READY=1"
                assert wait_until(lambda: camera.seconds > 2 / FPS, LIMIT_S)
                slow.start()
                assert wait_until(lambda: slow.is_empty, LIMIT_S)
                memory = memory_mb(process.pid)
                process.send_signal(signal.SIGTERM)
                printed, _ = process.communicate(timeout=LIMIT_S)
            finally:
                process.kill()
    assert process.returncode == 0, log.read_text()
    with capsys.disabled():
        print(  # noqa: T201 - to be read
            f"\nlinegate run, all processes: {memory:.0f} MB, with what the emulator needs itself"
        )
    with Record(tmp_path / "parts.sqlite", Access.READ) as record:
        rows = [recorded.row for recorded in record.rows()]
    assert [row.verdict for row in rows] == [verdict_offline(part) for part in parts], (
        log.read_text()
    )
    assert [row.uuid for row in rows] == [json.loads(line)["uuid"] for line in printed.splitlines()]
    assert {row.reason for row in rows} == {Reason.VOTE}
    # The record that was written there is whole, here and there, and reads the same.
    for words in LOG_COMMANDS:
        there = board.run("linegate", "log", *words, "/mnt/line/parts.sqlite")
        command = [sys.executable, "-m", "linegate_runtime", "log", *words]
        here = subprocess.run(
            [*command, tmp_path / "parts.sqlite"], check=True, capture_output=True, text=True
        ).stdout
        assert there.replace("/mnt/line", str(tmp_path)) == here
        assert here
