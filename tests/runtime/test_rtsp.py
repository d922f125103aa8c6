"""A real RTSP stream on loopback: pictures, faults, and frames that come late."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import CameraError
from linegate_runtime.capture import Capture
from linegate_runtime.capture_protocol import Request
from linegate_runtime.sources import SourceOptions
from linegate_runtime.sources.opencv import OpenCvSource
from linegate_runtime.sources.stream_clock import StreamClock
from tests.fault_run import Break, WatchedRun, changing_picture
from tests.rtsp_server import RtspServer
from tests.runtime.live_support import showing

MS = 1_000_000


def options(address: str) -> SourceOptions:
    return SourceOptions(address=address, open_timeout_s=2.0, read_timeout_s=1.0)


def read_on(source: OpenCvSource) -> None:
    for _ in range(100):
        source.read()


def test_pictures_come_as_they_are_shown() -> None:
    with RtspServer(showing(90)) as camera:
        source = OpenCvSource(options(camera.address))
        frames = [source.read() for _ in range(5)]
        source.close()
    for frame in frames:
        assert frame is not None
        assert frame.pixels.shape == (48, 64, 3)
        assert abs(int(np.median(frame.pixels)) - 90) <= 2


def test_a_server_that_falls_silent_ends_the_wait_in_time() -> None:
    with RtspServer(changing_picture) as camera:
        source = OpenCvSource(options(camera.address))
        assert source.read() is not None
        camera.hang()
        begun = time.monotonic()
        with pytest.raises(CameraError, match="fell silent"):
            read_on(source)
        assert time.monotonic() - begun < 5
        source.close()


def test_a_server_that_does_not_answer_is_said_in_time() -> None:
    with RtspServer(changing_picture) as camera:
        camera.hang()
        begun = time.monotonic()
        with pytest.raises(CameraError, match="expected a"):
            OpenCvSource(options(camera.address))
        assert time.monotonic() - begun < 5


def test_a_reader_that_is_too_slow_learns_how_old_its_frames_are() -> None:
    with RtspServer(changing_picture, fps=50) as camera:
        source = OpenCvSource(options(camera.address))
        ages_s = []
        for _ in range(40):
            frame = source.read()
            assert frame is not None
            ages_s.append((time.monotonic_ns() - frame.monotonic_ns) / 1e9)
            time.sleep(0.06)
        source.close()
    # 40 frames of 20 ms were read, in the time in which 120 were sent.
    assert ages_s[0] < 0.2
    assert ages_s[-1] > 0.5


def test_a_capture_keeps_up_with_the_camera() -> None:
    with RtspServer(changing_picture) as camera:
        request = Request(source="opencv", options=options(camera.address))
        with Capture(request) as capture:
            ages_s = []
            for _ in range(10):
                frame = capture.next_frame(10)
                assert frame is not None
                ages_s.append((time.monotonic_ns() - frame.monotonic_ns) / 1e9)
                time.sleep(0.2)
    assert sorted(ages_s)[5] < 0.2


def test_a_camera_whose_frames_come_late_for_good_is_opened_again() -> None:

    with RtspServer(changing_picture) as camera:
        request = Request(source="opencv", options=options(camera.address))
        with Capture(request) as capture:
            assert capture.next_frame(10) is not None
            camera.late_s = 0.8
            deadline = time.monotonic() + 15
            while capture.counts.restarts == 0 and time.monotonic() < deadline:
                frame = capture.next_frame(0.1)
                assert frame is None or time.monotonic_ns() - frame.monotonic_ns < 6e8
            assert capture.counts.restarts == 1
            assert capture.counts.stale > 10
            assert capture.next_frame(10) is not None


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


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(0, 300)), min_size=2, max_size=60),
    st.integers(-1000, 1000),
)
def test_no_frame_is_newer_than_now_and_those_held_back_are_older(
    steps: list[tuple[int, int]], offset: int
) -> None:
    clock = StreamClock()
    true_ns = 10_000 * MS
    soonest = None
    for step, held in steps:
        true_ns += step * MS
        soonest = held if soonest is None else min(soonest, held)
        now_ns = true_ns + held * MS
        given_ns = clock.taken_ns(now_ns, true_ns + offset * MS)
        assert given_ns <= now_ns
        # As old as it was held back longer than the quickest, but for the drift allowed.
        assert 0 <= given_ns - (true_ns + soonest * MS) <= 10 * MS


def test_stamps_that_say_nothing_change_nothing() -> None:
    clock = StreamClock()
    assert [clock.taken_ns(now_ns, 0) for now_ns in (5, 9, 30)] == [5, 9, 30]
