"""The parent's end of a capture: starts the camera's process, takes frames, starts it again.

Nothing here needs numpy or OpenCV before the first frame, so the camera opens
while the rest of the program still loads.
"""

import dataclasses
import logging
import re
import select
import time
import urllib.parse
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec

from linegate_bundle.errors import CameraError, ConfigError, DataError, LinegateError
from linegate_runtime.capture_child_start import Child
from linegate_runtime.capture_process import CaptureProcess
from linegate_runtime.capture_protocol import (
    Ended,
    Event,
    Failed,
    Fault,
    FrameReady,
    Notice,
    Request,
)
from linegate_runtime.frame import Frame
from linegate_runtime.geometry import Size

_LOG = logging.getLogger(__name__)

_BACK_OFF_S = (0.1, 0.2, 0.4, 0.8, 1.0)
"""Waits before the first, second, ... start in a row; the last one for all further."""

_STEADY_S = 2.0
"""After so long with frames the next loss counts as the first again."""

_REPEAT_S = (5.0, 30.0, 120.0, 600.0)
"""The same complaint is logged again after so long only, the last one for all further."""

_STALE_S = 0.5
"""A live frame that waited longer than this is not used."""

_WAITED_S = 0.02
"""A frame that waited longer than this for its turn is exchanged for a newer one."""

_SECRETS = ("pass", "pwd", "user", "token", "key=")
"""Words in a path that some cameras take their password behind."""

_AT_IN_PATH = re.compile(r"[A-Za-z0-9.-]+/[^:?#]*")
"""A host and a path that may hold an @ without anything of a password."""

_QUARTER_TURNS = (90, 270)

_ERRORS: dict[Fault, type[LinegateError]] = {
    Fault.CAMERA: CameraError,
    Fault.CONFIG: ConfigError,
    Fault.DATA: DataError,
}


@dataclasses.dataclass
class CaptureCounts:
    """What a capture went through.

    Attributes:
        frames: frames handed out.
        restarts: starts of the camera's process after the first.
        stale: frames dropped because they were too old when they could be taken.
        repeated: frames dropped because they were the same picture again.
        black: frames dropped because they were black.
    """

    frames: int = 0
    restarts: int = 0
    stale: int = 0
    repeated: int = 0
    black: int = 0


class CaptureEndedError(CameraError):
    """A source that has an end has reached it; there will be no more frames."""


