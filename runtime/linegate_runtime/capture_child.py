"""The capture's own process: reads a source, keeps the newest frame in shared memory.

It is started by :class:`linegate_runtime.capture.Capture`, so that a driver or a
stream that hangs or crashes can be killed without harm to the inspection.
"""

import mmap
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np

from linegate_bundle.errors import CameraError, ConfigError, DataError, LinegateError
from linegate_runtime.capture_checks import Finding, FrameChecks
from linegate_runtime.capture_protocol import (
    FROZEN_AFTER_S,
    REFRESH,
    SLOTS,
    WANT,
    Ended,
    Event,
    Failed,
    Fault,
    FrameReady,
    NoNewer,
    Notice,
    Opened,
    Request,
    Started,
    encode_line,
    slot_stride,
)
from linegate_runtime.sources import SOURCES, Captured, Source, SourceOptions

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}

_RATE_SPAN_S = 3.0
"""Over so long from the first frame the camera's rate is measured."""

_RATE_SHARE = 0.8
"""A camera that gives less than this share of the frames asked for is complained about."""


class Publisher:
    """The child's end of the shared memory; safe to use by the reading and the wanting thread.

    Args:
        memory: descriptor of the shared memory, still empty.
        events: descriptor of the pipe to the parent.
        live: whether the source is live.
        rotation: degrees by which frames are turned clockwise.
        checks: what is checked on the frames; None takes all as they are.
    """

    def __init__(
        self,
        memory: int,
        events: int,
        *,
        live: bool,
        rotation: int = 0,
        checks: FrameChecks | None = None,
    ) -> None:
        self._memory = memory
        self._events = events
        self._live = live
        self._turn = _TURNS.get(rotation)
        self._checks = checks
        self._slots: UInt8Array | None = None
        self._size = (0, 0)
        self._number = 0
        self._skipped = {Finding.REPEATED: 0, Finding.BLACK: 0}
        self._last: int | None = None
        self._held: int | None = None
        self._newest: FrameReady | None = None
        self._wanted = False
        self._changed = threading.Condition()

    def tell(self, event: Event) -> None:
        """Send an event; lines shorter than the pipe's buffer arrive as a whole."""
        os.write(self._events, encode_line(event))

    def want(self) -> None:
        """Note that the parent is done with its frame and wants a newer one."""
        with self._changed:
            self._wanted = True
            self._held = None
            self._give()
            self._changed.notify()

    def refresh(self) -> None:
        """Exchange the frame announced last for a newer one, if there is one."""
        with self._changed:
            if self._newest is None:
                self.tell(NoNewer())
            else:
                self._wanted = True
                self._give()

    def wait_for_want(self) -> None:
        """Wait until a frame is wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted)

    def publish(self, captured: Captured) -> Finding:
        """Put a frame into a free slot and announce it as soon as it is wanted.

        Returns:
            What the frame is; one that is not new is not announced.

        Raises:
            CameraError: the frame has another size than those before.
        """
        slot = self._fill(captured.pixels)
        finding = self._look(slot)
        self._number += 1
        if finding in self._skipped:
            self._skipped[finding] += 1
            return finding
        self._last = slot
        if finding is Finding.FIRST:
            return finding
        taken_ns = captured.monotonic_ns if captured.taken_ns is None else captured.taken_ns
        with self._changed:
            self._newest = FrameReady(
                number=self._number,
                slot=slot,
                monotonic_ns=captured.monotonic_ns,
                taken_ns=taken_ns,
                repeated=self._skipped[Finding.REPEATED],
                black=self._skipped[Finding.BLACK],
            )
            self._give()
        return finding

    def fail(self, error: LinegateError) -> None:
        """Tell the parent why there will be no more frames."""
        fault, again = Fault.CAMERA, self._live
        if isinstance(error, ConfigError):
            fault, again = Fault.CONFIG, False
        elif isinstance(error, DataError):
            fault = Fault.DATA
        self.tell(
            Failed(
                fault=fault,
                message=str(error),
                again=again,
                repeated=self._skipped[Finding.REPEATED],
                black=self._skipped[Finding.BLACK],
            )
        )

    def _fill(self, pixels: "UInt8Array") -> int:
        """Write a frame into a slot that nobody needs, and return which."""
        height, width = pixels.shape[:2]
        if self._slots is None:
            self._make_slots(width, height)
        if self._slots is None or self._size != (width, height):
            raise CameraError(
                f"expected frames of {self._size[0]}x{self._size[1]} as before, "
                f"got {width}x{height}"
            )
        with self._changed:
            taken = {self._held, self._newest.slot if self._newest else None, self._last}
        slot = next(number for number in range(SLOTS) if number not in taken)
        if self._turn is None:
            np.copyto(self._slots[slot], pixels)
        else:
            cv2.rotate(pixels, self._turn, dst=self._slots[slot])
        return slot

    def _look(self, slot: int) -> Finding:
        if self._checks is None or self._slots is None:
            return Finding.NEW
        before = None if self._last is None else self._slots[self._last]
        return self._checks.look(self._slots[slot], before)

    def _give(self) -> None:
        if self._wanted and self._newest is not None:
            self.tell(self._newest)
            self._held = self._newest.slot
            self._newest = None
            self._wanted = False

    def _make_slots(self, width: int, height: int) -> None:
        self._size = (width, height)
        if self._turn in (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE):
            width, height = height, width
        stride = slot_stride(width, height)
        os.ftruncate(self._memory, SLOTS * stride)
        memory = mmap.mmap(self._memory, SLOTS * stride)
        whole = np.frombuffer(memory, np.uint8).reshape(SLOTS, stride)
        self._slots = whole[:, : width * height * 3].reshape(SLOTS, height, width, 3)
        self.tell(Opened(width=width, height=height, live=self._live))


class Watch:
    """Looks whether a live source's frames come as they should, over time.

    Args:
        options: of the source.
        frozen_after_s: so long without a new picture is too long; 0 is the default's length,
            for then only black pictures are looked for.
    """

    def __init__(self, options: SourceOptions, frozen_after_s: float) -> None:
        self._fps = options.fps
        self._limit_s = frozen_after_s or FROZEN_AFTER_S
        self._new_at: float | None = None
        self._first_at: float | None = None
        self._frames = 0

    def note(self, finding: Finding, now: float) -> Notice | None:
        """Take what the next frame is; return what people should know about it.

        Raises:
            CameraError: there was no new picture for too long.
        """
        if self._new_at is None or finding in (Finding.NEW, Finding.FIRST):
            self._new_at = now
        elif now - self._new_at >= self._limit_s:
            if finding is Finding.REPEATED:
                raise CameraError(
                    f"expected a new picture, the camera gives the same one for "
                    f"{now - self._new_at:.1f} s: it is frozen"
                )
            raise CameraError(
                f"expected a picture, the camera gives black ones for {now - self._new_at:.1f} s; "
                "look at its lens, the light and the exposure"
            )
        return self._rate(now)

    def _rate(self, now: float) -> Notice | None:
        if self._fps is None:
            return None
        if self._first_at is None:
            self._first_at = now
            return None
        self._frames += 1
        if now - self._first_at < _RATE_SPAN_S:
            return None
        asked, given = self._fps, self._frames / (now - self._first_at)
        self._fps = None
        if given >= _RATE_SHARE * asked:
            return None
        return Notice(
            message=f"expected {asked:g} frames a second as configured, it gives {given:.1f}; "
            "look at its exposure, size and connection"
        )


def capture(source: Source, request: Request, publisher: Publisher, *, live: bool) -> Event:
    """Pass frames on until the source ends or is lost, and return how that was."""
    watch = Watch(request.options, request.checks.frozen_after_s)
    while True:
        if not live:
            publisher.wait_for_want()
        captured = source.read()
        if captured is None:
            return Ended()
        height, width = captured.pixels.shape[:2]
        if source.is_as_seen and request.options.rotation % 180:
            height, width = width, height
        size = request.options.size
        if size is not None and (size.width, size.height) != (width, height):
            raise CameraError(
                f"expected frames of {size}, got {width}x{height}; "
                "correct the configured size or the camera's settings"
            )
        finding = publisher.publish(captured)
        notice = watch.note(finding, time.monotonic()) if live else None
        if notice is not None:
            publisher.tell(notice)


def _run(request: Request, memory: int, events: int) -> int:
    try:
        family = SOURCES.load(request.source)
    except ConfigError as error:
        Publisher(memory, events, live=True).fail(error)
        return error.exit_code
    live = family.is_live(request.options.address)
    checks = request.checks
    publisher = Publisher(
        memory,
        events,
        live=live,
        rotation=0 if family.is_as_seen else request.options.rotation,
        checks=FrameChecks(black_below=checks.black_below, repeats=checks.frozen_after_s > 0)
        if live
        else None,
    )
    try:
        threading.Thread(target=_serve, args=(publisher,), daemon=True).start()
        publisher.tell(Started(live=live))
        source = family(request.options)
        try:
            publisher.tell(capture(source, request, publisher, live=live))
        finally:
            source.close()
    except LinegateError as error:
        publisher.fail(error)
        return error.exit_code
    return 0


def _serve(publisher: Publisher) -> None:
    while asked := os.read(0, 4096):
        # The parent never sends the next byte before it has its answer to the one before.
        if asked.endswith(WANT):
            publisher.want()
        elif asked.endswith(REFRESH):
            publisher.refresh()
    # The parent is gone. The other thread may be inside a driver that never returns.
    os._exit(0)


def _read_line() -> bytes:
    """Read the request alone; what follows belongs to the thread that serves wants."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(0)
        line += byte
    return bytes(line)


def main() -> int:
    """Run the capture: ``python -m linegate_runtime.capture_child MEMORY EVENTS``."""
    memory, events = int(sys.argv[1]), int(sys.argv[2])
    request = msgspec.json.decode(_read_line(), type=Request)
    # Its only work with OpenCV beside the decoder is too small for more threads.
    cv2.setNumThreads(1)
    try:
        return _run(request, memory, events)
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
