"""From frames to decisions on parts; no input or output, so the same frames give the same."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from linegate_runtime.frame import Frame
from linegate_runtime.geometry import Box
from linegate_runtime.model import Model
from linegate_runtime.part import PartDecision, Parts
from linegate_runtime.policy import LinePolicy
from linegate_runtime.triggers import Sighting, Trigger

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array

Clock = Callable[[], int]


@dataclasses.dataclass(frozen=True)
class Region:
    """A region of a camera's frames, with the trigger that watches it.

    Attributes:
        name: tells it from the camera's other regions; empty if it is the only one.
        trigger: finds the parts in it.
    """

    name: str
    trigger: Trigger[Any]


class Judgement(msgspec.Struct, frozen=True):
    """A decision, and where its part was.

    Attributes:
        region: name of the region.
        decided: the decision.
    """

    region: str
    decided: PartDecision


class Inspection(msgspec.Struct, frozen=True):
    """What one frame led to.

    Attributes:
        judgements: parts that were decided.
        unseen: how many parts have gone that were never wholly in view.
    """

    judgements: tuple[Judgement, ...] = ()
    unseen: int = 0


class Inspector:
    """Shows the frames of one camera to its triggers and what they find to the model.

    Args:
        model: an open model; stays the caller's.
        regions: with an open trigger each; they stay the caller's too.
        policy: of the line.
        class_maps: whether decisions come with the class map of their newest frame.
        clock: gives ``time.monotonic_ns()``.
    """

    def __init__(
        self,
        model: Model,
        regions: Sequence[Region],
        policy: LinePolicy,
        *,
        class_maps: bool = False,
        clock: Clock,
    ) -> None:
        self._model = model
        self._class_maps = class_maps
        self._clock = clock
        labels = model.manifest.labels
        self._stations = [(region, Parts(labels, policy)) for region in regions]

    def inspect(self, frame: Frame) -> Inspection:
        """Take the next frame.

        Raises:
            ConfigError: the frame does not fit a trigger's configuration.
            EngineError: the engine failed.
        """
        now_ns = self._clock()
        found: list[tuple[Region, Parts, Sighting]] = []
        ended: list[tuple[Region, Parts, int]] = []
        unseen = 0
        for region, parts in self._stations:
            _begin(region, parts, now_ns)
            observation = region.trigger.observe(frame.pixels, frame.taken_ns)
            for sighting in observation.sightings:
                # Known from now on, so that its deadline runs while the model works.
                parts.begin(sighting.part, frame.monotonic_ns)
                if parts.wants(sighting.part):
                    found.append((region, parts, sighting))
            if observation.ended:
                ended += [(region, parts, part) for part in observation.ended]
            unseen += observation.unseen
        judgements: list[Judgement] = []
        if found:
            self._judge(frame, found, judgements)
        for region, parts, part in ended:
            decided = parts.end(part, self._clock())
            if decided is not None:
                judgements.append(Judgement(region.name, decided))
        return Inspection(tuple(judgements), unseen)

    def check_time(self) -> Inspection:
        """Ask the triggers for parts that no frame has shown, and decide those that are late."""
        now_ns = self._clock()
        late = []
        for region, parts in self._stations:
            _begin(region, parts, now_ns)
            late += [Judgement(region.name, decided) for decided in parts.late(now_ns)]
        return Inspection(tuple(late))

    @property
    def deadline_ns(self) -> int | None:
        """When :meth:`check_time` must be called next; None while no part is undecided."""
        deadlines = [parts.deadline_ns for _, parts in self._stations]
        return min((one for one in deadlines if one is not None), default=None)

    @property
    def is_idle(self) -> bool:
        """Whether no part waits for its verdict."""
        return self.deadline_ns is None

    def use(self, model: Model, policy: LinePolicy) -> None:
        """Judge by another model from now on; only while idle, so that no part is judged by two.

        Args:
            model: stays the caller's; the one before may be closed.
            policy: of the line, with the model's bundle.
        """
        self._model = model
        for _, parts in self._stations:
            parts.use(model.manifest.labels, policy)

    def finish(self) -> Inspection:
        """Decide the parts in view with the frames they have; no more will come."""
        now_ns = self._clock()
        return Inspection(
            tuple(
                Judgement(region.name, decided)
                for region, parts in self._stations
                for decided in parts.end_all(now_ns)
            )
        )

    def _judge(
        self,
        frame: Frame,
        found: Sequence[tuple[Region, Parts, Sighting]],
        judgements: list[Judgement],
    ) -> None:
        """Run the model on all parts of a frame at once; ``judgements`` takes what is decided."""
        crops = [_crop(frame.pixels, sighting.box) for _, _, sighting in found]
        seen = self._model.see_all(crops, with_map=self._class_maps)
        now_ns = self._clock()
        for (region, parts, sighting), one in zip(found, seen, strict=True):
            decided = parts.add(sighting.part, one, frame.number, frame.monotonic_ns, now_ns)
            if decided is not None:
                judgements.append(Judgement(region.name, decided))


def _begin(region: Region, parts: Parts, now_ns: int) -> None:
    """Open the parts that a trigger knows of without any frame, so that their time runs."""
    for begun in region.trigger.begun(now_ns):
        parts.begin(begun.part, begun.monotonic_ns)


def _crop(pixels: "UInt8Array", box: Box | None) -> "UInt8Array":
    if box is None:
        return pixels
    return pixels[box.y : box.bottom, box.x : box.right]