class Capture:
    """Frames of one camera, always the newest; lost cameras are opened again.

    Use it as a context manager, or call :meth:`start` and :meth:`close`. Frames keep the
    size of the first one: a camera that comes back with another is lost until it is right.

    Args:
        request: source and address.
        name: what the camera is called in messages and records; the address
            without its password if None.
        child: a process that was started beforehand; closed with this.

    Attributes:
        counts: what happened so far.
        is_ended: whether a source that has an end has reached it.
    """

    def __init__(
        self, request: Request, name: str | None = None, child: Child | None = None
    ) -> None:
        # A path may hold bytes that are no text; what goes on record must be some.
        shown = name or public_address(request.options.address)
        self.name = shown.encode(errors="backslashreplace").decode()
        self.counts = CaptureCounts()
        self.is_ended = False
        self._request = request
        self._started = child
        self._child: CaptureProcess | None = None
        self._last_number = 0
        self._failures = 0
        self._restart_at = 0.0
        self._complaint = ("", 0.0, 0)
        self._skipped = (0, 0)

    def start(self) -> None:
        """Start the camera's process; returns at once."""
        if self._child is None:
            started, self._started = self._started or _start_child(), None
            self._child = CaptureProcess(started, self._request, self._last_number)
            self._skipped = (self.counts.repeated, self.counts.black)

    @property
    def has_delivered(self) -> bool:
        """Whether any frame has come since the start."""
        return self._last_number > 0

    @property
    def pid(self) -> int | None:
        """Process id of the camera's process, None while there is none."""
        return None if self._child is None else self._child.pid

    @property
    def descriptor(self) -> int | None:
        """What becomes readable when :meth:`poll` has something to do; None while lost."""
        return None if self._child is None else self._child.descriptor

    @property
    def attention_at(self) -> float:
        """When :meth:`poll` must be called even if nothing came, by ``time.monotonic()``."""
        return self._restart_at if self._child is None else self._child.deadline

    def poll(self) -> Frame | None:
        """Return a frame newer than the last one if there is one, at once.

        The last one's pixels become invalid. A camera that is lost is logged with the
        reason, and is being opened again meanwhile.

        Raises:
            CaptureEndedError: the folder or video is at its end.
            ConfigError: the address or source cannot mean anything, or the camera does not
                take a setting.
            CameraError, DataError: a folder or video cannot be read on.
        """
        if self._child is None:
            if time.monotonic() < self._restart_at:
                return None
            self.counts.restarts += 1
            try:
                self.start()
            except CameraError as error:
                # The system may be short of processes or memory for a moment.
                self._wait_before_next_try(error, time.monotonic())
                return None
        while (child := self._child) is not None:
            try:
                child.want()
                event = child.poll()
                if isinstance(event, FrameReady) and child.live and _age_s(event) > _WAITED_S:
                    event = child.refresh(event)
                frame = child.take(event) if isinstance(event, FrameReady) else None
            except CameraError as error:
                self._lose(child, error)
                return None
            if event is None:
                return None
            self._note(child, event)
            if frame is not None and self._is_fresh(child, frame):
                self.counts.frames += 1
                self._last_number = frame.number
                return frame
        return None

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Wait for the next frame, as :meth:`poll`; None if none came in ``timeout_s``."""
        found = next_frame_of([self], timeout_s)
        return None if found is None else found[1]

    def close(self) -> None:
        """End the camera's process; a second call does nothing."""
        for one in (self._child, self._started):
            if one is not None:
                one.close()
        self._child = self._started = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _is_fresh(self, child: CaptureProcess, frame: Frame) -> bool:
        age_s = (time.monotonic_ns() - frame.monotonic_ns) / 1e9
        if child.live and age_s > _STALE_S:
            self.counts.stale += 1
            return False
        return frame.number > self._last_number

    def _note(self, child: CaptureProcess, event: Event) -> None:
        if isinstance(event, FrameReady | Failed):
            repeated, black = self._skipped
            self.counts.repeated = repeated + event.repeated
            self.counts.black = black + event.black
        if isinstance(event, Notice):
            _LOG.warning("camera %s: %s", self.name, event.message)
        elif isinstance(event, Failed | Ended):
            self._end(child, event)
        elif child.opened is not None:
            self._keep_size(child.opened.width, child.opened.height)

    def _keep_size(self, width: int, height: int) -> None:
        options = self._request.options
        if options.size is None and self._child is not None and self._child.live:
            if options.rotation in _QUARTER_TURNS:
                width, height = height, width
            options = msgspec.structs.replace(options, size=Size(width, height))
            self._request = msgspec.structs.replace(self._request, options=options)

    def _end(self, child: CaptureProcess, event: Failed | Ended) -> None:
        if isinstance(event, Ended):
            self.close()
            self.is_ended = True
            raise CaptureEndedError(f"{self.name}: the end is reached")
        # A camera that has worked is opened again whatever it says: it may just have come back
        # from a reset without its settings.
        if not event.again and not (child.live and self.has_delivered):
            self.close()
            raise _ERRORS[event.fault](f"{self.name}: {event.message}")
        self._lose(child, CameraError(event.message))

    def _lose(self, child: CaptureProcess, error: CameraError) -> None:
        """Note that the camera is lost and when to open it again."""
        now = time.monotonic()
        self.close()
        if not child.live:
            raise CameraError(f"{self.name}: {error}")
        if child.steady_since is not None and now - child.steady_since > _STEADY_S:
            self._failures = 0
        self._wait_before_next_try(error, now)

    def _wait_before_next_try(self, error: CameraError, now: float) -> None:
        wait_s = _BACK_OFF_S[min(self._failures, len(_BACK_OFF_S) - 1)]
        self._failures += 1
        self._restart_at = now + wait_s
        last, logged_at, repeats = self._complaint
        if str(error) != last:
            self._complaint = (str(error), now, 0)
        elif now - logged_at >= _REPEAT_S[min(repeats, len(_REPEAT_S) - 1)]:
            self._complaint = (last, now, repeats + 1)
        if self._complaint[1] == now:
            _LOG.warning(
                "camera %s: %s; trying again, so far %d times",
                self.name,
                error,
                self.counts.restarts,
            )


def next_frame_of(
    captures: Sequence[Capture], timeout_s: float, first: int = 0
) -> tuple[int, Frame] | None:
    """Wait for the next frame of any of several cameras.

    Args:
        captures: started captures.
        timeout_s: how long to wait at most.
        first: which is asked first; whoever counts it up treats them all alike.

    Returns:
        The number of the camera and its frame; None if none came in time.

    Raises:
        LinegateError: as :meth:`Capture.poll`.
    """
    deadline = time.monotonic() + timeout_s
    order = [(first + offset) % len(captures) for offset in range(len(captures))]
    while True:
        for number in order:
            frame = captures[number].poll()
            if frame is not None:
                return number, frame
        now = time.monotonic()
        if now >= deadline:
            return None
        wake_at = min([deadline, *(capture.attention_at for capture in captures)])
        _wait([capture.descriptor for capture in captures], max(0.0, wake_at - now))


def _start_child() -> Child:
    try:
        return Child()
    except OSError as error:
        raise CameraError(f"the camera's process cannot start: {error}") from error


def _wait(descriptors: Sequence[int | None], wait_s: float) -> None:
    poll = select.poll()
    for descriptor in descriptors:
        if descriptor is not None:
            poll.register(descriptor, select.POLLIN)
    # Whole milliseconds, rounded up: rounded down it would return early and spin.
    poll.poll(int(wait_s * 1000) + 1)


def _age_s(event: FrameReady) -> float:
    return (time.monotonic_ns() - event.monotonic_ns) / 1e9


def public_address(address: str) -> str:
    """Return an address without user name, password and query, which often holds them too.

    Where anything looks as if a password had been torn apart or stood in the path, the scheme
    is all that is shown.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    try:
        parts = urllib.parse.urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return f"{scheme}://..."
    shown = parts._replace(netloc=host, query="..." if parts.query else "", fragment="").geturl()
    is_torn = "@" in rest and "@" not in parts.netloc
    is_told = any(word in parts.path.lower() for word in _SECRETS)
    if is_torn and not _AT_IN_PATH.fullmatch(rest):
        return f"{scheme}://..."
    return f"{scheme}://{host}/..." if is_told else shown
