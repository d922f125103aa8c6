"""V4L2 cameras: settings against a stand-in for the driver, failures against real files."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from linegate_bundle.errors import CameraError, ConfigError
from linegate_runtime.geometry import Size
from linegate_runtime.sources import SourceOptions
from linegate_runtime.sources.opencv import OpenCvSource
from linegate_runtime.sources.v4l2 import node_of, why_not

MJPG = cv2.VideoWriter.fourcc(*"MJPG")
LIGHT = (
    cv2.CAP_PROP_AUTO_EXPOSURE,
    cv2.CAP_PROP_EXPOSURE,
    cv2.CAP_PROP_GAIN,
    cv2.CAP_PROP_AUTO_WB,
    cv2.CAP_PROP_WB_TEMPERATURE,
)


class Driver:
    """``cv2.VideoCapture`` over a UVC camera, as OpenCV's V4L2 part behaves.

    Values are whole numbers in the driver's units and are cut to their range; a control that
    the camera does not have gives -1. Exposure and white balance change only when they are
    not automatic. Raw pictures are slow at large sizes, compressed ones are not.
    """

    opened: list["Driver"]
    ranges: dict[int, tuple[int, int]]
    stuck: frozenset[int]

    def __init__(self, address: int | str, backend: int) -> None:
        self.address = address
        self.backend = backend
        self.released = False
        self.values: dict[int, float] = {
            cv2.CAP_PROP_FRAME_WIDTH: 640,
            cv2.CAP_PROP_FRAME_HEIGHT: 480,
            cv2.CAP_PROP_FPS: 30,
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"),
            cv2.CAP_PROP_AUTO_EXPOSURE: 3,
            cv2.CAP_PROP_EXPOSURE: 157,
            cv2.CAP_PROP_GAIN: 64,
            cv2.CAP_PROP_AUTO_WB: 1,
            cv2.CAP_PROP_WB_TEMPERATURE: 4600,
        }
        type(self).opened.append(self)

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return not self.released

    def set(self, name: int, value: float) -> bool:
        if name in LIGHT and name not in self.ranges:
            return False
        if name in self.stuck:
            return True
        is_exposure = name == cv2.CAP_PROP_EXPOSURE
        if is_exposure and self.values[cv2.CAP_PROP_AUTO_EXPOSURE] != 1:
            return False
        if name == cv2.CAP_PROP_WB_TEMPERATURE and self.values[cv2.CAP_PROP_AUTO_WB]:
            return False
        least, most = self.ranges.get(name, (0, 2**32))
        self.values[name] = min(max(round(value), least), most)
        return True

    def get(self, name: int) -> float:
        if name in LIGHT and name not in self.ranges:
            return -1.0
        if name == cv2.CAP_PROP_FPS:
            is_raw = self.values[cv2.CAP_PROP_FOURCC] != MJPG
            is_large = self.values[cv2.CAP_PROP_FRAME_WIDTH] > 640
            return min(self.values[name], 10.0 if is_raw and is_large else 60.0)
        return self.values[name]

    def grab(self) -> bool:
        return not self.released

    def retrieve(self, _: object) -> tuple[bool, np.ndarray]:
        width, height = (
            int(self.values[name]) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        return True, np.zeros((height, width, 3), np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> type[Driver]:
    """Put the stand-in into OpenCV's place, and return its class."""

    class Fresh(Driver):
        opened: list[Driver] = []  # noqa: RUF012 - changed by the instances on purpose
        ranges = {  # noqa: RUF012 - changed by tests on purpose
            cv2.CAP_PROP_AUTO_EXPOSURE: (0, 3),
            cv2.CAP_PROP_EXPOSURE: (3, 2047),
            cv2.CAP_PROP_GAIN: (0, 255),
            cv2.CAP_PROP_AUTO_WB: (0, 1),
            cv2.CAP_PROP_WB_TEMPERATURE: (2000, 6500),
        }
        stuck = frozenset()

    monkeypatch.setattr(cv2, "VideoCapture", Fresh)
    return Fresh


def open_camera(address: str = "0", **options: object) -> OpenCvSource:
    return OpenCvSource(SourceOptions(address=address, **options))  # type: ignore[arg-type]


def test_all_settings_reach_the_driver_in_its_units(driver: type[Driver]) -> None:
    source = open_camera(
        size=Size(320, 240), fps=15, exposure_us=2000, gain=100.0, white_balance_k=5000
    )
    values = driver.opened[0].values
    assert driver.opened[0].backend == cv2.CAP_V4L2
    assert [values[name] for name in LIGHT] == [1, 20, 100, 0, 5000]
    assert values[cv2.CAP_PROP_FPS] == 15
    captured = source.read()
    assert captured is not None
    assert captured.pixels.shape == (240, 320, 3)


def test_what_is_not_set_is_left_to_the_camera(driver: type[Driver]) -> None:
    open_camera()
    assert [driver.opened[0].values[name] for name in LIGHT] == [3, 157, 64, 1, 4600]


