"""A part is there when a pin says so: an edge of a light barrier's or a controller's signal."""

import collections
import enum
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
from linegate_runtime.triggers.pins import open_pin

_MOST_OPEN = 1000
"""So many parts that no frame has shown yet are kept in mind while the camera is away."""


class Edge(enum.StrEnum):
    """Which change of the pin's voltage is a part."""

    RISING = "rising"
    FALLING = "falling"


class Pull(enum.StrEnum):
    """Which of the board's resistors holds the pin while nothing drives it."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


_PULL_UP = {Pull.UP: True, Pull.DOWN: False, Pull.NONE: None}
"""The same in gpiozero's words."""


class GpioOptions(CountedOptions, frozen=True, kw_only=True):
    """Options of the gpio trigger; ``frames`` in a row after the delay show a part.

    Attributes:
        pin: as gpiozero names it: 17 or "GPIO17" by the chip's numbers, "BOARD11" by the
            place on the header.
        edge: the change that is a part. A sensor that pulls the pin to ground (NPN, open
            collector) wants "falling" and ``pull`` "up".
        pull: "none" only where something always drives the pin; it picks up noise else.
        debounce_s: edges that come sooner after the last one that counted are its bounces. A
            switch that also bounces when it is let go wants longer than a part holds it,
            and always less than from one part to the next.
        delay_s: from the edge to the first frame that shows the part, so with the time that
            the camera takes to hand a frame over.
        view_s: how long the part stays in view; frames that come later, such as after a gap
            of the camera, do not show it. None: until the next part comes.
    """

    pin: int | str
    edge: Edge = Edge.RISING
    pull: Pull = Pull.DOWN
    debounce_s: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 0.01
    delay_s: Annotated[float, msgspec.Meta(ge=0.0, le=3600.0)] = 0.0
    view_s: Annotated[float, msgspec.Meta(gt=0.0, le=3600.0)] | None = None


class EdgeFilter:
    """Tells edges that count from bounces.

    It errs to the safe side: noise after a quiet time counts, so that no part is lost for it.

    Args:
        debounce_ns: edges that come sooner after the last one that counted do not count.
    """

    def __init__(self, debounce_ns: int) -> None:
        self._debounce_ns = debounce_ns
        self._counted_ns: int | None = None

    def accepts(self, edge_ns: int) -> bool:
        """Say whether the next edge counts; times must not fall."""
        if self._counted_ns is not None and edge_ns - self._counted_ns < self._debounce_ns:
            return False
        self._counted_ns = edge_ns
        return True


class GpioTrigger(Trigger[GpioOptions]):
    """Takes an edge on a pin as a part; see :class:`GpioOptions`.

    For cameras only: edges have the time of ``time.monotonic_ns()``, and so must the frames
    in ``taken_ns``; frames of a recording show no part.

    A part is told of by :meth:`begun` as soon as its edge is there, though it comes into
    view ``delay_s`` later and its time counts from then. So several parts may be on their
    way, but a frame shows one at most: the newest that has come. The one before ends then, with
    the frames that it has, for a frame of the next part says nothing about it.
    """

    Options: ClassVar[type[TriggerOptions]] = GpioOptions

    def __init__(self, options: GpioOptions, region: Box | None = None) -> None:
        self._options = options
        self._frames = options.frames or 1
        self._region = region
        self._delay_ns = round(options.delay_s * 1e9)
        self._view_ns = None if options.view_s is None else round(options.view_s * 1e9)
        self._count = 0
        self._told = 0
        self._open: collections.deque[Begun] = collections.deque()
        self._shown = 0
        self._edges = _Edges(round(options.debounce_s * 1e9))
        self._pin = open_pin(options.pin, pull_up=_PULL_UP[options.pull])
        self._pin.listen(self._edges.note, is_rising=options.edge is Edge.RISING)

    def begun(self, now_ns: int) -> tuple[Begun, ...]:
        """See :meth:`Trigger.begun`."""
        self._take_edges()
        new = tuple(part for part in self._open if part.part > self._told)
        self._told = self._count
        # While the camera is away, the oldest are forgotten; who was told of them decides them.
        while len(self._open) > _MOST_OPEN and self._open[1].monotonic_ns <= now_ns:
            self._end()
        return new

    def observe(self, pixels: UInt8Array, taken_ns: int) -> Observation:
        """See :meth:`Trigger.observe`; ``taken_ns`` must be of ``time.monotonic_ns()``."""
        check_region(self._region, pixels)
        self._take_edges()
        gone = []
        while self._is_over(taken_ns):
            gone.append(self._end())
        # A part that nobody was told of gets no verdict, so it must be counted.
        ended = [part for part in gone if part <= self._told]
        unseen = len(gone) - len(ended)
        present = self._in_view(taken_ns)
        if present is not None:
            self._told = max(self._told, present)
            self._shown += 1
            if self._shown == self._frames:
                ended.append(self._end())
        return Observation(
            sightings=() if present is None else (Sighting(part=present, box=self._region),),
            ended=tuple(ended),
            unseen=unseen,
            state=self._state(present),
        )

    def close(self) -> None:
        """Free the pin; a second call does nothing."""
        self._pin.leave(self._edges.note)

    def _take_edges(self) -> None:
        """Make parts of the edges that have come; they come in another thread."""
        while self._edges.counted:
            self._count += 1
            edge_ns = self._edges.counted.popleft()
            self._open.append(Begun(self._count, edge_ns + self._delay_ns))

    def _is_over(self, taken_ns: int) -> bool:
        """Say whether the oldest part is out of view in a frame."""
        if len(self._open) > 1 and self._open[1].monotonic_ns <= taken_ns:
            return True
        if not self._open or self._view_ns is None:
            return False
        return taken_ns - self._open[0].monotonic_ns > self._view_ns

    def _in_view(self, taken_ns: int) -> int | None:
        is_there = bool(self._open) and self._open[0].monotonic_ns <= taken_ns
        return self._open[0].part if is_there else None

    def _end(self) -> int:
        self._shown = 0
        return self._open.popleft().part

    def _state(self, present: int | None) -> str:
        if present is not None:
            return f"part {present} is in view"
        if self._open:
            return f"part {self._open[0].part} is on its way"
        return f"waiting for a {self._options.edge} edge on pin {self._options.pin}"


class _Edges:
    """Takes the times of edges in gpiozero's thread.

    Attributes:
        counted: ``time.monotonic_ns()`` of edges that count; a deque, because its ``append``
            and ``popleft`` are safe between threads.
    """

    def __init__(self, debounce_ns: int) -> None:
        self.counted: collections.deque[int] = collections.deque()
        self._filter = EdgeFilter(debounce_ns)

    def note(self, now_ns: int) -> None:
        """Take an edge."""
        # Filtered here, so that a pin that chatters does not fill the memory.
        if self._filter.accepts(now_ns):
            self.counted.append(now_ns)
