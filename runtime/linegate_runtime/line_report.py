"""What a line tells of itself while it runs: to health, metrics and outputs."""

import bisect
from collections.abc import Mapping

import msgspec

from linegate_runtime.sinks.base import LineState

EDGES_MS = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)
"""Upper edges of the classes that durations are counted in; longer ones have a class beyond."""


class Histogram(msgspec.Struct):
    """Durations by class, since the start.

    Attributes:
        counts: by class of :data:`EDGES_MS`, and beyond.
        sum_ms: of all.
    """

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(EDGES_MS) + 1))
    sum_ms: float = 0.0

    def count(self, duration_ms: float) -> None:
        """Count a duration."""
        self.counts[bisect.bisect_left(EDGES_MS, duration_ms)] += 1
        self.sum_ms += duration_ms


class SinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a sink does.

    Attributes:
        name: of the sink.
        problem: why it takes nothing just now, as a sentence; None if it does.
        waiting: how many parts it has not got yet.
    """

    name: str
    problem: str | None
    waiting: int


class CameraReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a camera does.

    Attributes:
        name: of the camera.
        frames, restarts, stale, repeated, black: see
            :class:`~linegate_runtime.capture.CaptureCounts`.
        frame_age_ms: since its newest frame had come in; None before the first.
    """

    name: str
    frames: int
    restarts: int
    stale: int
    repeated: int
    black: int
    frame_age_ms: float | None


class LineReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a line does; all counts are since the start of this run.

    Attributes:
        state: whether parts can be accepted, and how many got which verdict.
        reasons: how many parts got their verdict for which reason.
        unseen: parts that passed without being wholly in view, and have none.
        cameras: of each.
        durations: by stage: ``age`` of the frame at the verdict, ``wait`` of it for the line,
            ``model``, and ``record`` from the frame's capture until the row was on disk.
        unrecorded: parts that wait for the disk.
        alarms: what happened and somebody should know, though the line works.
        bundle: name, version and SHA-256 of what judges.
        record: the record's file.
    """

    state: LineState
    reasons: Mapping[str, int]
    unseen: int
    cameras: tuple[CameraReport, ...]
    durations: Mapping[str, Histogram]
    unrecorded: int
    alarms: tuple[str, ...]
    bundle: tuple[str, str, str]
    record: str
