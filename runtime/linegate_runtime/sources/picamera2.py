"""Raspberry Pi cameras on the CSI connector, through picamera2 and libcamera.

Written against picamera2 0.3.12 (Raspberry Pi OS Bookworm, first release) to 0.3.38. Both
come from the system's packages and are imported when such a camera is opened, not before.
Every call into them is made in a thread of its own and waited for with a time-out:
libcamera waits without end for a camera whose cable is loose.
"""

import contextlib
import functools
import importlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import numpy as np

from linegate_bundle.errors import CameraError, ConfigError, LinegateError
from linegate_runtime.sources.base import Captured, Source, SourceOptions, check_settings
from linegate_runtime.sources.readback import (
    EXPOSURE_SHARE,
    FPS_SHARE,
    GAIN_SHARE,
    WHITE_BALANCE_STEP_K,
    Readback,
    compare,
    compare_sizes,
    refuse_untaken,
)

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_ADDRESS = re.compile(r"csi(?::([0-9]))?")

_FORMAT = "RGB888"
"""By DRM's names, which count from the highest byte: in memory this is blue, green, red."""

_BUFFERS = 4
"""One that is copied from, one just filled, and two for the camera to go on."""

_CONTROLS = {
    "fps": "FrameDurationLimits",
    "exposure_us": "ExposureTime",
    "gain": "AnalogueGain",
    "white_balance_k": "ColourTemperature",
}
"""libcamera's control for each setting."""

_SETTLING_FRAMES = 12
"""In so many frames at most the settings take effect; mostly the first one has them."""

_EXPOSURE_STEP_US = 35.0
"""A sensor counts its exposure in rows; reading one out takes 10 to 35 us."""

_LONGEST_PERIOD = 2.0
"""Without a rate to keep, a frame may last so many times its exposure."""

_DEFAULT_PERIOD_US = 33_333

_OLDEST_NS = 5_000_000_000
"""A frame's own time is believed if it lies at most so long back."""

_CLOSE_LIMIT_S = 0.8
"""Mostly it takes half of that. Whoever waits for a lost camera's last word waits 1 s."""

_BUSY = re.compile(
    r"resource busy|unexpected code: -16|failed to acquire|trying acquire|in use by another",
    re.IGNORECASE,
)
"""What the releases of libcamera and picamera2 say of a camera that another program has."""

_INSTALL = (
    "install it with `sudo apt install python3-picamera2`, and make the virtual environment with "
    "`python3 -m venv --system-site-packages`: libcamera's Python part is a system package"
)


class Picamera2Source(Source):
    """A camera at ``csi:0``, ``csi:1``, ...; ``csi`` alone is the first.

    The numbers are those of ``rpicam-hello --list-cameras``. The time of a frame is the
    sensor's own.
    """

    settings = frozenset({"exposure_us", "gain", "white_balance_k"})

    def __init__(self, options: SourceOptions) -> None:
        check_settings(type(self), options)
        match = _ADDRESS.fullmatch(options.address)
        if match is None:
            raise ConfigError(f"expected csi:0, csi:1, ..., got {options.address!r}")
        self._options = options
        self._camera: Any = None
        family = _load()
        deadline = time.monotonic() + options.open_timeout_s
        try:
            with _faults(f"expected a camera within {options.open_timeout_s:g} s, got no answer"):
                _within(
                    options.open_timeout_s,
                    functools.partial(self._open, family, int(match[1] or 0)),
                )
            self._next: Captured | None = self._settle(deadline)
        except BaseException:
            self.close()
            raise

    def read(self) -> Captured:
        """See :meth:`Source.read`."""
        if self._next is not None:
            captured, self._next = self._next, None
            return captured
        limit_s = self._options.read_timeout_s
        return self._take_by(time.monotonic() + limit_s, limit_s)[0]

    def close(self) -> None:
        """See :meth:`Source.close`."""
        camera, self._camera = self._camera, None
        if camera is None:
            return
        try:
            with _faults("it does not answer"):
                _within(_CLOSE_LIMIT_S, functools.partial(_shut, camera))
        except CameraError as error:
            _LOG.warning("%s cannot be closed: %s", self._options.address, error)

    def _open(self, family: Any, number: int) -> None:
        found = family.global_camera_info()
        if number >= len(found):
            raise CameraError(_absence(number, found))
        self._camera = family(number)
        controls = _controls(self._options, self._camera.camera_controls)
        main: dict[str, object] = {"format": _FORMAT}
        if self._options.size is not None:
            main["size"] = (self._options.size.width, self._options.size.height)
        self._camera.configure(
            self._camera.create_video_configuration(
                main=main,
                buffer_count=_BUFFERS,
                queue=False,  # a frame that nobody waited for is not kept, it would be old
                controls=controls,
            )
        )
        given = self._camera.camera_configuration()["main"]["format"]
        if given != _FORMAT:
            raise ConfigError(
                f"expected a camera that gives {_FORMAT}, this one gives {given}; "
                "open USB cameras with the source opencv and their device number"
            )
        self._camera.start()

    def _settle(self, deadline: float) -> Captured:
        """Return the first frame that was taken with the settings asked for.

        Raises:
            ConfigError: no frame was.
        """
        size = self._camera.camera_configuration()["main"]["size"]
        told_s = self._options.open_timeout_s
        for _ in range(_SETTLING_FRAMES):
            captured, metadata = self._take_by(deadline, told_s)
            readbacks = _compare(self._options, size, metadata)
            if all(one.taken for one in readbacks):
                break
        refuse_untaken(readbacks)
        return captured

    def _take_by(self, deadline: float, told_s: float) -> tuple[Captured, dict[str, Any]]:
        with _faults(
            f"expected a frame within {told_s:g} s, the camera gives none; look at its cable"
        ):
            left_s = max(0.0, deadline - time.monotonic())
            return _within(left_s, functools.partial(_take, self._camera))


