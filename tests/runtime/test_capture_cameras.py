"""The capture before cameras that freeze, go black, are turned, slow, moody, or several."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from linegate_runtime.capture import Capture, next_frame_of
from linegate_runtime.capture_protocol import Checks, Request
from linegate_runtime.geometry import Size
from linegate_runtime.sources import SourceOptions
from linegate_runtime.sources.base import Rotation
from linegate_runtime.testing import MjpegServer, StreamFault
from tests.runtime.live_support import even_picture, fake_camera, showing, stream
from tests.runtime.test_capture import take


def test_a_repeated_picture_is_never_used_and_a_frozen_camera_is_opened_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = stream("", checks=Checks(frozen_after_s=0.4))
    with MjpegServer(showing(50)) as server:
        request = msgspec.structs.replace(
            request, options=msgspec.structs.replace(request.options, address=server.address)
        )
        with Capture(request) as capture:
            take(capture)
            server.spoil(StreamFault.FROZEN)
            until = time.monotonic() + 3
            frames = [
                capture.next_frame(0.2) for _ in iter(lambda: time.monotonic() < until, False)
            ]
            # Those on their way; none from the camera that was opened again and still is frozen.
            assert sum(frame is not None for frame in frames) <= 2
            assert capture.counts.repeated > 5
            assert capture.counts.restarts >= 1
            server.heal()
            started = time.monotonic()
            take(capture)
            assert time.monotonic() - started < 2.5
    assert "gives the same one" in caplog.text


def test_black_pictures_are_never_used(caplog: pytest.LogCaptureFixture) -> None:
    is_covered = threading.Event()

    def picture(seconds: float) -> np.ndarray:
        del seconds
        return even_picture(2 if is_covered.is_set() else 60)

    with (
        MjpegServer(picture) as server,
        Capture(stream(server.address, checks=Checks(frozen_after_s=0.4))) as capture,
    ):
        take(capture)
        is_covered.set()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            frame = capture.next_frame(0.2)
            assert frame is None or frame.pixels.mean() > 50
        assert capture.counts.black > 0
        is_covered.clear()
        assert take(capture).pixels.mean() > 50
    assert "gives black ones" in caplog.text


def test_frames_are_turned(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:8, :8] = 200
    assert cv2.imwrite(str(folder / "0.png"), picture)
    corners: dict[Rotation, tuple[int, int]] = {0: (0, 0), 90: (0, -1), 180: (-1, -1), 270: (-1, 0)}
    for rotation, corner in corners.items():
        options = SourceOptions(address=str(folder), rotation=rotation, size=Size(64, 48))
        with Capture(Request(source="folder", options=options)) as capture:
            pixels = take(capture).pixels
            assert pixels.shape == ((48, 64, 3) if rotation % 180 == 0 else (64, 48, 3))
            assert pixels[corner].tolist() == [200, 200, 200]
            assert int((pixels == 200).sum()) == 8 * 8 * 3


def test_a_camera_slower_than_configured_is_said(caplog: pytest.LogCaptureFixture) -> None:
    options = SourceOptions(address="64x48@20", fps=60)
    with Capture(Request(source="fake", options=options)) as capture:
        until = time.monotonic() + 5
        while not caplog.records and time.monotonic() < until:
            capture.next_frame(0.2)
    assert "expected 60 frames a second as configured, it gives 2" in caplog.text


def test_of_two_cameras_each_gets_its_turn_and_a_slow_consumer_still_gets_new_frames() -> None:
    with Capture(fake_camera("64x48@50"), "a") as one, Capture(fake_camera("32x24@50"), "b") as two:
        captures = [one, two]
        ages_ms: list[float] = []
        seen: list[int] = []
        for turn in range(30):
            found = next_frame_of(captures, 15, turn)
            assert found is not None
            number, frame = found
            assert frame.pixels.shape[:2] == ((48, 64), (24, 32))[number]
            seen.append(number)
            ages_ms.append((time.monotonic_ns() - frame.monotonic_ns) / 1e6)
            time.sleep(0.1)
    assert 10 <= seen.count(0) <= 20
    assert float(np.median(ages_ms[5:])) < 40


MOODY = """
from pathlib import Path
from linegate_bundle.errors import ConfigError
from linegate_runtime.sources.fake import FakeSource

class MoodySource(FakeSource):
    def __init__(self, options):
        if not Path(FILE).exists():
            raise ConfigError("the camera did not take its exposure")
        super().__init__(options)
"""


def test_a_camera_that_refuses_a_setting_after_it_has_worked_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = tmp_path / "taken"
    settings.touch()
    (tmp_path / "camera.py").write_text(MOODY.replace("FILE", repr(str(settings))))
    options = SourceOptions(address="64x48@100")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
        (tmp_path / "sitecustomize.py").write_text(
            "from linegate_runtime.sources import SOURCES\n"
            "SOURCES._builtin['moody'] = 'camera:MoodySource'\n"
        )
        with Capture(Request(source="moody", options=options)) as capture:
            assert capture.next_frame(15) is not None
            settings.unlink()
            os.kill(capture.pid or 0, signal.SIGKILL)
            while capture.counts.restarts < 3:
                capture.next_frame(0.2)
            settings.touch()
            assert capture.next_frame(15) is not None
    assert "did not take" in caplog.text
