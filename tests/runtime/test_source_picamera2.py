"""The CSI camera's source, against a stand-in for picamera2 with faults."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from linegate_bundle.errors import CameraError, ConfigError
from linegate_runtime.geometry import Size
from linegate_runtime.sources import SOURCES, Source, SourceOptions
from linegate_runtime.sources import picamera2 as module
from tests.runtime.standins import install_picamera2

Open = Callable[..., Source]


@pytest.fixture
def open_camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Return what opens a camera: a plan for the stand-in, and the options as keywords."""
    opened: list[Source] = []

    def open_camera(
        plan: dict[str, object] | None = None, address: str = "csi:0", **options: object
    ) -> Source:
        install_picamera2(monkeypatch, **(plan or {}))
        source = SOURCES.load("picamera2")(
            SourceOptions(address=address, **options)  # type: ignore[arg-type]
        )
        opened.append(source)
        return source

    yield open_camera
    for source in opened:
        source.close()


def read_all(source: Source) -> None:
    while source.read() is not None:
        pass


def camera_of(source: Source) -> object:
    assert isinstance(source, module.Picamera2Source)
    return source._camera


@pytest.mark.parametrize("address", ["csi", "csi:0"])
def test_frames_are_bgr_without_the_padding_of_their_rows(open_camera: Open, address: str) -> None:
    source = open_camera(address=address, size=Size(50, 30))
    captured = source.read()
    assert captured is not None
    assert captured.pixels.shape == (30, 50, 3)
    assert captured.pixels.flags.c_contiguous
    assert np.all(captured.pixels[..., 0] == 10)
    assert np.all(captured.pixels[..., 2] == 30)


def test_frames_outlive_the_buffers_that_they_came_in(open_camera: Open) -> None:
    source = open_camera(size=Size(64, 48), fps=100)
    first = source.read()
    assert first is not None
    before = first.pixels.copy()
    for _ in range(12):  # more than the camera has buffers: none may be kept
        assert source.read() is not None
    assert np.array_equal(first.pixels, before)


def test_the_second_camera_is_opened_by_its_number(open_camera: Open) -> None:
    assert open_camera({"models": ["imx477", "imx708"]}, address="csi:1").read() is not None


def test_a_frames_time_is_the_sensors(open_camera: Open) -> None:
    source = open_camera(size=Size(64, 48))
    source.read()
    before = time.monotonic_ns()
    captured = source.read()
    assert captured is not None
    assert before - 10_000_000 < captured.monotonic_ns <= time.monotonic_ns() - 5_000_000


@pytest.mark.parametrize("asleep_s", [0.0, 3.0, 100_000.0])
@pytest.mark.parametrize("clock", ["monotonic", "boot"])
def test_a_sensors_time_on_either_clock_is_understood(
    monkeypatch: pytest.MonkeyPatch, clock: str, asleep_s: float
) -> None:
    now, asleep_ns, age_ns = 500_000_000_000_000, round(asleep_s * 1e9), 40_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: now + asleep_ns)
    sensor_ns = now - age_ns + (asleep_ns if clock == "boot" else 0)
    assert module._to_monotonic(sensor_ns) == now - age_ns


def test_a_sensors_time_that_cannot_be_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 500_000_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: now)
    assert module._to_monotonic(None) == now
    assert module._to_monotonic(now + 1) == now
    assert module._to_monotonic(0) == now


def test_settings_that_the_camera_takes_are_its_settings(open_camera: Open) -> None:
    source = open_camera(
        size=Size(640, 480), fps=50, exposure_us=2000, gain=4.0, white_balance_k=5000
    )
    assert source.read() is not None
    camera = camera_of(source)
    assert camera._controls == {  # type: ignore[attr-defined]
        "NoiseReductionMode": 1,
        "FrameDurationLimits": (20000, 20000),
        "ExposureTime": 2000,
        "AnalogueGain": 4.0,
        "AeEnable": False,
        "AwbEnable": False,
        "ColourTemperature": 5000,
    }


def test_what_is_not_set_is_left_to_the_camera(open_camera: Open) -> None:
    camera = camera_of(open_camera(exposure_us=2000))
    controls = camera._controls  # type: ignore[attr-defined]
    assert not {"AnalogueGain", "AeEnable", "AwbEnable", "ColourTemperature"} & set(controls)


def test_a_long_exposure_makes_the_frame_longer_unless_a_rate_is_asked(open_camera: Open) -> None:
    assert open_camera(exposure_us=50_000).read() is not None
    with pytest.raises(ConfigError, match=r"exposure_us: asked 50000, got 33333$"):
        open_camera(exposure_us=50_000, fps=30)


def test_settings_that_take_effect_after_some_frames_are_waited_for(open_camera: Open) -> None:
    source = open_camera({"settles_after": 5}, fps=100, exposure_us=2000)
    assert source.read() is not None


def test_every_setting_that_the_camera_did_not_take_is_named(open_camera: Open) -> None:
    plan = {
        "sizes": [[1332, 990], [640, 480]],
        "max_exposure_us": 1500,
        "max_gain": 8,
        "min_period_us": 20_000,
    }
    with pytest.raises(ConfigError) as caught:
        open_camera(
            plan,
            size=Size(1000, 1000),
            fps=100,
            exposure_us=3000,
            gain=12.0,
            white_balance_k=9500,
        )
    assert str(caught.value) == (
        "the camera did not take what was asked: size: asked 1000x1000, got 1332x990; "
        "fps: asked 100, got 49.99; exposure_us: asked 3000, got 1500; gain: asked 12, got 8; "
        "white_balance_k: asked 9500, got 8600"
    )


