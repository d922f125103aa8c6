"""From frames to decisions on parts; no input or output, so the same frames give the same."""

import dataclasses
from typing import TYPE_CHECKING, Any

from linegate_runtime.frame import Frame
from linegate_runtime.geometry import Box
from linegate_runtime.model import Model, Seen
from linegate_runtime.part import PartDecision, Parts
from linegate_runtime.triggers import Trigger

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What one frame led to.

    Attributes:
        decisions: parts that were decided.
        unseen: how many parts have gone that were never wholly in view.
    """

    decisions: tuple[PartDecision, ...] = ()
    unseen: int = 0


class Inspector:
    """Shows frames to a trigger and what it finds to the model.

    Args:
        model: an open model; stays the caller's.
        trigger: finds the parts.
        class_maps: whether decisions come with the class map of their newest frame.
    """

    def __init__(self, model: Model, trigger: Trigger[Any], *, class_maps: bool = False) -> None:
        self._model = model
        self._trigger = trigger
        self._class_maps = class_maps
        self._parts = Parts(model.manifest)

    def inspect(self, frame: Frame) -> Inspection:
        """Take the next frame.

        Raises:
            ConfigError: the frame does not fit the trigger's configuration.
            EngineError: the engine failed.
        """
        observation = self._trigger.observe(frame.pixels, frame.monotonic_ns)
        decisions = []
        for sighting in observation.sightings:
            if not self._parts.wants(sighting.part):
                continue
            seen = self._see(_crop(frame.pixels, sighting.box))
            decisions.append(self._parts.add(sighting.part, seen, frame.number, frame.monotonic_ns))
        decisions += [self._parts.end(part) for part in observation.ended]
        return Inspection(
            decisions=tuple(decision for decision in decisions if decision is not None),
            unseen=observation.unseen,
        )

    def finish(self) -> Inspection:
        """Decide the parts in view with the frames they have; no more will come."""
        return Inspection(decisions=tuple(self._parts.end_all()))

    def _see(self, pixels: "UInt8Array") -> Seen:
        if self._class_maps:
            return self._model.see(pixels)
        return Seen(self._model.probabilities(pixels), None)


def _crop(pixels: "UInt8Array", box: Box | None) -> "UInt8Array":
    if box is None:
        return pixels
    return pixels[box.y : box.bottom, box.x : box.right]
