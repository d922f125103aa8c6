"""Watches cameras with their triggers, without any model."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from linegate_runtime.capture import Capture, next_frame_of
from linegate_runtime.config import CameraConfig, RegionConfig
from linegate_runtime.frame import Frame
from linegate_runtime.geometry import Box
from linegate_runtime.setup_view.draw import RegionView
from linegate_runtime.tally import Rate
from linegate_runtime.triggers import Trigger
from linegate_runtime.triggers.base import check_region

_RATE_S = 1.0
"""How often the frames a second are taken anew."""


@dataclasses.dataclass
class CameraState:
    """What a camera did so far.

    Attributes:
        name: of the camera.
        size: width and height of its frames; None before the first.
        frames_per_second: of the last moments.
        frames: how many came.
        restarts, repeated, black: see :class:`~linegate_runtime.capture.CaptureCounts`.
        parts: how many parts were wholly in view.
        unseen: how many passed without being wholly in view.
        states: what each region's trigger is doing.
        waiting_s: how long ago the newest frame came.
    """

    name: str
    size: tuple[int, int] | None = None
    frames_per_second: float = 0.0
    frames: int = 0
    restarts: int = 0
    repeated: int = 0
    black: int = 0
    parts: int = 0
    unseen: int = 0
    states: tuple[str, ...] = ()
    waiting_s: float = 0.0


@dataclasses.dataclass(frozen=True)
class View:
    """One frame with what the triggers see in it.

    Attributes:
        camera: number of the camera, from 0.
        frame: valid until the next view.
        regions: one for each region of the camera.
    """

    camera: int
    frame: Frame
    regions: tuple[RegionView, ...]


@dataclasses.dataclass
class _Region:
    name: str
    box: Box | None
    trigger: Trigger[Any]
    newest: int = 0


class Watch:
    """The cameras of a line with their triggers.

    Args:
        cameras: their configuration.
        captures: a started capture of each.

    Attributes:
        states: one for each camera.
    """

    def __init__(self, cameras: Sequence[CameraConfig], captures: Sequence[Capture]) -> None:
        self._captures = list(captures)
        self._regions = [[_open(region) for region in camera.regions] for camera in cameras]
        self._rates = [Rate() for _ in captures]
        self._rated_at = time.monotonic()
        self._newest_at = [time.monotonic() for _ in captures]
        self._turn = 0
        self.states = [CameraState(capture.name) for capture in captures]

    def next_view(self, timeout_s: float) -> View | None:
        """Wait for the next frame of any camera; None if none came in time.

        Raises:
            CaptureEndedError: a recording is at its end.
            LinegateError: as :meth:`Capture.poll`; a region that reaches outside the frame.
        """
        self._turn += 1
        try:
            found = next_frame_of(self._captures, timeout_s, self._turn)
        finally:
            self._count()
        if found is None:
            return None
        number, frame = found
        self._rates[number].count()
        self._newest_at[number] = time.monotonic()
        views = tuple(self._look(number, region, frame) for region in self._regions[number])
        state = self.states[number]
        state.frames += 1
        state.size = (frame.pixels.shape[1], frame.pixels.shape[0])
        state.states = tuple(view.observation.state for view in views)
        return View(number, frame, views)

    def close(self) -> None:
        """Let the triggers go."""
        for region in (one for regions in self._regions for one in regions):
            region.trigger.close()

    def _look(self, number: int, region: _Region, frame: Frame) -> RegionView:
        check_region(region.box, frame.pixels)
        region.trigger.begun(time.monotonic_ns())
        observation = region.trigger.observe(frame.pixels, frame.taken_ns)
        state = self.states[number]
        parts = [sighting.part for sighting in observation.sightings]
        state.parts += sum(part > region.newest for part in set(parts))
        region.newest = max([region.newest, *parts])
        state.unseen += observation.unseen
        return RegionView(region.name, region.box, observation)

    def _count(self) -> None:
        now = time.monotonic()
        is_due = now - self._rated_at >= _RATE_S
        for number, capture in enumerate(self._captures):
            state, counts = self.states[number], capture.counts
            state.restarts, state.repeated = counts.restarts, counts.repeated
            state.black = counts.black
            state.waiting_s = now - self._newest_at[number]
            if is_due:
                state.frames_per_second = self._rates[number].take()
        if is_due:
            self._rated_at = now


def _open(region: RegionConfig) -> _Region:
    return _Region(region.name, region.box, region.open_trigger())
