"""A part is there every so many seconds: for turntables and belts that index without a signal."""

import collections
from typing import Annotated, ClassVar

import msgspec

from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.geometry import Box
from linegate_runtime.triggers.base import (
    Begun,
    CountedOptions,
    Observation,
    Sighting,
    Trigger,
    TriggerOptions,
    check_region,
)

MOST_AT_ONCE = 100
"""So many parts one call of ``begun`` tells of. Who has not asked for longer was stopped."""

_MOST_OPEN = 1000
"""So many parts that no frame has shown yet are kept in mind while the camera is away."""


class IntervalOptions(CountedOptions, frozen=True, kw_only=True):
    """Options of the interval trigger; ``frames`` in a row from its time on show a part.

    Attributes:
        period_s: seconds from one part to the next.
    """

    period_s: Annotated[float, msgspec.Meta(ge=0.001, le=86_400.0)]


class IntervalTrigger(Trigger[IntervalOptions]):
    """Takes a part as come each period; see :class:`IntervalOptions`.

    Part n comes n periods after the start, and the first frames from then on show it. A
    frame shows no part but the newest: where frames are too slow, the part before has ended.
    A part's number is the count of periods, so neither delays nor rounding add up.

    The start is the first frame; before it, the first call of :meth:`begun`. Parts that
    came before the first frame keep their numbers: that frame then shows the newest of them,
    and the periods count from there.

    Which part a frame shows is decided by the frames' clock alone. :meth:`begun` has another
    clock, and a recording may even run faster or slower than that. The trigger therefore
    takes the newest frame as taken at the last call of :meth:`begun`, which the inspector
    makes just before it shows the frame, and lets time pass from there; with a camera this
    is exact to the age of that frame. A part has one number on both clocks, so it is told of
    once: by :meth:`begun`, or by the frame that shows it first.

    No part that came is silently lost. It is told of by :meth:`begun`, even if no frame ever
    shows it, or counted in ``Observation.unseen``: where frames skip it before :meth:`begun`
    was asked, as in gaps of a recording, and where more than :data:`MOST_AT_ONCE` came since
    the last call, the oldest of them, for whose verdict nobody can wait any more.
    """

    Options: ClassVar[type[TriggerOptions]] = IntervalOptions

    def __init__(self, options: IntervalOptions, region: Box | None = None) -> None:
        self._period_ns = round(options.period_s * 1e9)
        self._frames = options.frames or 1
        self._region = region
        self._clock = _FramesClock()
        self._start_ns: int | None = None
        self._newest = 0
        # The oldest fall out by themselves; who was told of them decides them at their deadline.
        self._open: collections.deque[int] = collections.deque(maxlen=_MOST_OPEN)
        self._shown = 0
        self._missed = 0

    def begun(self, now_ns: int) -> tuple[Begun, ...]:
        """See :meth:`Trigger.begun`."""
        here_ns = self._clock.at(now_ns)
        if self._start_ns is None:
            self._start_ns = here_ns
        newest = (here_ns - self._start_ns) // self._period_ns
        if newest <= self._newest:
            return ()
        first = max(self._newest + 1, newest - MOST_AT_ONCE + 1)
        self._missed += first - self._newest - 1
        self._newest = newest
        parts = range(first, newest + 1)
        self._open.extend(parts)
        start_ns = self._start_ns - self._clock.ahead_ns
        return tuple(Begun(part, start_ns + part * self._period_ns) for part in parts)

    def observe(self, pixels: UInt8Array, taken_ns: int) -> Observation:
        """See :meth:`Trigger.observe`."""
        check_region(self._region, pixels)
        if self._start_ns is None or not self._clock.has_frames:
            self._start_ns = taken_ns - self._newest * self._period_ns
        self._clock.note_frame(taken_ns)
        present = (taken_ns - self._start_ns) // self._period_ns
        ended = self._end_before(present)
        if present > self._newest:
            self._missed += present - self._newest - 1
            self._newest = present
            self._open.append(present)
        is_in_view = present > 0 and bool(self._open) and self._open[0] == present
        if is_in_view:
            self._shown += 1
            if self._shown == self._frames:
                ended += self._end_before(present + 1)
        unseen, self._missed = self._missed, 0
        return Observation(
            sightings=(Sighting(part=present, box=self._region),) if is_in_view else (),
            ended=ended,
            unseen=unseen,
            state=f"part {present} is in view" if is_in_view else "waiting for the next period",
        )

    def _end_before(self, part: int) -> tuple[int, ...]:
        """Forget the parts with lower numbers and return them."""
        ended = []
        while self._open and self._open[0] < part:
            ended.append(self._open.popleft())
            self._shown = 0
        return tuple(ended)


class _FramesClock:
    """The clock of the frames, which need not be the monotonic one nor run as fast.

    Attributes:
        ahead_ns: its time minus monotonic time, as of the newest frame.
    """

    def __init__(self) -> None:
        self.ahead_ns = 0
        self._taken_ns: int | None = None
        self._now_ns: int | None = None

    @property
    def has_frames(self) -> bool:
        """Say whether it is known what the clock shows."""
        return self._taken_ns is not None

    def at(self, now_ns: int) -> int:
        """Return what it shows at a monotonic time; the latter, if nothing is known yet."""
        if self._now_ns is None and self._taken_ns is not None:
            self.ahead_ns = self._taken_ns - now_ns
        self._now_ns = now_ns
        return now_ns + self.ahead_ns

    def note_frame(self, taken_ns: int) -> None:
        """Set it by a frame, which came just after the newest monotonic time."""
        self._taken_ns = taken_ns
        if self._now_ns is not None:
            self.ahead_ns = taken_ns - self._now_ns