def _load() -> Any:
    """Return the class Picamera2."""
    # libcamera writes what it does to stderr. This is the capture's own process, so its
    # environment is ours to set.
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
    try:
        return importlib.import_module("picamera2").Picamera2
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"expected picamera2 for cameras at csi:N, there is no module {error.name}; {_INSTALL}"
        ) from error
    except (ImportError, ValueError, AttributeError) as error:
        # Compiled for the system's numpy, simplejpeg raises ValueError with a newer one.
        hint = (
            "its part simplejpeg is made for another numpy; in the virtual environment run "
            "`pip install --upgrade simplejpeg`"
            if "numpy" in str(error)
            else _INSTALL
        )
        raise ConfigError(
            f"expected picamera2 for cameras at csi:N, it cannot be imported: {error}; {hint}"
        ) from error


def _absence(number: int, found: list[dict[str, Any]]) -> str:
    if not found:
        return (
            f"expected a camera at csi:{number}, there is none; look at the cable and at "
            "`rpicam-hello --list-cameras`"
        )
    models = ", ".join(f"csi:{index} {one.get('Model', '')}" for index, one in enumerate(found))
    return f"expected a camera at csi:{number}, there are only: {models}"


def _controls(options: SourceOptions, known: dict[str, Any]) -> dict[str, object]:
    """Return libcamera's controls for the settings.

    Args:
        options: with the settings.
        known: the controls of this camera.

    Raises:
        ConfigError: the camera has no control for some of them.
    """
    asked = [name for name in _CONTROLS if getattr(options, name) is not None]
    unknown = [f"{name} ({_CONTROLS[name]})" for name in asked if _CONTROLS[name] not in known]
    if unknown:
        raise ConfigError(
            f"this camera with the installed libcamera has no control for {' and '.join(unknown)}; "
            "update libcamera (`sudo apt full-upgrade`) or leave it out"
        )
    controls: dict[str, object] = {}
    if options.fps is not None:
        period_us = round(1e6 / options.fps)
        controls["FrameDurationLimits"] = (period_us, period_us)
    elif options.exposure_us is not None and "FrameDurationLimits" in known:
        # By picamera2's default a longer exposure would be cut to 33 ms.
        longest_us = round(_LONGEST_PERIOD * options.exposure_us)
        controls["FrameDurationLimits"] = (_DEFAULT_PERIOD_US, max(_DEFAULT_PERIOD_US, longest_us))
    if options.exposure_us is not None:
        controls["ExposureTime"] = max(1, round(options.exposure_us))  # 0 means automatic
    if options.gain is not None:
        controls["AnalogueGain"] = options.gain
    if options.exposure_us is not None and options.gain is not None and "AeEnable" in known:
        # Only with both: otherwise it has the other one to choose.
        controls["AeEnable"] = False
    if options.white_balance_k is not None:
        controls |= {"AwbEnable": False, "ColourTemperature": options.white_balance_k}
    return controls


