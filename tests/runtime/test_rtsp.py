"""A real RTSP stream on loopback: pictures, faults, and frames that come late."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from linegate_bundle.errors import CameraError
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.capture import Capture
from linegate_runtime.capture_protocol import Request
from linegate_runtime.sources import SourceOptions
from linegate_runtime.sources.opencv import OpenCvSource
from linegate_runtime.sources.stream_pace import StreamPace
from tests.fault_run import Break, WatchedRun, changing_picture
from tests.rtsp_server import RtspServer
from tests.runtime.live_support import even_picture, showing

MS = 1_000_000

_BEFORE_S = 5.0
"""Pictures from before the start have a grey of their own too."""


def options(address: str) -> SourceOptions:
    return SourceOptions(address=address, open_timeout_s=2.0, read_timeout_s=1.0)


@contextlib.contextmanager
def opened(camera: RtspServer) -> Iterator[OpenCvSource]:
    with contextlib.closing(OpenCvSource(options(camera.address))) as source:
        yield source


class Clock:
    """A camera before a clock: each picture's grey tells when it was taken, to 50 ms."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def show(self, seconds: float) -> UInt8Array:
        return even_picture(20 + int((seconds + _BEFORE_S) * 20) % 200)

    def age_s(self, pixels: UInt8Array) -> float:
        taken = int(np.median(pixels)) - 20
        now = int((time.monotonic() - self.start + _BEFORE_S) * 20) % 200
        return ((now - taken + 5) % 200 - 5) / 20


def read_on(source: OpenCvSource, busy_s: float = 0.0) -> None:
    for _ in range(200):
        source.read()
        busy_until = time.thread_time() + busy_s
        while time.thread_time() < busy_until:
            pass


def test_pictures_come_as_they_are_shown() -> None:
    with RtspServer(showing(90)) as camera, opened(camera) as source:
        frames = [source.read() for _ in range(5)]
    for frame in frames:
        assert frame is not None
        assert frame.pixels.shape == (48, 64, 3)
        assert abs(int(np.median(frame.pixels)) - 90) <= 2


def test_a_server_that_falls_silent_ends_the_wait_in_time() -> None:
    with RtspServer(changing_picture) as camera, opened(camera) as source:
        assert source.read() is not None
        camera.hang()
        begun = time.monotonic()
        with pytest.raises(CameraError, match="fell silent"):
            read_on(source)
        assert time.monotonic() - begun < 5


def test_a_server_that_does_not_answer_is_said_in_time() -> None:
    with RtspServer(changing_picture) as camera:
        camera.hang()
        begun = time.monotonic()
        with pytest.raises(CameraError, match="expected a"):
            OpenCvSource(options(camera.address))
        assert time.monotonic() - begun < 5


def test_what_a_server_has_kept_from_before_is_not_new() -> None:
    clock = Clock()
    with RtspServer(clock.show, kept=60) as camera, opened(camera) as source:
        for _ in range(10):
            frame = source.read()
            assert frame is not None
            assert clock.age_s(frame.pixels) < 0.4


def test_what_was_held_back_for_long_is_not_new() -> None:
    clock = Clock()
    with RtspServer(clock.show) as camera, opened(camera) as source:
        for _ in range(20):
            source.read()
        camera.hang()
        time.sleep(0.7)
        camera.heal()
        for _ in range(20):
            frame = source.read()
            assert frame is not None
            assert clock.age_s(frame.pixels) < 0.4


@pytest.mark.parametrize(("fps", "stamped"), [(10, 25), (5, 30), (30, 25), (60, 25), (20, 20.1)])
def test_a_camera_whose_stamps_keep_another_rate_loses_nothing(fps: float, stamped: float) -> None:
    with (
        RtspServer(showing(90), fps=fps, stamped_fps=stamped) as camera,
        opened(camera) as source,
    ):
        source.read()
        begun = time.monotonic()
        for _ in range(round(3 * fps)):
            assert source.read() is not None
        assert time.monotonic() - begun < 4.5


def test_a_machine_that_is_too_slow_for_a_stream_says_so() -> None:
    with (
        RtspServer(changing_picture, fps=50) as camera,
        opened(camera) as source,
        pytest.raises(CameraError, match="this machine decodes too slowly"),
    ):
        read_on(source, busy_s=0.06)


def test_a_capture_keeps_up_with_the_camera() -> None:
    clock = Clock()
    with RtspServer(clock.show) as camera:
        request = Request(source="opencv", options=options(camera.address))
        with Capture(request) as capture:
            for _ in range(10):
                frame = capture.next_frame(10)
                assert frame is not None
                assert clock.age_s(frame.pixels) < 0.5
                time.sleep(0.2)


@pytest.mark.parametrize("fault", [Break.KILLED, Break.HUNG])
def test_no_verdict_while_a_stream_is_broken_and_one_soon_after(
    tmp_path: Path, bundle_path: Path, fault: Break
) -> None:
    with (
        RtspServer(changing_picture) as camera,
        WatchedRun(camera, bundle_path, tmp_path, "fake") as run,
    ):
        recovery = run.suffer(fault, 2.5)
        assert recovery.stale == 0
        assert recovery.recover_s < 5


def paced(*frames: tuple[int, int]) -> list[bool]:
    """Return what is said of frames that come so many ms after the last, stamped likewise."""
    pace, now_ns, stamp_ns, said = StreamPace(), 0, 0, []
    for gap, step in frames:
        now_ns, stamp_ns = now_ns + gap * MS, stamp_ns + step * MS
        said.append(pace.is_new(now_ns, stamp_ns, 0))
    return said


def test_a_stream_that_slows_down_for_good_is_new_again_soon() -> None:
    said = paced(*[(33, 33)] * 30, *[(300, 33)] * 30)
    assert all(said[3:30])
    assert all(said[-15:])


def test_stamps_that_do_not_rise_mean_nothing() -> None:
    assert paced(*[(33, 0)] * 10)[3:] == [True] * 7


def test_a_camera_that_takes_no_pictures_for_a_while_has_nothing_held_back() -> None:
    assert all(paced(*[(33, 33)] * 30, (1000, 1000), *[(33, 33)] * 5)[3:])