def test_a_setting_that_the_camera_does_not_report_is_not_believed(open_camera: Open) -> None:
    with pytest.raises(ConfigError, match=r"gain: asked 2, got nothing"):
        open_camera({"unreported": ["AnalogueGain"]}, gain=2.0, fps=100)


def test_a_size_that_is_odd_is_not_quietly_made_even(open_camera: Open) -> None:
    with pytest.raises(ConfigError, match="size: asked 101x75, got 100x74"):
        open_camera(size=Size(101, 75), fps=100)


def test_controls_that_libcamera_does_not_have_are_named(open_camera: Open) -> None:
    with pytest.raises(
        ConfigError, match=r"no control for fps \(.*\) and white_balance_k \(ColourTemperature\)"
    ):
        open_camera(
            {"without": ["ColourTemperature", "FrameDurationLimits"]},
            white_balance_k=5000,
            fps=30,
            gain=2.0,
        )


@pytest.mark.parametrize("address", ["csi:", "csi:x", "csi:0:1", "csi:-1"])
def test_an_address_that_is_no_number_is_refused(open_camera: Open, address: str) -> None:
    with pytest.raises(ConfigError, match=r"expected csi:0, csi:1"):
        open_camera(address=address)


def test_no_camera_and_no_such_number_are_told_apart(open_camera: Open) -> None:
    with pytest.raises(CameraError, match="expected a camera at csi:0, there is none"):
        open_camera({"models": []})
    with pytest.raises(CameraError, match="at csi:2, there are only: csi:0 imx477, csi:1 imx708"):
        open_camera({"models": ["imx477", "imx708"]}, address="csi:2")


@pytest.mark.parametrize(
    "words",
    [
        "Failed to acquire camera: Device or resource busy",
        "camera.acquire() returned unexpected code: -16",
        "Failed to acquire camera",
        "Camera in Running state trying acquire() requiring state Available",
    ],
)
def test_a_busy_camera_is_said_to_be_in_every_releases_words(open_camera: Open, words: str) -> None:
    with pytest.raises(CameraError, match="busy: another program uses it"):
        open_camera({"busy": words})


def test_the_cause_of_other_failures_is_told(open_camera: Open) -> None:
    source = open_camera(fps=100)

    def fail() -> None:
        raise OSError(12, "Cannot allocate memory")

    camera_of(source).capture_request = fail  # type: ignore[attr-defined]
    source.read()
    with pytest.raises(CameraError, match=r"libcamera failed:.*Cannot allocate memory"):
        source.read()


def test_a_usb_camera_is_sent_to_the_other_source(open_camera: Open) -> None:
    with pytest.raises(ConfigError, match="gives MJPEG; open USB cameras with the source opencv"):
        open_camera({"format": "MJPEG"})


@pytest.mark.parametrize("call", ["open", "start"])
def test_a_camera_that_hangs_while_it_is_opened_is_given_up_in_time(
    open_camera: Open, call: str
) -> None:
    started = time.monotonic()
    with pytest.raises(CameraError, match=r"expected a camera within 0\.4 s, got no answer"):
        open_camera({"hang": call}, open_timeout_s=0.4)
    assert time.monotonic() - started < 1


def test_a_camera_without_a_first_frame_is_given_up_in_time(open_camera: Open) -> None:
    started = time.monotonic()
    with pytest.raises(CameraError, match=r"expected a frame within 0\.4 s, the camera gives none"):
        open_camera({"frames": 0}, open_timeout_s=0.4)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("lock_hangs", [False, True], ids=["loose cable", "hung libcamera"])
def test_a_camera_that_hangs_is_lost_in_time_and_can_be_closed(
    open_camera: Open,
    monkeypatch: pytest.MonkeyPatch,
    lock_hangs: bool,
) -> None:
    monkeypatch.setattr(module, "_CLOSE_LIMIT_S", 0.3)
    source = open_camera({"frames": 4, "lock_hangs": lock_hangs}, fps=100, read_timeout_s=0.3)
    camera = camera_of(source)
    started = time.monotonic()
    with pytest.raises(CameraError, match=r"expected a frame within 0\.3 s"):
        read_all(source)
    source.close()
    assert time.monotonic() - started < 1.2
    assert camera.is_open == lock_hangs  # type: ignore[attr-defined]


def test_a_camera_that_hangs_while_it_is_closed_is_left_and_that_is_logged(
    open_camera: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_CLOSE_LIMIT_S", 0.2)
    source = open_camera({"hang": "stop"}, fps=100)
    started = time.monotonic()
    source.close()
    assert time.monotonic() - started < 1
    assert "csi:0 cannot be closed" in caplog.text


def test_a_closed_camera_can_be_opened_again(open_camera: Open) -> None:
    source = open_camera(fps=100)
    camera = camera_of(source)
    source.close()
    assert not camera.is_open  # type: ignore[attr-defined]
    assert open_camera(fps=100).read() is not None


def test_without_picamera2_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(ConfigError, match=r"python3-picamera2.*--system-site-packages"):
        SOURCES.load("picamera2")(SourceOptions(address="csi:0"))


def test_without_libcamera_the_message_names_it(open_camera: Open) -> None:
    with pytest.raises(ConfigError, match=r"no module libcamera; .*--system-site-packages"):
        open_camera({"missing_module": "libcamera"})


def test_a_numpy_that_does_not_fit_is_told_with_its_cure(open_camera: Open) -> None:
    with pytest.raises(ConfigError, match="pip install --upgrade simplejpeg"):
        open_camera({"import_fails": "numpy.dtype size changed, may indicate binary ..."})


def test_picamera2_is_imported_when_a_camera_is_opened_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install_picamera2(monkeypatch)
    code = (
        "import sys; from linegate_runtime.sources import SOURCES; SOURCES.load('picamera2'); "
        "sys.exit('picamera2' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
