"""A stand-in for picamera2 0.3.38 with one simulated sensor, for machines without libcamera.

Names, argument names, shapes and the order of events are picamera2's: an event loop in a
thread of its own does jobs when a frame completes, a request is one of few buffers and must
be released, rows are padded to the stride, and the constructor wraps what went wrong.

What the camera does, and its faults, come from :class:`Plan`, which is read as JSON from the
environment variable ``STANDIN_PICAMERA2``, so that it reaches other processes too.
"""

import dataclasses
import json
import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import numpy as np
import numpy.typing as npt

PLAN = "STANDIN_PICAMERA2"

Function = Callable[[], tuple[bool, Any]]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the camera is and does.

    Attributes:
        models: cameras that are connected.
        missing_module: importing fails for want of this module.
        import_fails: importing fails with this message.
        busy: acquiring the camera fails with this message.
        hang: the call that never returns: ``open``, ``start``, ``stop``; empty for none.
        frames: so many frames come, then none.
        lock_hangs: with the last frame the event loop hangs with its lock held.
        sizes: the sizes that the camera can give; empty for all.
        format: the format that it gives whatever is asked.
        stride_step: rows are padded to a multiple of so many bytes.
        max_exposure_us, max_gain: more is cut.
        row_us: exposures are whole multiples of this.
        min_period_us: no frame is shorter.
        settles_after: so many frames still have other settings.
        without: controls that it does not have.
        unreported: metadata that it does not give.
    """

    models: tuple[str, ...] = ("imx477",)
    missing_module: str = ""
    import_fails: str = ""
    busy: str = ""
    hang: str = ""
    frames: int = 1_000_000
    lock_hangs: bool = False
    sizes: tuple[tuple[int, int], ...] = ()
    format: str = ""
    stride_step: int = 64
    max_exposure_us: int = 1_000_000
    max_gain: float = 16.0
    row_us: float = 18.9
    min_period_us: int = 8_000
    settles_after: int = 0
    without: tuple[str, ...] = ()
    unreported: tuple[str, ...] = ()


def plan() -> Plan:
    """Read the plan."""
    return Plan(**json.loads(os.environ.get(PLAN, "{}")))


if plan().missing_module:
    raise ModuleNotFoundError(
        f"No module named {plan().missing_module!r}", name=plan().missing_module
    )
if plan().import_fails:
    raise ValueError(plan().import_fails)

CONTROLS: dict[str, tuple[object, object, object]] = {
    "AeEnable": (False, True, True),
    "AnalogueGain": (1.0, 16.0, 1.0),
    "AwbEnable": (False, True, None),
    "ColourTemperature": (100, 100000, None),
    "ExposureTime": (1, 66666, 20000),
    "FrameDurationLimits": (33333, 120000, (33333, 33333)),
    "NoiseReductionMode": (0, 4, 0),
}

_held = threading.Event()
"""Never set; what hangs waits for it."""


class Job:
    """Functions that the event loop calls until each says that it is done."""

    def __init__(
        self, functions: list[Function], signal_function: Callable[["Job"], None] | None
    ) -> None:
        self._functions = functions
        self._future: Future[Any] = Future()
        self._future.set_running_or_notify_cancel()
        self._signal_function = signal_function
        self._result: Any = None

    def execute(self) -> bool:
        while self._functions:
            done, result = self._functions[0]()
            if not done:
                return False
            self._functions.pop(0)
            self._result = result
        return True

    def signal(self) -> None:
        if not self._future.done():
            self._future.set_result(self._result)
        if self._signal_function:
            self._signal_function(self)

    def get_result(self, timeout: float | None = None) -> Any:
        return self._future.result(timeout=timeout)

    def cancel(self) -> None:
        self._future.set_exception(CancelledError())


class CompletedRequest:
    """One frame in one of the camera's buffers."""

    def __init__(self, picam2: "Picamera2", buffer: npt.NDArray[np.uint8], number: int) -> None:
        self.ref_count = 1
        self.config = picam2.camera_configuration().copy()
        self._picam2 = picam2
        self._buffer = buffer
        self._metadata = picam2.metadata_(number)

    def acquire(self) -> None:
        self.ref_count += 1

    def release(self) -> None:
        self.ref_count -= 1
        if self.ref_count < 0:
            raise RuntimeError("CompletedRequest: lock now has negative ref_count")
        if self.ref_count == 0:
            self._picam2.free_buffers.append(self._buffer)

    def get_metadata(self) -> dict[str, Any]:
        return self._metadata

    def make_buffer(self, name: str) -> npt.NDArray[np.uint8]:
        if name not in self.config:
            raise RuntimeError(f"Stream {name!r} is not defined")
        return self._buffer.copy()

    def make_array(self, name: str) -> npt.NDArray[np.uint8]:
        width, height = self.config[name]["size"]
        rows = self.make_buffer(name).reshape(height, self.config[name]["stride"])
        # Without the copy of the newest releases: those before gave the padded memory.
        return rows[:, : 3 * width].reshape(height, width, 3)


