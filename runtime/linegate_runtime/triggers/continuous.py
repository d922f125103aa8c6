"""A part every so many frames: for goods without gaps, and for trying out a camera."""

from typing import ClassVar

from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.geometry import Box
from linegate_runtime.triggers.base import (
    CountedOptions,
    Observation,
    Sighting,
    Trigger,
    TriggerOptions,
    check_region,
)


class ContinuousOptions(CountedOptions, frozen=True, kw_only=True):
    """Options of the continuous trigger: ``frames`` in a row are one part."""


class ContinuousTrigger(Trigger[ContinuousOptions]):
    """Takes every frame's region of interest as a sighting; see :class:`ContinuousOptions`."""

    Options: ClassVar[type[TriggerOptions]] = ContinuousOptions

    def __init__(self, options: ContinuousOptions, region: Box | None = None) -> None:
        self._frames = options.frames or 1
        self._region = region
        self._seen = 0

    def observe(self, pixels: UInt8Array, taken_ns: int) -> Observation:
        """See :meth:`Trigger.observe`."""
        del taken_ns
        check_region(self._region, pixels)
        part = self._seen // self._frames + 1
        self._seen += 1
        is_last = self._seen % self._frames == 0
        return Observation(
            sightings=(Sighting(part=part, box=self._region),), ended=(part,) if is_last else ()
        )
