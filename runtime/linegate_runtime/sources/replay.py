"""Recordings of a camera, played as it was or faster."""

import itertools
import time
from pathlib import Path
from typing import ClassVar

from linegate_bundle.errors import ConfigError
from linegate_bundle.images import read_image
from linegate_runtime.sources.base import Captured, Source, SourceOptions
from linegate_runtime.sources.recording_index import RecordedFrame, read_index


class ReplaySource(Source):
    """Gives every frame of a recording once, never before it is due.

    The address is a folder that :class:`~linegate_runtime.recording.RecordingWriter` wrote,
    or anybody else in the form of :mod:`linegate_runtime.sources.recording_index`. A frame is
    due when as much time has passed since the first one was read as lay between the two
    when they were taken, divided by the speed. Whoever reads slower than that gets the frames
    that are due at once, until the time is made up for.
    """

    is_as_seen: ClassVar[bool] = True

    def __init__(self, options: SourceOptions) -> None:
        frames = read_index(Path(options.address))
        _check_gaps(frames, options)
        self._speed = options.speed
        self._first_ns = frames[0].taken_ns
        self._frames = iter(frames)
        self._started_ns: int | None = None

    @classmethod
    def is_live(cls, address: str) -> bool:
        """See :meth:`Source.is_live`."""
        del address
        return False

    def read(self) -> Captured | None:
        """See :meth:`Source.read`."""
        frame = next(self._frames, None)
        if frame is None:
            return None
        # Decoded before the wait, so that the work does not make the frame late.
        pixels = read_image(frame.path)
        self._wait_for(frame)
        return Captured(pixels=pixels, monotonic_ns=time.monotonic_ns(), taken_ns=frame.taken_ns)

    def close(self) -> None:
        """See :meth:`Source.close`."""
        self._frames = iter(())

    def _wait_for(self, frame: RecordedFrame) -> None:
        if self._speed is None:
            return
        if self._started_ns is None:
            self._started_ns = time.monotonic_ns()
        due_ns = self._started_ns + round((frame.taken_ns - self._first_ns) / self._speed)
        while (left_ns := due_ns - time.monotonic_ns()) > 0:
            time.sleep(left_ns / 1e9)


def _check_gaps(frames: list[RecordedFrame], options: SourceOptions) -> None:
    """Refuse waits that would be taken for a source that hangs."""
    if options.speed is None:
        return
    gaps = [
        (after.taken_ns - before.taken_ns, before, after)
        for before, after in itertools.pairwise(frames)
    ]
    if not gaps:
        return
    gap_ns, before, after = max(gaps, key=lambda gap: gap[0])
    gap_s = gap_ns / 1e9 / options.speed
    if gap_s > options.read_timeout_s:
        raise ConfigError(
            f"expected every next frame within read_timeout_s = {options.read_timeout_s:g} s, at "
            f"speed {options.speed:g} {after.path.name} comes {gap_s:.1f} s after "
            f"{before.path.name} (lines {before.line} and {after.line}); raise read_timeout_s or "
            "the speed"
        )
