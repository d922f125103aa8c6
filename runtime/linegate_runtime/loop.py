"""The live inspection: joins cameras, inspectors, record and sinks."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from linegate_bundle.errors import LinegateError
from linegate_bundle.manifest import Verdict
from linegate_runtime import machine
from linegate_runtime.capture import Capture, CaptureEndedError, next_frame_of
from linegate_runtime.exchange import Exchange
from linegate_runtime.frame import Frame
from linegate_runtime.inspector import Inspection, Inspector, Judgement
from linegate_runtime.judge import Judge
from linegate_runtime.reason import Reason
from linegate_runtime.record import Record
from linegate_runtime.rows import RowMaker
from linegate_runtime.sinks import Sink
from linegate_runtime.status import Status
from linegate_runtime.tally import Rate, Tally

_LOG = logging.getLogger(__name__)

_TICK_S = 0.25
"""How often the loop looks up while no frame comes: for signals, limits and the status."""

_IDLE_S = 1.0
"""After so long without a part the last row's latency is written."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """When to stop; None never.

    Attributes:
        parts: after so many parts.
        seconds: after so long.
    """

    parts: int | None = None
    seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class Station:
    """A camera with who judges its frames.

    Attributes:
        capture: started.
        inspector: of this camera alone.
    """

    capture: Capture
    inspector: Inspector


class Line:
    """The inspection of one or more cameras, in one thread.

    Args:
        stations: cameras and their inspectors.
        judge: what the inspectors judge by; its model is closed with the line.
        exchange: gives another one when it is asked for; parts that have begun are still
            decided by the one before.
        record: an open record.
        sinks: told of each row once it is on disk.
        status: shows people what happens.
        is_stopped: asked again and again; ends the run once it says yes.
    """

    def __init__(
        self,
        *,
        stations: Sequence[Station],
        judge: Judge,
        exchange: Exchange,
        record: Record,
        sinks: Sequence[Sink[Any]],
        status: Status,
        is_stopped: Callable[[], bool],
    ) -> None:
        self.tally = Tally()
        self._stations = list(stations)
        self._rows = RowMaker()
        self._exchange = exchange
        self._judge = judge
        self._leaving: Judge | None = None
        self._record = record
        self._sinks = sinks
        self._status = status
        self._is_stopped = is_stopped
        self._rate = Rate()
        self._turn = 0
        self._committed_at = time.monotonic()

    def run(self, limits: Limits) -> Tally:
        """Inspect until a limit is reached, all sources end or it is stopped.

        Raises:
            LinegateError: something failed that opening the camera again cannot heal.
        """
        try:
            self._run(limits)
        except LinegateError:
            # The parts in view have come this far; each leaves a row, whatever ends the run.
            with contextlib.suppress(LinegateError):
                self._finish(limits)
            raise
        return self.tally

    def _run(self, limits: Limits) -> None:
        end = None if limits.seconds is None else time.monotonic() + limits.seconds
        while self._stations and not self._is_stopped():
            left_s = _TICK_S if end is None else end - time.monotonic()
            if left_s <= 0:
                break
            found = self._next_frame(min(left_s, _TICK_S), limits)
            if time.monotonic() - self._committed_at > _IDLE_S:
                self._record.settle()
            if found is not None:
                station, frame = found
                self._rate.count()
                self._take(station, station.inspector.inspect(frame), limits)
            for station in self._stations:
                self._take(station, station.inspector.check_time(), limits)
            self._look_for_another_judge()
            if limits.parts is not None and self.tally.parts >= limits.parts:
                return
            self._show()
        self._finish(limits)

    def _finish(self, limits: Limits) -> None:
        for station in self._stations:
            self._take(station, station.inspector.finish(), limits)

    def _next_frame(self, wait_s: float, limits: Limits) -> tuple[Station, Frame] | None:
        """Wait for a frame of any camera, no longer than until a part's deadline."""
        deadlines = [station.inspector.deadline_ns for station in self._stations]
        for deadline_ns in deadlines:
            if deadline_ns is not None:
                wait_s = min(wait_s, (deadline_ns - time.monotonic_ns()) / 1e9)
        captures = [station.capture for station in self._stations]
        self._turn += 1
        try:
            found = next_frame_of(captures, max(0.0, wait_s), self._turn)
        except CaptureEndedError:
            self._retire(limits)
            return None
        return None if found is None else (self._stations[found[0]], found[1])

    def close(self) -> None:
        """Close the models that judge."""
        for judge in (self._judge, self._leaving):
            if judge is not None:
                judge.model.close()

    def _look_for_another_judge(self) -> None:
        leaving = self._leaving
        if leaving is not None:
            holding = [one for one in self._stations if not one.inspector.let_go(leaving)]
            if holding:
                return
            leaving.model.close()
            self._leaving = None
        if self._exchange.poll() is None:
            return
        judge = self._exchange.take()
        if judge is None:
            return
        objections = [station.inspector.objection(judge) for station in self._stations]
        for objection in filter(None, objections):
            _LOG.error("the new bundle is not taken: %s", objection)
            judge.model.close()
            return
        for station in self._stations:
            station.inspector.use(judge)
        self._judge, self._leaving = judge, self._judge
        _LOG.info(
            "from now on by bundle %s %s (%s)",
            judge.stamp.bundle_name,
            judge.stamp.bundle_version,
            judge.stamp.bundle_sha256[:12],
        )

    def _retire(self, limits: Limits) -> None:
        """Let cameras go whose recording is over; the parts in view are judged."""
        for station in [one for one in self._stations if one.capture.is_ended]:
            self._take(station, station.inspector.finish(), limits)
            self._stations.remove(station)

    def _take(self, station: Station, inspection: Inspection, limits: Limits) -> None:
        if inspection.unseen:
            self.tally.unseen += inspection.unseen
            _LOG.warning(
                "camera %s: %d part(s) passed without being wholly in view and have no verdict; "
                "expected room around a part in the region, and frames often enough",
                station.capture.name,
                inspection.unseen,
            )
        for judgement in inspection.judgements:
            if limits.parts is None or self.tally.parts < limits.parts:
                self._commit(station.capture.name, judgement)

    def _commit(self, camera: str, judgement: Judgement) -> None:
        decided = judgement.decided
        row = self._rows.row(camera, judgement)
        is_kept = decided.class_map is not None and row.verdict is not Verdict.ACCEPT
        class_map = decided.class_map.logits() if decided.class_map and is_kept else None
        self._record.append(row, class_map)
        since_ns = decided.begun_ns if decided.captured_ns is None else decided.captured_ns
        latency_ms = _since_ms(since_ns)
        self._committed_at = time.monotonic()
        self._record.note_latency(row.uuid, latency_ms)
        self.tally.count(row, latency_ms)
        if row.reason is Reason.FEW and self.tally.few == 1:
            _LOG.warning(
                "camera %s: part %d was judged by %d frame(s), the policy asks for more; its row "
                "says so; expected a region with room, a trigger with as many frames, or a faster "
                "camera",
                *(camera, row.part, row.frames_voted),
            )
        committed = msgspec.structs.replace(row, latency_ms=latency_ms)
        for sink in self._sinks:
            self._status.clear()
            sink.announce(committed)

    def _show(self) -> None:
        if self._status.is_due:
            now = (
                self._rate.take(),
                sum(station.capture.counts.restarts for station in self._stations),
                machine.temperature_c(),
            )
            self._status.show(self.tally.line(*now), self.tally.fields(*now))


def _since_ms(monotonic_ns: int) -> float:
    return (time.monotonic_ns() - monotonic_ns) / 1e6
