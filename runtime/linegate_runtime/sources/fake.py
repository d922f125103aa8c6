"""A camera without hardware, for tests and for trying out a line."""

import re
import time

import numpy as np

from linegate_bundle.errors import CameraError, ConfigError
from linegate_runtime.sources.base import Captured, Source, SourceOptions, check_settings

_ADDRESS = re.compile(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})@([1-9][0-9]{0,2})(?:#([0-9]{1,9}))?")

_DARKEST = 20


class FakeSource(Source):
    """Even pictures that get brighter from frame to frame and start again after white.

    The address is ``WIDTHxHEIGHT@FPS`` for a camera without end, or
    ``WIDTHxHEIGHT@FPS#FRAMES`` for one that is lost after so many frames' time. The
    frame at index ``k`` (time since the start, in frame periods) has the value
    ``20 + k % 236``, never black, so a reader sees which frame it got.
    """

    def __init__(self, options: SourceOptions) -> None:
        check_settings(type(self), options)
        match = _ADDRESS.fullmatch(options.address)
        if match is None:
            raise ConfigError(
                "expected WIDTHxHEIGHT@FPS such as 640x480@30 for the fake camera, "
                f"got {options.address!r}"
            )
        width, height, self._fps = (int(text) for text in match.groups()[:3])
        self._count = None if match[4] is None else int(match[4])
        self._pixels = np.zeros((height, width, 3), np.uint8)
        self._index = -1
        self._start_ns = time.monotonic_ns()

    def read(self) -> Captured:
        """See :meth:`Source.read`."""
        period_ns = 1_000_000_000 / self._fps
        elapsed_ns = time.monotonic_ns() - self._start_ns
        # A reader that comes late misses frames, as with a camera.
        self._index = max(self._index + 1, int(elapsed_ns / period_ns))
        if self._count is not None and self._index >= self._count:
            raise CameraError(f"expected a frame, the fake camera gives only {self._count}")
        due_ns = self._start_ns + round(self._index * period_ns)
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        self._pixels[:] = _DARKEST + self._index % (256 - _DARKEST)
        return Captured(pixels=self._pixels, monotonic_ns=time.monotonic_ns())

    def close(self) -> None:
        """See :meth:`Source.close`."""
