"""A trigger that follows a script, for tests."""

from typing import Annotated, ClassVar

import msgspec

from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.geometry import Box
from linegate_runtime.triggers.base import Observation, Sighting, Trigger, TriggerOptions


class FakeOptions(TriggerOptions, frozen=True, kw_only=True):
    """Options of the fake trigger.

    Attributes:
        script: for each frame the number of the part in it, 0 for none; after the
            end nothing comes any more. Numbers must not fall, save to 0.
    """

    script: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = (1, 1, 1, 0, 2, 2, 2, 0)


class FakeTrigger(Trigger[FakeOptions]):
    """Sees what its script says, in the whole region; never looks at the pixels."""

    Options: ClassVar[type[TriggerOptions]] = FakeOptions

    def __init__(self, options: FakeOptions, region: Box | None = None) -> None:
        self._script = iter(options.script)
        self._region = region
        self._present = 0

    def observe(self, pixels: UInt8Array, taken_ns: int) -> Observation:
        """See :meth:`Trigger.observe`."""
        del pixels, taken_ns
        before, self._present = self._present, next(self._script, 0)
        present = self._present
        return Observation(
            sightings=(Sighting(part=present, box=self._region),) if present else (),
            ended=(before,) if before not in (0, present) else (),
        )
