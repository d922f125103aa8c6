"""The capture's own process: reads a source, keeps the newest frame in shared memory.

It is started by :class:`linegate_runtime.capture.Capture`, so that a driver or a
stream that hangs or crashes can be killed without harm to the inspection.
"""

import mmap
import os
import sys
import threading
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from linegate_bundle.errors import CameraError, ConfigError, DataError, LinegateError
from linegate_runtime.capture_protocol import (
    SLOTS,
    Ended,
    Event,
    Failed,
    Fault,
    FrameReady,
    Opened,
    Request,
    Started,
    encode_line,
    slot_stride,
)
from linegate_runtime.sources import SOURCES, Captured, Source, SourceOptions

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array


class Publisher:
    """The child's end of the shared memory; safe to use by the reading and the wanting thread.

    Args:
        memory: descriptor of the shared memory, still empty.
        events: descriptor of the pipe to the parent.
        live: whether the source is live.
    """

    def __init__(self, memory: int, events: int, *, live: bool) -> None:
        self._memory = memory
        self._events = events
        self._live = live
        self._slots: UInt8Array | None = None
        self._size = (0, 0)
        self._number = 0
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

    def wait_for_want(self) -> None:
        """Wait until a frame is wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted)

    def publish(self, captured: Captured) -> None:
        """Put a frame into a free slot and announce it as soon as it is wanted.

        Raises:
            CameraError: the frame has another size than those before.
        """
        height, width = captured.pixels.shape[:2]
        if self._slots is None:
            self._make_slots(width, height)
        if self._slots is None or self._size != (width, height):
            raise CameraError(
                f"expected frames of {self._size[0]}x{self._size[1]} as before, "
                f"got {width}x{height}"
            )
        with self._changed:
            taken = {self._held, self._newest.slot if self._newest else None}
        slot = next(number for number in range(SLOTS) if number not in taken)
        np.copyto(self._slots[slot], captured.pixels)
        self._number += 1
        with self._changed:
            self._newest = FrameReady(
                number=self._number, slot=slot, monotonic_ns=captured.monotonic_ns
            )
            self._give()

    def _give(self) -> None:
        if self._wanted and self._newest is not None:
            self.tell(self._newest)
            self._held = self._newest.slot
            self._newest = None
            self._wanted = False

    def _make_slots(self, width: int, height: int) -> None:
        stride = slot_stride(width, height)
        os.ftruncate(self._memory, SLOTS * stride)
        memory = mmap.mmap(self._memory, SLOTS * stride)
        whole = np.frombuffer(memory, np.uint8).reshape(SLOTS, stride)
        self._slots = whole[:, : width * height * 3].reshape(SLOTS, height, width, 3)
        self._size = (width, height)
        self.tell(Opened(width=width, height=height, live=self._live))


def capture(source: Source, options: SourceOptions, publisher: Publisher, *, live: bool) -> Event:
    """Pass frames on until the source ends or is lost, and return how that was."""
    while True:
        if not live:
            publisher.wait_for_want()
        captured = source.read()
        if captured is None:
            return Ended()
        height, width = captured.pixels.shape[:2]
        size = options.size
        if size is not None and (size.width, size.height) != (width, height):
            raise CameraError(
                f"expected frames of {size} as configured, got {width}x{height}; "
                "correct the size or the camera's settings"
            )
        publisher.publish(captured)


def _run(request: Request, memory: int, events: int) -> int:
    live = True
    try:
        family = SOURCES.load(request.source)
        live = family.is_live(request.options.address)
        publisher = Publisher(memory, events, live=live)
        threading.Thread(target=_serve_wants, args=(publisher,), daemon=True).start()
        publisher.tell(Started())
        source = family(request.options)
        try:
            publisher.tell(capture(source, request.options, publisher, live=live))
        finally:
            source.close()
    except LinegateError as error:
        os.write(events, encode_line(_failed(error, live=live)))
        return error.exit_code
    return 0


def _failed(error: LinegateError, *, live: bool) -> Failed:
    if isinstance(error, ConfigError):
        return Failed(fault=Fault.CONFIG, message=str(error), again=False)
    if isinstance(error, DataError):
        return Failed(fault=Fault.DATA, message=str(error), again=live)
    return Failed(fault=Fault.CAMERA, message=str(error), again=live)


def _serve_wants(publisher: Publisher) -> None:
    while os.read(0, 4096):
        publisher.want()
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
    try:
        return _run(request, memory, events)
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
