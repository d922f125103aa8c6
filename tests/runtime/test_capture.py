"""The capture: a real child process, real shared memory, real faults."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from linegate_bundle.errors import CameraError, ConfigError, DataError
from linegate_runtime.capture import Capture, CaptureEndedError
from linegate_runtime.capture_protocol import Request
from linegate_runtime.frame import Frame
from linegate_runtime.geometry import Size
from linegate_runtime.sources import SourceOptions
from linegate_runtime.testing import MjpegServer
from tests.runtime.live_support import (
    even_picture,
    fake_camera,
    is_running,
    showing,
    stream,
    wait_until,
)
from tests.runtime.test_sources import write_pictures


def take(capture: Capture, limit_s: float = 15.0) -> Frame:
    """Wait for a frame across restarts."""
    frame = capture.next_frame(limit_s)
    assert frame is not None
    return frame


def test_every_frame_is_newer_than_the_one_before() -> None:
    with Capture(fake_camera()) as capture:
        frames = [take(capture) for _ in range(30)]
        numbers = [frame.number for frame in frames]
        times = [frame.monotonic_ns for frame in frames]
    assert numbers == sorted(set(numbers))
    assert times == sorted(set(times))
    assert capture.counts.frames == 30
    assert capture.counts.restarts == 0


def test_a_slow_consumer_gets_the_newest_frame_and_no_lag() -> None:
    with Capture(fake_camera("64x48@100")) as capture:
        take(capture)
        ages_ms = []
        for _ in range(10):
            time.sleep(0.1)
            frame = take(capture)
            ages_ms.append((time.monotonic_ns() - frame.monotonic_ns) / 1e6)
    assert float(np.median(ages_ms)) < 20
    assert frame.number > 60


def test_pixels_stay_as_they_are_until_the_next_frame_is_asked_for() -> None:
    with Capture(fake_camera("320x240@200")) as capture:
        for _ in range(10):
            pixels = take(capture).pixels
            value = int(pixels[0, 0, 0])
            time.sleep(0.05)  # ten more frames come in meanwhile
            assert (pixels == value).all()


def test_no_frame_is_torn_at_the_highest_speed() -> None:
    with Capture(fake_camera("640x480@999")) as capture:
        for _ in range(200):
            pixels = take(capture).pixels
            assert (pixels == pixels[0, 0, 0]).all()


def test_pixels_cannot_be_written_to() -> None:
    with Capture(fake_camera()) as capture:
        pixels = take(capture).pixels
        with pytest.raises(ValueError, match="read-only"):
            pixels[0, 0, 0] = 1


def test_no_frame_in_time_is_none() -> None:
    with MjpegServer(showing(50)) as server:
        server.hang()
        with Capture(stream(server.address, open_timeout_s=10)) as capture:
            started = time.monotonic()
            assert capture.next_frame(0.2) is None
            assert 0.15 < time.monotonic() - started < 0.6


def test_a_folder_gives_every_picture_once_however_slow_the_consumer(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures", 8)
    request = Request(source="folder", options=SourceOptions(address=str(folder)))
    means = []
    with Capture(request) as capture:
        for _ in range(8):
            means.append(round(float(take(capture).pixels.mean())))
            time.sleep(0.02)
        with pytest.raises(CaptureEndedError, match="end is reached"):
            take(capture)
    assert means == [20 * index for index in range(8)]


def test_a_killed_child_is_replaced_and_numbers_go_on(caplog: pytest.LogCaptureFixture) -> None:
    with Capture(fake_camera()) as capture:
        before = take(capture)
        number = before.number
        old = capture.pid
        assert old is not None
        os.kill(old, signal.SIGKILL)
        time.sleep(0.05)
        seen = [take(capture).number for _ in range(5)]
        assert capture.pid != old
    assert seen == sorted(set(seen))
    assert seen[0] > number
    assert capture.counts.restarts == 1
    assert "was killed by signal 9; trying again" in caplog.text


def test_pixels_outlive_the_child_that_wrote_them() -> None:
    with Capture(fake_camera()) as capture:
        pixels = take(capture).pixels
        value = int(pixels[0, 0, 0])
        assert capture.pid is not None
        os.kill(capture.pid, signal.SIGKILL)
        take(capture)
        capture.close()
        assert (pixels == value).all()


def test_a_frozen_child_is_killed_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    request = Request(source="fake", options=SourceOptions(address="64x48@100", read_timeout_s=0.3))
    with Capture(request) as capture:
        take(capture)
        old = capture.pid
        assert old is not None
        os.kill(old, signal.SIGSTOP)
        started = time.monotonic()
        while capture.pid == old:
            capture.next_frame(0.5)
        # The frame that was already on its way, then read time-out and grace.
        assert time.monotonic() - started < 4
        take(capture)
    assert not is_running(old)
    assert "hangs and was killed" in caplog.text


def test_a_killed_server_is_found_again_when_it_is_back() -> None:
    with MjpegServer(showing(50)) as server, Capture(stream(server.address)) as capture:
        number = take(capture).number
        server.kill()
        assert capture.next_frame(1.0) is None or capture.next_frame(1.0) is None
        server.restart()
        started = time.monotonic()
        assert take(capture).number > number
        assert time.monotonic() - started < 5
        assert capture.counts.restarts >= 1


def test_a_hung_server_gives_no_frame_and_is_left_within_the_time_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        MjpegServer(showing(50)) as server,
        Capture(stream(server.address, read_timeout_s=0.5)) as capture,
    ):
        take(capture)
        server.hang()
        started = time.monotonic()
        while not caplog.records:
            capture.next_frame(0.1)
        assert time.monotonic() - started < 2.5
        assert "fell silent" in caplog.text
        server.resume()
        take(capture)


def test_an_address_that_does_not_answer_is_said_within_the_time_out_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with MjpegServer(showing(50)) as server:
        server.hang()
        with Capture(stream(server.address, open_timeout_s=0.5)) as capture:
            # Python needs a moment to start before the time-out begins.
            assert wait_until(lambda: bool(capture.next_frame(0.05) or caplog.records), 4)
            assert "expected a stream within 0.5 s, got no answer" in caplog.text
            server.resume()
            take(capture)
            assert capture.counts.restarts >= 1


def test_the_same_complaint_is_not_logged_again_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Capture(stream("http://127.0.0.1:9/")) as capture:
        while capture.counts.restarts < 2:
            capture.next_frame(0.2)
    assert len(caplog.records) == 1


def test_the_child_ends_when_its_parent_is_killed() -> None:
    program = (
        "import sys, time\n"
        "from linegate_runtime.capture import Capture\n"
        "from tests.runtime.live_support import fake_camera\n"
        "capture = Capture(fake_camera())\n"
        "capture.start()\n"
        "capture.next_frame(20)\n"
        "print(capture.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    assert wait_until(lambda: not is_running(child), 3)


def test_the_child_ends_when_the_capture_is_closed() -> None:
    capture = Capture(fake_camera())
    capture.start()
    pid = capture.pid
    assert pid is not None
    capture.close()
    capture.close()
    assert not is_running(pid)


def test_nothing_leaks_over_many_restarts() -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = descriptors()
    with Capture(fake_camera("64x48@100#1")) as capture:
        while capture.counts.restarts < 3:
            capture.next_frame(0.5)
    assert descriptors() == before


def test_frames_of_another_size_than_configured_are_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        MjpegServer(showing(50)) as server,
        Capture(stream(server.address, size=Size(640, 480))) as capture,
    ):
        assert wait_until(lambda: bool(capture.next_frame(0.1) or caplog.records))
    assert "expected frames of 640x480, got 64x48" in caplog.text


def test_frames_of_another_size_are_not_used_until_the_first_size_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    is_large = threading.Event()

    def picture(seconds: float) -> np.ndarray:
        del seconds
        return even_picture(90, 128, 96) if is_large.is_set() else even_picture(90, 64, 48)

    with MjpegServer(picture) as server, Capture(stream(server.address)) as capture:
        assert take(capture).pixels.shape == (48, 64, 3)
        is_large.set()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            frame = capture.next_frame(0.2)
            assert frame is None or frame.pixels.shape == (48, 64, 3)
        is_large.clear()
        assert take(capture).pixels.shape == (48, 64, 3)
    assert "got 128x96" in caplog.text


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (fake_camera("nonsense"), ConfigError, "nonsense: expected WIDTHxHEIGHT@FPS"),
        (
            Request(source="nosuch", options=SourceOptions(address="x")),
            ConfigError,
            "unknown source 'nosuch'; valid are: fake, folder, mjpeg, opencv, picamera2, replay",
        ),
    ],
)
def test_what_cannot_heal_is_raised(
    request_: Request, error: type[Exception], message: str
) -> None:
    with Capture(request_) as capture, pytest.raises(error, match=message):
        capture.next_frame(20)


def test_a_damaged_picture_in_a_folder_is_raised_and_not_repeated(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures", 3)
    path = folder / "001.png"
    path.write_bytes(path.read_bytes()[:40])
    request = Request(source="folder", options=SourceOptions(address=str(folder)))
    with Capture(request) as capture:
        take(capture)
        with pytest.raises(DataError, match=r"001\.png"):
            capture.next_frame(10)


def test_a_folder_whose_reader_is_killed_is_not_begun_again(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures", 3)
    request = Request(source="folder", options=SourceOptions(address=str(folder)))
    with Capture(request) as capture:
        take(capture)
        assert capture.pid is not None
        os.kill(capture.pid, signal.SIGKILL)
        with pytest.raises(CameraError, match="killed by signal 9"):
            capture.next_frame(10)


def test_a_frame_that_waited_too_long_is_dropped_and_counted() -> None:
    with Capture(fake_camera("64x48@50#30")) as capture:
        take(capture)
        # The camera is lost meanwhile; its last frame waits in the shared memory.
        assert wait_until(lambda: capture.pid is None or not is_running(capture.pid), 10)
        time.sleep(0.6)
        frame = take(capture)
        age_s = (time.monotonic_ns() - frame.monotonic_ns) / 1e9
        assert age_s < 0.5


def test_a_password_is_not_part_of_the_name_nor_of_the_command_line() -> None:
    address = "http://user:secret@127.0.0.1:9/stream"
    with Capture(stream(address)) as capture:
        assert capture.name == "http://127.0.0.1:9/stream"
        command = Path(f"/proc/{capture.pid}/cmdline").read_bytes()
        assert b"capture_child" in command or not command
        assert b"secret" not in command
