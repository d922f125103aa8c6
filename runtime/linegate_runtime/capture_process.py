"""One run of a camera's process, seen from the parent."""

import contextlib
import mmap
import os
import select
import time
from typing import TYPE_CHECKING

import msgspec

from linegate_bundle.errors import CameraError
from linegate_runtime.capture_child_start import Child
from linegate_runtime.capture_protocol import (
    REFRESH,
    SLOTS,
    WANT,
    Event,
    FrameReady,
    NoNewer,
    Notice,
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

_START_LIMIT_S = 20.0
"""For starting Python and loading OpenCV, from a cold SD card too."""

_GRACE_S = 1.0
"""By how much the child may exceed its own time-outs before it counts as hung."""

_REFRESH_LIMIT_S = 0.25
"""For an answer of the child that needs no frame to come."""


class CaptureProcess:
    """Gives a process its request; methods raise :class:`CameraError` once it has died or hangs.

    Args:
        child: just started; closed with this.
        request: what it is to do.
        frames_before: added to the numbers of its frames.

    Attributes:
        live: whether the source is live, as far as known.
        opened: its answer when the first frame had come; None before.
        steady_since: when that was, by ``time.monotonic()``; None before.
        deadline: by the same clock, when it counts as hung if nothing comes from it.
    """

    def __init__(self, child: Child, request: Request, frames_before: int) -> None:
        self.live = True
        self.opened: Opened | None = None
        self.steady_since: float | None = None
        self._child = child
        self._frames_before = frames_before
        self._request = request
        self._slots: UInt8Array | None = None
        self._lines = bytearray()
        self._kept_back: list[Event] = []
        self._wanted = False
        self.deadline = time.monotonic() + _START_LIMIT_S
        self._send(encode_line(request))

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.process.pid

    @property
    def descriptor(self) -> int:
        """What becomes readable when the process says something."""
        return self._child.events

    def want(self) -> None:
        """Ask for the next frame and give the last one back, unless that was done already."""
        if not self._wanted:
            self._wanted = True
            if self.steady_since is not None:
                self.deadline = time.monotonic() + self._silence_limit_s
            self._send(WANT)

    def poll(self) -> Event | None:
        """Return what the process has said, one event a call; None if nothing, at once."""
        return self._kept_back.pop(0) if self._kept_back else self._next_event()

    def _next_event(self) -> Event | None:
        while b"\n" not in self._lines:
            if _is_readable(self._child.events, 0):
                self._receive()
            elif time.monotonic() >= self.deadline:
                raise CameraError("expected a frame, the camera's process hangs and was killed")
            else:
                return None
        line, _, rest = self._lines.partition(b"\n")
        self._lines = rest
        return self._note(line)

    def refresh(self, event: FrameReady) -> Event:
        """Exchange a frame that was announced for a newer one, if there is one.

        Returns:
            The announcement that counts now, or that the source has failed or ended.
        """
        self._send(REFRESH)
        # While the parent was busy it could not hear the child; that is no silence.
        self.deadline = time.monotonic() + self._silence_limit_s
        deadline = time.monotonic() + _REFRESH_LIMIT_S
        while True:
            answer = self._next_event()
            if isinstance(answer, NoNewer):
                return event
            if isinstance(answer, Notice):
                self._kept_back.append(answer)  # no answer to this, and no end of the waiting
            elif answer is not None:
                return answer
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not _is_readable(self._child.events, left_s):
                raise CameraError("expected an answer, the camera's process hangs and was killed")

    def take(self, event: FrameReady) -> Frame:
        """Return the frame that an event announces; it stays until the next want."""
        if self._slots is None or not 0 <= event.slot < SLOTS:
            raise CameraError(f"expected a slot of the shared memory, got {event}")
        return Frame(
            number=self._frames_before + event.number,
            monotonic_ns=event.monotonic_ns,
            taken_ns=event.taken_ns,
            pixels=self._slots[event.slot],
        )

    def close(self) -> None:
        """Kill the process; see :meth:`Child.close`."""
        self._child.close()

    @property
    def _silence_limit_s(self) -> float:
        # While a picture repeats, the child waits longer than for a silent camera.
        checks = self._request.checks
        return max(self._request.options.read_timeout_s, checks.frozen_after_s) + _GRACE_S

    def _send(self, content: bytes) -> None:
        # If the child is dead, reading its events says so.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._child.requests, content)

    def _receive(self) -> None:
        received = os.read(self._child.events, 65536)
        if not received:
            code = self._child.process.wait()
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
            self.live = event.live
            options = self._request.options
            limit_s = options.open_timeout_s + options.read_timeout_s
            self.deadline = now + max(limit_s, self._request.checks.frozen_after_s) + _GRACE_S
        elif isinstance(event, Opened):
            self.live = event.live
            self.opened = event
            self.steady_since = now
            self.deadline = now + self._silence_limit_s
            self._map(event)
        elif isinstance(event, FrameReady):
            self._wanted = False
            self.deadline = now + self._silence_limit_s
        return event

    def _map(self, event: Opened) -> None:
        import numpy as np  # noqa: PLC0415 - loads while the camera is being opened

        stride = slot_stride(event.width, event.height)
        memory = mmap.mmap(self._child.memory, SLOTS * stride, prot=mmap.PROT_READ)
        whole = np.frombuffer(memory, np.uint8).reshape(SLOTS, stride)
        frames = whole[:, : event.width * event.height * 3]
        self._slots = frames.reshape(SLOTS, event.height, event.width, 3)


def _is_readable(descriptor: int, wait_s: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(wait_s * 1000))
