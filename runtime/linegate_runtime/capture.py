"""The parent's end of a capture: starts the camera's process, takes frames, starts it again.

Nothing here needs numpy or OpenCV before the first frame, so the camera opens
while the rest of the program still loads.
"""

import contextlib
import dataclasses
import logging
import mmap
import os
import select
import subprocess
import sys
import tempfile
import time
import urllib.parse
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from linegate_bundle.errors import CameraError, ConfigError, DataError, LinegateError
from linegate_runtime.capture_protocol import (
    SLOTS,
    WANT,
    Ended,
    Event,
    Failed,
    Fault,
    FrameReady,
    Opened,
    Request,
    Started,
    decode_event,
    encode_line,
    slot_stride,
)
from linegate_runtime.frame import Frame

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array

_LOG = logging.getLogger(__name__)

_START_LIMIT_S = 20.0
"""For starting Python and loading OpenCV, from a cold SD card too."""

_GRACE_S = 1.0
"""By how much the child may exceed its own time-outs before it counts as hung."""

_BACK_OFF_S = (0.1, 0.2, 0.4, 0.8, 1.0)
"""Waits before the first, second, ... start in a row; the last one for all further."""

_STEADY_S = 2.0
"""After so long with frames the next loss counts as the first again."""

_REPEAT_S = 5.0
"""The same complaint is logged again after so long only."""

_STALE_S = 0.5
"""A live frame that waited longer than this is not used."""

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
    """

    frames: int = 0
    restarts: int = 0
    stale: int = 0


class CaptureEndedError(CameraError):
    """A source that has an end has reached it; there will be no more frames."""


class Capture:
    """Frames of one camera, always the newest; lost cameras are opened again.

    Use it as a context manager, or call :meth:`start` and :meth:`close`.

    Args:
        request: source and address.
        name: what the camera is called in messages and records; the address
            without its password if None.

    Attributes:
        counts: what happened so far.
    """

    def __init__(self, request: Request, name: str | None = None) -> None:
        self.name = name or public_address(request.options.address)
        self.counts = CaptureCounts()
        self._request = request
        self._child: _Child | None = None
        self._last_number = 0
        self._failures = 0
        self._restart_at = 0.0
        self._complaint = ("", 0.0)

    def start(self) -> None:
        """Start the camera's process; returns at once."""
        if self._child is None:
            self._child = _Child(self._request, self._last_number)

    @property
    def has_delivered(self) -> bool:
        """Whether any frame has come since the start."""
        return self._last_number > 0

    @property
    def pid(self) -> int | None:
        """Process id of the camera's process, None while there is none."""
        return None if self._child is None else self._child.process.pid

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Wait for a frame newer than the last one; the last one's pixels become invalid.

        Returns:
            None if none came in ``timeout_s``; the reason is logged when the camera is
            lost, and it is being opened again meanwhile.

        Raises:
            CaptureEndedError: the folder or video is at its end.
            ConfigError: the address or source cannot mean anything.
            CameraError, DataError: a folder or video cannot be read on.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            child = self._running_child(deadline)
            if child is None:
                return None
            try:
                event = child.wait(deadline)
            except CameraError as error:
                self._lose(child, error)
                continue
            if event is None:
                return None
            if isinstance(event, Failed | Ended):
                self._end(child, event)
            frame = child.take(event) if isinstance(event, FrameReady) else None
            if frame is not None and self._is_fresh(child, frame):
                self.counts.frames += 1
                self._last_number = frame.number
                return frame

    def close(self) -> None:
        """End the camera's process; a second call does nothing."""
        if self._child is not None:
            self._child.close()
            self._child = None

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

    def _running_child(self, deadline: float) -> "_Child | None":
        if self._child is None:
            wait_s = self._restart_at - time.monotonic()
            left_s = max(0.0, deadline - time.monotonic())
            time.sleep(max(0.0, min(wait_s, left_s)))
            if wait_s > left_s:
                return None
            self.counts.restarts += 1
            self.start()
        return self._child

    def _is_fresh(self, child: "_Child", frame: Frame) -> bool:
        age_s = (time.monotonic_ns() - frame.monotonic_ns) / 1e9
        if child.live and age_s > _STALE_S:
            self.counts.stale += 1
            return False
        return frame.number > self._last_number

    def _end(self, child: "_Child", event: Failed | Ended) -> None:
        if isinstance(event, Ended):
            self.close()
            raise CaptureEndedError(f"{self.name}: the end is reached")
        if not event.again:
            self.close()
            raise _ERRORS[event.fault](f"{self.name}: {event.message}")
        self._lose(child, CameraError(event.message))

    def _lose(self, child: "_Child", error: CameraError) -> None:
        """Note that the camera is lost and when to open it again."""
        now = time.monotonic()
        self.close()
        if not child.live:
            raise CameraError(f"{self.name}: {error}")
        if child.steady_since is not None and now - child.steady_since > _STEADY_S:
            self._failures = 0
        wait_s = _BACK_OFF_S[min(self._failures, len(_BACK_OFF_S) - 1)]
        self._failures += 1
        self._restart_at = now + wait_s
        last, logged_at = self._complaint
        if str(error) != last or now - logged_at >= _REPEAT_S:
            self._complaint = (str(error), now)
            _LOG.warning(
                "camera %s: %s; trying again, so far %d times",
                self.name,
                error,
                self.counts.restarts,
            )


