"""From frames to decisions on parts; no input or output, so the same frames give the same."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from linegate_runtime.colour_check import ColourCheck
from linegate_runtime.frame import Frame
from linegate_runtime.geometry import Box
from linegate_runtime.judge import Judge, Stamp
from linegate_runtime.model import Seen
from linegate_runtime.part import Look, PartDecision, Parts
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
        stamp: of the judge that made it.
    """

    region: str
    decided: PartDecision
    stamp: Stamp


class Inspection(msgspec.Struct, frozen=True):
    """What one frame led to.

    Attributes:
        judgements: parts that were decided.
        unseen: how many parts have gone that were never wholly in view.
    """

    judgements: tuple[Judgement, ...] = ()
    unseen: int = 0


class _Found(NamedTuple):
    """A part that a frame shows and that needs it, with the policy that the part began with."""

    region: Region
    parts: Parts
    sighting: Sighting
    policy: LinePolicy


class Inspector:
    """Shows the frames of one camera to its triggers and what they find to the model.

    Args:
        judge: its model stays the caller's.
        regions: with an open trigger each; they stay the caller's too.
        class_maps: whether decisions come with the class map of their newest frame.
        pictures: whether they come with the picture that the model saw of it.
        clock: gives ``time.monotonic_ns()``.
    """

    def __init__(
        self,
        judge: Judge,
        regions: Sequence[Region],
        *,
        class_maps: bool = False,
        pictures: bool = False,
        clock: Clock,
    ) -> None:
        self._judges = [judge]
        self._colour = ColourCheck(judge.model.manifest)
        self._class_maps = class_maps
        self._pictures = pictures
        self._clock = clock
        self._stations = [(region, Parts(judge.policy)) for region in regions]

    def inspect(self, frame: Frame) -> Inspection:
        """Take the next frame.

        Raises:
            ConfigError: the frame does not fit a trigger's configuration, or from the start the
                camera's pictures are coloured and those of the training grey, or the reverse.
            EngineError: the engine failed.
        """
        now_ns = self._clock()
        found: list[_Found] = []
        ended: list[tuple[Region, Parts, int]] = []
        unseen = 0
        for region, parts in self._stations:
            _begin(region, parts, now_ns)
            observation = region.trigger.observe(frame.pixels, frame.taken_ns)
            for sighting in observation.sightings:
                # Known from now on, so that its deadline runs while the model works.
                parts.begin(sighting.part, frame.monotonic_ns)
                policy = parts.policy_of(sighting.part)
                if policy is not None:
                    found.append(_Found(region, parts, sighting, policy))
            if observation.ended:
                ended += [(region, parts, part) for part in observation.ended]
            unseen += observation.unseen
        judgements: list[Judgement] = []
        if found:
            self._judge(frame, found, judgements)
        for region, parts, part in ended:
            decided = parts.end(part, self._clock())
            if decided is not None:
                judgements.append(self._judgement(region, decided))
        return Inspection(tuple(judgements), unseen)

    def check_time(self) -> Inspection:
        """Ask the triggers for parts that no frame has shown, and decide those that are late."""
        now_ns = self._clock()
        late = []
        for region, parts in self._stations:
            _begin(region, parts, now_ns)
            late += [self._judgement(region, decided) for decided in parts.late(now_ns)]
        return Inspection(tuple(late))

    @property
    def regions(self) -> list[Region]:
        """The camera's regions."""
        return [region for region, _ in self._stations]

    @property
    def deadline_ns(self) -> int | None:
        """When :meth:`check_time` must be called next; None while no part is undecided."""
        deadlines = [parts.deadline_ns for _, parts in self._stations]
        return min((one for one in deadlines if one is not None), default=None)

    def objection(self, judge: Judge) -> str | None:
        """Return why this camera's pictures are not for a judge; None if they are."""
        return self._colour.objection(judge.model.manifest)

    def use(self, judge: Judge) -> None:
        """Judge the parts that begin from now on by another model and policy.

        Args:
            judge: its model stays the caller's. The one before is still needed until
                :meth:`let_go` says that it is not: no part is judged by two.
        """
        self._judges.append(judge)
        self._colour.exchange(judge.model.manifest)
        for _, parts in self._stations:
            parts.use(judge.policy)

    def let_go(self, judge: Judge) -> bool:
        """Let a judge go that was replaced, unless a part waits for its verdict; say whether."""
        if any(parts.awaits(judge.policy) for _, parts in self._stations):
            return False
        self._judges = [one for one in self._judges if one is not judge]
        return True

    def finish(self) -> Inspection:
        """Decide the parts in view with the frames they have; no more will come."""
        now_ns = self._clock()
        return Inspection(
            tuple(
                self._judgement(region, decided)
                for region, parts in self._stations
                for decided in parts.end_all(now_ns)
            )
        )

    def _judge(self, frame: Frame, found: Sequence["_Found"], judgements: list[Judgement]) -> None:
        """Run the model on all parts of a frame at once; ``judgements`` takes what is decided."""
        if not self._colour.fits(_crop(frame.pixels, found[0].sighting.box), self._clock()):
            return
        looked_ns = self._clock()
        seen: list[tuple[_Found, Seen]] = []
        for judge in self._judges:
            mine = found
            if len(self._judges) > 1:  # for a moment, after an exchange
                mine = [one for one in found if one.policy is judge.policy]
            crops = [_crop(frame.pixels, one.sighting.box) for one in mine]
            given = judge.model.see_all(crops, with_map=self._class_maps)
            seen += zip(mine, given, strict=True)
        # Nothing is decided before all went well: a part without a row would be lost.
        now_ns = self._clock()
        look = Look(
            frame_number=frame.number,
            captured_ns=frame.monotonic_ns,
            waited_ns=looked_ns - frame.monotonic_ns,
            model_ns=now_ns - looked_ns,
        )
        for one, what in seen:
            if self._pictures:
                picture = _crop(frame.pixels, one.sighting.box)
                look = msgspec.structs.replace(look, picture=picture)
            decided = one.parts.add(one.sighting.part, what, look, now_ns)
            if decided is not None:
                judgements.append(self._judgement(one.region, decided))

    def _judgement(self, region: Region, decided: PartDecision) -> Judgement:
        judge = next(one for one in self._judges if one.policy is decided.policy)
        return Judgement(region.name, decided, judge.stamp)


def _begin(region: Region, parts: Parts, now_ns: int) -> None:
    """Open the parts that a trigger knows of without any frame, so that their time runs."""
    for begun in region.trigger.begun(now_ns):
        parts.begin(begun.part, begun.monotonic_ns)


def _crop(pixels: "UInt8Array", box: Box | None) -> "UInt8Array":
    if box is None:
        return pixels
    return pixels[box.y : box.bottom, box.x : box.right]