def _compare(
    options: SourceOptions, size: tuple[int, int], metadata: dict[str, Any]
) -> list[Readback]:
    """Compare the settings with the configuration's size and one frame's metadata."""
    found = []
    if options.size is not None:
        found.append(compare_sizes(options.size, *size))
    if options.fps is not None:
        period_us = metadata.get("FrameDuration")
        fps = 1e6 / period_us if period_us else None
        found.append(compare("fps", options.fps, fps, share=FPS_SHARE))
    if options.exposure_us is not None:
        got = metadata.get("ExposureTime")
        found.append(
            compare(
                "exposure_us",
                options.exposure_us,
                got,
                share=EXPOSURE_SHARE,
                step=_EXPOSURE_STEP_US,
            )
        )
    if options.gain is not None:
        got = metadata.get("AnalogueGain")
        found.append(compare("gain", options.gain, got, share=GAIN_SHARE))
    if options.white_balance_k is not None:
        got = metadata.get("ColourTemperature")
        found.append(
            compare("white_balance_k", options.white_balance_k, got, step=WHITE_BALANCE_STEP_K)
        )
    return found


def _take(camera: Any) -> tuple[Captured, dict[str, Any]]:
    """Wait for the next frame, without end, and return it with its metadata."""
    request = camera.capture_request()
    try:
        metadata = request.get_metadata()
        # A copy without the padding at the end of rows that the camera may have written.
        pixels = np.ascontiguousarray(request.make_array("main"))
    finally:
        request.release()
    if pixels.dtype != np.uint8 or pixels.shape[2:] != (3,):
        raise CameraError(
            f"expected 8-bit colour frames, got {pixels.dtype} of shape {pixels.shape}"
        )
    monotonic_ns = _to_monotonic(metadata.get("SensorTimestamp"))
    return Captured(pixels=pixels.view(np.uint8), monotonic_ns=monotonic_ns), metadata


def _to_monotonic(sensor_ns: int | None) -> int:
    """Return a frame's own time on the clock of ``time.monotonic_ns()``.

    libcamera documents CLOCK_BOOTTIME, its Raspberry Pi part passes on V4L2's
    CLOCK_MONOTONIC (bugs.libcamera.org, 254). They differ by the time that the machine was
    asleep. Of the two ages that the frame may have, the wrong one is negative or larger.
    """
    now_ns = time.monotonic_ns()
    if sensor_ns is None:
        return now_ns
    ages = (now_ns - sensor_ns, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - sensor_ns)
    return now_ns - min((age for age in ages if 0 <= age <= _OLDEST_NS), default=0)


def _shut(camera: Any) -> None:
    # The camera would be stopped after the frame that somebody still waits for.
    if hasattr(camera, "cancel_all_and_flush"):
        camera.cancel_all_and_flush()
    camera.close()


def _within(limit_s: float, work: Callable[[], T]) -> T:
    """Do work that may hang in a thread of its own.

    Raises:
        TimeoutError: it did not end in time; the thread is left to itself.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised to who waits for it
            outcome.set_exception(error)

    threading.Thread(target=run, name="picamera2", daemon=True).start()
    return outcome.result(limit_s)


@contextlib.contextmanager
def _faults(silence: str) -> Iterator[None]:
    """Turn picamera2's errors into the camera's; ``silence`` is said about a time-out."""
    try:
        yield
    except LinegateError:
        raise
    except TimeoutError:
        raise CameraError(silence) from None
    except Exception as error:
        # Its native parts raise whatever they like; the cause stands at the chain's end.
        messages = _messages(error)
        if _BUSY.search(" ".join(messages)):
            raise CameraError("expected a camera, it is busy: another program uses it") from error
        raise CameraError(f"expected a camera, libcamera failed: {messages[-1]}") from error


def _messages(error: BaseException | None) -> list[str]:
    """Return the messages of an error and of what caused it, the first cause last."""
    messages = []
    while error is not None:
        messages.append(str(error) or type(error).__name__)
        error = error.__cause__ or error.__context__
    return messages