class _Child:
    """One run of the camera's process.

    Attributes:
        live: whether the source is live, as far as known.
        steady_since: when the first frame came, by ``time.monotonic()``; None before.
    """

    def __init__(self, request: Request, frames_before: int) -> None:
        self.live = True
        self.steady_since: float | None = None
        self._frames_before = frames_before
        self._options = request.options
        self._slots: UInt8Array | None = None
        self._lines = bytearray()
        self._memory = _shared_memory()
        child_input, self._input = os.pipe()
        self._events, child_events = os.pipe()
        try:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "linegate_runtime.capture_child"),
                    *(str(self._memory), str(child_events)),
                ],
                stdin=child_input,
                pass_fds=(self._memory, child_events),
                # Threads for linear algebra, which nobody needs here, cost start-up time.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                # Ctrl-C in a terminal is for the parent, which ends the child in order.
                start_new_session=True,
            )
        except OSError as error:
            self._close_descriptors()
            raise CameraError(f"the camera's process cannot start: {error}") from error
        finally:
            os.close(child_input)
            os.close(child_events)
        self._wanted = False
        self._deadline = time.monotonic() + _START_LIMIT_S
        self._send(encode_line(request))

    def wait(self, deadline: float) -> Event | None:
        """Wait for an event until ``deadline``, by ``time.monotonic()``; None if none came.

        Raises:
            CameraError: the process has died, hangs or talks nonsense.
        """
        if not self._wanted:
            self._wanted = True
            if self.steady_since is not None:
                self._deadline = time.monotonic() + self._options.read_timeout_s + _GRACE_S
            self._send(WANT)
        while b"\n" not in self._lines:
            wait_s = max(0.0, min(deadline, self._deadline) - time.monotonic())
            if self._readable(wait_s):
                self._receive()
            elif time.monotonic() >= self._deadline:
                raise CameraError("expected a frame, the camera's process hangs and was killed")
            elif time.monotonic() >= deadline:
                return None
        line, _, rest = self._lines.partition(b"\n")
        self._lines = rest
        return self._note(line)

    def take(self, event: FrameReady) -> Frame:
        """Return the frame that an event announces."""
        if self._slots is None or not 0 <= event.slot < SLOTS:
            raise CameraError(f"expected a slot of the shared memory, got {event}")
        return Frame(
            number=self._frames_before + event.number,
            monotonic_ns=event.monotonic_ns,
            pixels=self._slots[event.slot],
        )

    def close(self) -> None:
        """Kill the process; what it held is freed by the system."""
        self.process.kill()
        self.process.wait()
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        for descriptor in (self._input, self._events, self._memory):
            os.close(descriptor)

    def _send(self, content: bytes) -> None:
        # If the child is dead, reading its events says so.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._input, content)

    def _readable(self, wait_s: float) -> bool:
        poll = select.poll()
        poll.register(self._events, select.POLLIN)
        return bool(poll.poll(wait_s * 1000))

    def _receive(self) -> None:
        received = os.read(self._events, 65536)
        if not received:
            code = self.process.wait()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            raise CameraError(f"expected a frame, the camera's process {how}")
        self._lines += received

    def _note(self, line: bytes | bytearray) -> Event:
        try:
            event = decode_event(bytes(line))
        except msgspec.DecodeError as error:
            raise CameraError(f"expected an event of the camera's process: {error}") from error
        now = time.monotonic()
        if isinstance(event, Started):
            limit_s = self._options.open_timeout_s + self._options.read_timeout_s
            self._deadline = now + limit_s + _GRACE_S
        elif isinstance(event, Opened):
            self.live = event.live
            self.steady_since = now
            self._map(event)
        elif isinstance(event, FrameReady):
            self._wanted = False
        return event

    def _map(self, event: Opened) -> None:
        import numpy as np  # noqa: PLC0415 - loads while the camera is being opened

        stride = slot_stride(event.width, event.height)
        memory = mmap.mmap(self._memory, SLOTS * stride, prot=mmap.PROT_READ)
        whole = np.frombuffer(memory, np.uint8).reshape(SLOTS, stride)
        frames = whole[:, : event.width * event.height * 3]
        self._slots = frames.reshape(SLOTS, event.height, event.width, 3)


def public_address(address: str) -> str:
    """Return an address without user name, password and query, which often holds them too."""
    if "://" not in address:
        return address
    parts = urllib.parse.urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    query = "..." if parts.query else ""
    return parts._replace(netloc=host, query=query, fragment="").geturl()


def _shared_memory() -> int:
    """Return the descriptor of new, nameless memory that a child can map."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("linegate-frames", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