class Picamera2:
    """A camera; the attributes and methods that a source of frames uses."""

    def __init__(
        self,
        camera_num: int = 0,
        verbose_console: int | None = None,
        tuning: object = None,
        allocator: object = None,
    ) -> None:
        del verbose_console, tuning, allocator
        self._plan = plan()
        self.is_open = False
        self.started = False
        if camera_num >= len(self.global_camera_info()):
            raise RuntimeError(f"No camera number {camera_num} found")
        try:
            self._open_camera()
        except Exception as error:
            raise RuntimeError("Camera __init__ sequence did not complete.") from error
        self.lock = threading.Lock()
        self.free_buffers: list[npt.NDArray[np.uint8]] = []
        self._config: dict[str, Any] = {}
        self._controls: dict[str, Any] = {}
        self._job_list: list[Job] = []
        self._completed: list[CompletedRequest] = []
        self._prodded = threading.Event()
        self._stopped = threading.Event()
        self._loop: threading.Thread | None = None
        self._frames = 0

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [
            {"Model": model, "Location": 2, "Rotation": 180, "Id": f"/base/i2c/{model}", "Num": num}
            for num, model in enumerate(plan().models)
        ]

    def _open_camera(self) -> None:
        self._hang_in("open")
        if self._plan.busy:
            raise RuntimeError(self._plan.busy)
        self.is_open = True

    def _hang_in(self, call: str) -> None:
        if self._plan.hang == call:
            _held.wait()

    @property
    def camera_controls(self) -> dict[str, tuple[object, object, object]]:
        return {name: CONTROLS[name] for name in CONTROLS if name not in self._plan.without}

    def create_video_configuration(
        self,
        main: dict[str, Any],
        buffer_count: int = 6,
        controls: dict[str, Any] | None = None,
        *,
        queue: bool = True,
    ) -> dict[str, Any]:
        for key in main:
            if key not in {"format", "size", "stride", "preserve_ar"}:
                raise ValueError(f"Bad key {key!r}: valid stream configuration keys are ...")
        stream: dict[str, Any] = {
            "format": "XBGR8888",
            "size": (1280, 720),
            "preserve_ar": True,
        } | main
        width, height = stream["size"]
        stream["size"] = (width - width % 2, height - height % 2)
        defaults: dict[str, Any] = {"NoiseReductionMode": 1, "FrameDurationLimits": (33333, 33333)}
        if "FrameDurationLimits" in self._plan.without:
            defaults = {}
        return {
            "use_case": "video",
            "main": stream,
            "buffer_count": buffer_count,
            "queue": queue,
            "controls": defaults | (controls or {}),
        }

    def configure(self, camera_config: dict[str, Any]) -> None:
        if self.started:
            raise RuntimeError("Camera must be stopped before configuring")
        for name in camera_config["controls"]:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        main = dict(camera_config["main"])
        if self._plan.sizes and tuple(main["size"]) not in self._plan.sizes:
            main["size"] = self._plan.sizes[0]
        main["format"] = self._plan.format or main["format"]
        width, height = main["size"]
        step = self._plan.stride_step
        main["stride"] = -(-3 * width // step) * step
        main["framesize"] = main["stride"] * height
        self._config = {**camera_config, "main": main}
        self._controls = dict(camera_config["controls"])
        self.free_buffers = [
            np.full(main["framesize"], 255, np.uint8) for _ in range(camera_config["buffer_count"])
        ]

    def camera_configuration(self) -> dict[str, Any]:
        return self._config

    def start(self, config: dict[str, Any] | None = None, *, show_preview: bool = False) -> None:
        del show_preview
        if config is not None:
            self.configure(config)
        if not self._config:
            raise RuntimeError("Camera has not been configured")
        self._hang_in("start")
        self.started = True
        self._loop = threading.Thread(target=self._run, daemon=True)
        self._loop.start()

    def metadata_(self, number: int) -> dict[str, Any]:
        """Return what libcamera says of frame ``number``, from 1."""
        asked: dict[str, Any] = self._controls if number > self._plan.settles_after else {}
        rows = math.floor(asked.get("ExposureTime", 10_000) / self._plan.row_us)
        exposure_us = max(self._plan.row_us, rows * self._plan.row_us)
        gain = min(self._plan.max_gain, asked.get("AnalogueGain", 2.0))
        metadata = {
            "SensorTimestamp": time.monotonic_ns() - 5_000_000,
            "ExposureTime": int(min(self._plan.max_exposure_us, self._period_us, exposure_us)),
            "AnalogueGain": 256 / round(256 / gain),
            "FrameDuration": self._period_us + 4,
            "ColourTemperature": min(8600, max(2498, asked.get("ColourTemperature", 4363))),
            "Lux": 139.6,
        }
        return {key: metadata[key] for key in metadata if key not in self._plan.unreported}

    @property
    def _period_us(self) -> int:
        shortest, longest = self._controls.get("FrameDurationLimits", (33333, 33333))
        wanted = max(shortest, min(longest, self._controls.get("ExposureTime", 0)))
        return max(self._plan.min_period_us, int(wanted))

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            due += self._period_us / 1e6
            while not self._stopped.is_set() and (left_s := due - time.monotonic()) > 0:
                if self._prodded.wait(left_s):
                    self._prodded.clear()
                    self._process()
            if self._stopped.is_set():
                return
            if self.free_buffers and self._frames < self._plan.frames:
                self._frames += 1
                self._complete()

    def _complete(self) -> None:
        buffer = self.free_buffers.pop(0)
        main = self._config["main"]
        width, height = main["size"]
        pixels = buffer.reshape(height, main["stride"])[:, : 3 * width].reshape(height, width, 3)
        pixels[:] = (10, 20, 30)  # in memory blue comes first
        pixels[..., 1] = min(255, 20 + 2 * self._frames)
        self._process(CompletedRequest(self, buffer, self._frames))

    def _process(self, request: CompletedRequest | None = None) -> None:
        finished = []
        with self.lock:
            if self._plan.lock_hangs and self._frames >= self._plan.frames:
                _held.wait()
            if request is not None:
                self._completed.append(request)
            while self._job_list and self._job_list[0].execute():
                finished.append(self._job_list.pop(0))
            kept = 1 if self._config["queue"] else 0
            while len(self._completed) > kept:
                self._completed.pop(0).release()
        for job in finished:
            job.signal()

    def dispatch_functions(
        self,
        functions: list[Function],
        wait: float | None,
        signal_function: Callable[[Job], None] | None = None,
        *,
        immediate: bool = False,
    ) -> Any:
        if wait is None:
            wait = signal_function is None
        timeout = None if wait is True else wait
        with self.lock:
            only_job = not self._job_list
            job = Job(functions, signal_function)
            self._job_list.append(job)
            if only_job and (self._completed or immediate):
                self._prodded.set()
        return job.get_result(timeout=timeout) if wait else job

    def _capture_request(self) -> tuple[bool, CompletedRequest | None]:
        if not self._completed:
            return False, None
        return True, self._completed.pop(0)

    def capture_request(
        self,
        wait: float | None = None,
        signal_function: Callable[[Job], None] | None = None,
        flush: object = None,
    ) -> Any:
        del flush
        return self.dispatch_functions([self._capture_request], wait, signal_function)

    def cancel_all_and_flush(self) -> None:
        with self.lock:
            for job in self._job_list:
                job.cancel()
            self._job_list = []

    def _stop(self) -> tuple[bool, None]:
        self._hang_in("stop")
        self.started = False
        self._stopped.set()
        return True, None

    def stop(self) -> None:
        if self.started:
            self.dispatch_functions([self._stop], wait=True, immediate=True)

    def close(self) -> None:
        if not self.is_open:
            return
        self.stop()
        if self._loop is not None:
            self._loop.join()
        self.is_open = False
