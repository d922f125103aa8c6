"""``linegate doctor``: cameras that work, freeze, go dark, and do not answer."""

import logging
from pathlib import Path

import cv2
import pytest

from linegate_runtime.checkup.base import Finding, Outcome
from linegate_runtime.checkup.cameras import check_camera, check_held, is_device
from linegate_runtime.config import CameraConfig
from linegate_runtime.config_file import Overrides, load_config
from linegate_runtime.testing import MjpegServer
from linegate_runtime.testing.mjpeg_server import StreamFault
from tests.runtime.live_support import even_picture, showing


def camera(address: str, source: str | None = None) -> CameraConfig:
    (found,) = load_config(None, Overrides(camera=address, source=source)).cameras
    return found


def look(address: str, source: str | None = None, limit_s: float = 10.0) -> Finding:
    return check_camera(camera(address, source), limit_s, watched_s=1.0)


def test_a_stream_that_comes_is_told_with_its_size_and_rate(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with MjpegServer(showing(120)) as server:
        finding = look(server.address)
    assert finding.outcome is Outcome.OK, finding.detail
    assert f"{server.address}: 64x48, " in finding.detail
    assert " frames/s, " in finding.detail
    assert not caplog.records


def test_a_camera_that_nobody_serves_is_a_failure_with_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        finding = look("http://127.0.0.1:9/", limit_s=1.0)
    assert finding.outcome is Outcome.FAILED
    assert finding.detail.count("Connection refused") == 1
    assert "--view" in str(finding.advice)
    # It is in the finding, and nowhere else.
    assert not caplog.records


@pytest.mark.parametrize(
    ("fault", "words"),
    [(StreamFault.BLACK, "black pictures"), (StreamFault.FROZEN, "pictures were the same again")],
)
def test_black_and_frozen_pictures_are_named(fault: StreamFault, words: str) -> None:
    with MjpegServer(showing(120)) as server:
        server.spoil(fault)
        finding = look(server.address, limit_s=4.0)
    assert finding.outcome in (Outcome.WARNING, Outcome.FAILED)
    assert words in finding.detail


def test_a_password_in_the_address_is_not_told() -> None:
    finding = look("http://user:geheim@127.0.0.1:9/x", limit_s=0.5)
    assert "geheim" not in f"{finding.detail} {finding.advice}"


def test_a_folder_of_pictures_is_read_to_its_end(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), even_picture(100 + number))
    finding = look(str(tmp_path))
    assert finding.outcome is Outcome.OK, finding.detail
    assert finding.detail.endswith("64x48, not live, 3 pictures")


def test_an_address_that_can_mean_nothing_is_a_failure() -> None:
    finding = look("no size", "fake", limit_s=10.0)
    assert finding.outcome is Outcome.FAILED


def test_devices_are_told_from_streams_and_files(tmp_path: Path) -> None:
    assert is_device(camera("0"))
    assert is_device(camera("csi:0"))
    assert not is_device(camera("http://127.0.0.1:9/"))
    assert not is_device(camera("rtsp://127.0.0.1:9/"))
    assert not is_device(camera(str(tmp_path)))


def test_a_device_of_the_running_service_is_left_alone() -> None:
    assert check_held(camera("0"), "30.0 frames/s", is_own=True).outcome is Outcome.OK
    assert check_held(camera("0"), "", is_own=False).outcome is Outcome.WARNING
    blind = check_held(camera("0"), "nothing is accepted: camera 0 gives no frames", is_own=True)
    assert blind.outcome is Outcome.FAILED