@pytest.mark.parametrize(("exposure_us", "units"), [(2040, 20), (2060, 21), (310, 3), (50, 1)])
def test_an_exposure_may_be_rounded_to_the_drivers_unit(
    driver: type[Driver], exposure_us: float, units: int
) -> None:
    driver.ranges[cv2.CAP_PROP_EXPOSURE] = (1, 2047)
    open_camera(exposure_us=exposure_us)
    assert driver.opened[0].values[cv2.CAP_PROP_EXPOSURE] == units


def test_every_setting_that_the_camera_did_not_take_is_named(driver: type[Driver]) -> None:
    driver.ranges[cv2.CAP_PROP_FRAME_WIDTH] = (160, 640)
    driver.ranges[cv2.CAP_PROP_FPS] = (5, 60)
    with pytest.raises(ConfigError) as caught:
        open_camera(
            size=Size(1000, 480), fps=90, exposure_us=300_000, gain=300.0, white_balance_k=7000
        )
    assert str(caught.value) == (
        "the camera did not take what was asked: size: asked 1000x480, got 640x480; "
        "fps: asked 90, got 60; exposure_us: asked 300000, got 204700; gain: asked 300, got 255; "
        "white_balance_k: asked 7000, got 6500"
    )
    assert driver.opened[0].released


def test_a_camera_that_stays_automatic_is_not_believed(driver: type[Driver]) -> None:
    driver.stuck = frozenset({cv2.CAP_PROP_AUTO_EXPOSURE, cv2.CAP_PROP_AUTO_WB})
    with pytest.raises(
        ConfigError,
        match=r"exposure_us: asked 15700, got automatic .*; "
        r"white_balance_k: asked 4600, got automatic",
    ):
        open_camera(exposure_us=15_700, white_balance_k=4600)


def test_settings_that_the_camera_does_not_have_are_named(driver: type[Driver]) -> None:
    for name in (cv2.CAP_PROP_GAIN, cv2.CAP_PROP_WB_TEMPERATURE, cv2.CAP_PROP_AUTO_WB):
        del driver.ranges[name]
    with pytest.raises(
        ConfigError, match=r"gain: asked 4, got nothing .*white_balance_k: asked 5000, got nothing"
    ):
        open_camera(exposure_us=2000, gain=4.0, white_balance_k=5000)


def test_a_camera_without_a_switch_for_automatic_exposure_can_be_set(
    driver: type[Driver],
) -> None:
    del driver.ranges[cv2.CAP_PROP_AUTO_EXPOSURE]
    with pytest.raises(ConfigError, match="exposure_us: asked 2000, got 15700"):
        open_camera(exposure_us=2000)
    open_camera(exposure_us=15_700)


def test_a_rate_that_raw_pictures_do_not_reach_is_tried_with_compressed_ones(
    driver: type[Driver],
) -> None:
    open_camera(size=Size(1280, 720), fps=30)
    assert driver.opened[0].values[cv2.CAP_PROP_FOURCC] == MJPG
    open_camera(size=Size(1280, 720), fps=10)
    assert driver.opened[1].values[cv2.CAP_PROP_FOURCC] != MJPG


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:1/", "http://127.0.0.1:1/", "video.mp4"])
def test_streams_and_files_refuse_the_cameras_settings_before_they_are_opened(
    driver: type[Driver], address: str
) -> None:
    with pytest.raises(
        ConfigError, match=r"exposure_us: this source cannot set it .*; gain: this source cannot"
    ):
        open_camera(address, exposure_us=2000, gain=2.0)
    assert not driver.opened


@pytest.mark.parametrize(
    ("address", "node"),
    [
        ("0", "/dev/video0"),
        ("12", "/dev/video12"),
        ("/dev/video3", "/dev/video3"),
        ("/dev/v4l/by-id/cam", "/dev/v4l/by-id/cam"),
    ],
)
def test_a_number_means_the_video_node(address: str, node: str) -> None:
    assert node_of(address) == Path(node)


@pytest.mark.parametrize("address", ["987", "/dev/video987", "/dev/v4l/by-id/no-such-camera"])
def test_a_device_that_is_not_there_is_absent(address: str) -> None:
    with pytest.raises(CameraError, match=f"there is none at {node_of(address)}; .*plugged in"):
        open_camera(address)


@pytest.fixture
def node() -> Iterator[Path]:
    """Make a file under /dev that opens, and is no camera."""
    path = Path(f"/dev/shm/linegate-test-{os.getpid()}")  # noqa: S108 - is to be under /dev
    path.touch()
    yield path
    path.unlink()


def test_a_device_without_pictures_is_told_from_an_absent_one(node: Path) -> None:
    with pytest.raises(CameraError, match=f"{node} gives no video"):
        open_camera(str(node))


def test_a_device_that_another_program_has_open_is_busy(node: Path) -> None:
    code = "import sys; file = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(node)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(
            CameraError, match=rf"busy: another program uses it \(\S+, process {other.pid}\)"
        ):
            open_camera(str(node))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.EACCES, r"no permission to open .*; add the user to the group video"),
        (errno.EBUSY, "busy: another program uses it"),
        (errno.ENXIO, "there is none at"),
        (errno.EIO, "does not open: Input/output error"),
    ],
)
def test_why_a_node_does_not_open_is_told(
    node: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CameraError, match=message):
        raise CameraError(why_not(node))
