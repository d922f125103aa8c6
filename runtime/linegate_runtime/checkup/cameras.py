"""Does a camera open, and do new pictures come?"""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterator

from linegate_bundle.errors import LinegateError
from linegate_runtime.capture import Capture, CaptureEndedError, public_address
from linegate_runtime.checkup.base import Finding, Subject, failed, passed, warned
from linegate_runtime.checkup.service import LOG_ADVICE
from linegate_runtime.config import CameraConfig
from linegate_runtime.readiness import blind_reason
from linegate_runtime.sources import SOURCES

_LIMIT_S = 10.0
"""So long a camera is looked at, at most."""

_WATCHED_S = 3.0
"""So long after its first picture: longer than it takes to tell that pictures are frozen."""

_LOOK = "linegate doctor --view shows its pictures"


@dataclasses.dataclass
class _Seen:
    """What came of a camera.

    Attributes:
        arrivals_ns: when the frames had come in, by the monotonic clock.
        size: width and height of the frames.
        complaints: of the capture, each once.
        problem: why nothing more can come; empty if something can.
    """

    arrivals_ns: list[int] = dataclasses.field(default_factory=list)
    size: str = ""
    complaints: list[str] = dataclasses.field(default_factory=list)
    problem: str = ""

    @property
    def frames_per_second(self) -> float:
        arrivals = self.arrivals_ns
        passed_s = (arrivals[-1] - arrivals[0]) / 1e9 if arrivals else 0.0
        return (len(arrivals) - 1) / passed_s if passed_s > 0 else 0.0


def is_device(camera: CameraConfig) -> bool:
    """Say whether a camera is a device of this machine, which one program at a time may open."""
    address = camera.request.options.address
    return "://" not in address and _is_live(camera)


def check_held(camera: CameraConfig, status: str, *, is_own: bool) -> Finding:
    """Judge a device while the service runs: it is not opened.

    Args:
        camera: its settings.
        status: what the service says of itself.
        is_own: whether these are the service's settings.
    """
    name = _name(camera)
    if is_own and blind_reason(name) in status:
        text = f"{name}: the service, which uses it, gets no pictures"
        return failed(Subject.CAMERA, text, f"check its cable, power and address; {LOG_ADVICE}")
    if is_own:
        return passed(Subject.CAMERA, f"{name}: in use by the service, not opened")
    return warned(
        Subject.CAMERA,
        f"{name}: not opened, for the service runs and may hold it, with other settings",
        "sudo systemctl restart linegate takes new settings; or stop it, and look again",
    )


def check_camera(
    camera: CameraConfig, limit_s: float = _LIMIT_S, watched_s: float = _WATCHED_S
) -> Finding:
    """Open a camera and look at what comes.

    Args:
        camera: its settings.
        limit_s: for all of it.
        watched_s: so long after the first picture.
    """
    seen = _Seen()
    capture = Capture(camera.request, _name(camera))
    with _listening(seen.complaints), capture:
        _watch(capture, seen, limit_s, watched_s)
    counts = capture.counts
    complaints = [
        *([seen.problem] if seen.problem else []),
        *([f"{counts.black} black pictures"] if counts.black else []),
        *([f"{counts.repeated} pictures were the same again"] if counts.repeated else []),
        *seen.complaints,
    ]
    name = capture.name
    if not seen.arrivals_ns:
        complaints = complaints or [f"nothing came in {limit_s:g} s"]
        text = f"{name}: gave no picture that could be judged; {'; '.join(complaints)}"
        advice = f"check its cable, power, lens cap and address; {_LOOK}"
        return failed(Subject.CAMERA, text, advice)
    count = len(seen.arrivals_ns)
    rate = f"{seen.frames_per_second:.1f} frames/s" if _is_live(camera) else "not live"
    text = f"{name}: {seen.size}, {rate}, {count} pictures"
    if complaints:
        return warned(Subject.CAMERA, f"{text}; {'; '.join(complaints)}", _LOOK)
    return passed(Subject.CAMERA, text)


def _watch(capture: Capture, seen: _Seen, limit_s: float, watched_s: float) -> None:
    end = time.monotonic() + limit_s
    try:
        while (left_s := end - time.monotonic()) > 0:
            frame = capture.next_frame(left_s)
            if frame is None:
                return
            if not seen.arrivals_ns:
                height, width = frame.pixels.shape[:2]
                seen.size = f"{width}x{height}"
                end = min(end, time.monotonic() + watched_s)
            seen.arrivals_ns.append(frame.monotonic_ns)
    except CaptureEndedError:
        return
    except LinegateError as error:
        seen.problem = str(error).removeprefix(f"{capture.name}: ")


@contextlib.contextmanager
def _listening(complaints: list[str]) -> Iterator[None]:
    """Take what a capture complains of in the log, and keep it from the log."""

    def take(record: logging.LogRecord) -> bool:
        # Who complains, of what, and perhaps how often it was tried again.
        match record.args:
            case (_, complaint, *_) if str(complaint) not in complaints:
                complaints.append(str(complaint))
        return False

    log = logging.getLogger(Capture.__module__)
    log.addFilter(take)
    try:
        yield
    finally:
        log.removeFilter(take)


def _name(camera: CameraConfig) -> str:
    return camera.name or public_address(camera.request.options.address)


def _is_live(camera: CameraConfig) -> bool:
    source = SOURCES.load(camera.request.source)
    return source.is_live(camera.request.options.address)
