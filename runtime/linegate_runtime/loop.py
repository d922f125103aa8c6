"""The live inspection: joins cameras, inspectors, record and outputs."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from linegate_bundle.errors import LinegateError
from linegate_bundle.manifest import Verdict
from linegate_runtime import machine
from linegate_runtime.capture import Capture, CaptureEndedError, next_frame_of
from linegate_runtime.exchange import Exchange
from linegate_runtime.frame import Frame
from linegate_runtime.inspector import Inspection, Inspector, Judgement
from linegate_runtime.judge import Judge
from linegate_runtime.line_report import CameraReport, LineReport
from linegate_runtime.outputs import LineOutputs
from linegate_runtime.part_row import PartRow
from linegate_runtime.pictures import Pictures
from linegate_runtime.readiness import NOTHING_ACCEPTED, Sight, blind_reason
from linegate_runtime.reason import Reason
from linegate_runtime.record import Entry
from linegate_runtime.recorder import Recorder
from linegate_runtime.rows import RowMaker
from linegate_runtime.service_manager import ServiceManager
from linegate_runtime.sinks import LineState
from linegate_runtime.status import Status
from linegate_runtime.tally import Rate, Tally

_LOG = logging.getLogger(__name__)

_TICK_S = 0.02
"""How often the loop looks up while no frame comes: gates want to hear that it is alive."""

_PULSE_S = 0.1
"""So often outputs are told how the line does."""


_UNJUDGED = "a part has passed without a verdict"


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
        sight: whether it gives frames.
    """

    capture: Capture
    inspector: Inspector
    sight: Sight = dataclasses.field(default_factory=Sight)


@dataclasses.dataclass(frozen=True)
class Desk:
    """Where the verdicts of a line go.

    Attributes:
        recorder: puts them on record.
        outputs: are told.
        pictures: keeps what was seen; None if nothing is kept.
        tally: counts those that are on record.
    """

    recorder: Recorder
    outputs: LineOutputs
    pictures: Pictures | None
    tally: Tally


class Line:
    """The inspection of one or more cameras, in one thread.

    Args:
        stations: cameras and their inspectors.
        judge: what the inspectors judge by; its model is closed with the line.
        exchange: gives another one when it is asked for; parts that have begun are still
            decided by the one before.
        desk: where the verdicts go.
        status: shows people what happens.
        manager: is told that the line is alive.
        is_stopped: asked again and again; ends the run once it says yes.
    """

    def __init__(
        self,
        *,
        stations: Sequence[Station],
        judge: Judge,
        exchange: Exchange,
        desk: Desk,
        status: Status,
        manager: ServiceManager,
        is_stopped: Callable[[], bool],
    ) -> None:
        self.tally = desk.tally
        self._desk = desk
        self._stations = list(stations)
        self._rows = RowMaker()
        self._exchange = exchange
        self._judge = judge
        self._leaving: Judge | None = None
        self._status = status
        self._manager = manager
        self._is_stopped = is_stopped
        self._rate = Rate()
        self._turn = 0
        self._parts = 0
        self._has_warned_of_few = False
        self._reasons: list[str] = []
        self._pulse_at = 0.0
        self._unjudged_until_ns = 0

    def run(self, limits: Limits) -> Tally:
        """Inspect until a limit is reached, all sources end or it is stopped.

        Raises:
            LinegateError: something failed that opening the camera again cannot heal.
            BrokenPipeError: the reader of the standard output has gone.
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
            looked_ns = time.monotonic_ns()
            self._manager.beat()
            if found is not None:
                found[0].sight.note(looked_ns)
            # Before the frame is judged: a camera that has just come back sees again.
            self._beat(looked_ns)
            if found is not None:
                station, frame = found
                self._rate.count()
                self._take(station, station.inspector.inspect(frame), limits)
            for station in self._stations:
                self._take(station, station.inspector.check_time(), limits)
            self._look_for_another_judge()
            if limits.parts is not None and self._parts >= limits.parts:
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

    def _beat(self, looked_ns: int) -> None:
        """Tell outputs that the line is alive, and whether parts can be accepted.

        Args:
            looked_ns: when it was last looked for frames; what the model took since then is no
                time without any.
        """
        problem = self._desk.recorder.problem
        self._reasons = [
            *([] if problem is None else [problem]),
            *(
                blind_reason(station.capture.name)
                for station in self._stations
                if station.sight.is_blind(looked_ns)
            ),
            *self._desk.outputs.problems,
            *([_UNJUDGED] if looked_ns < self._unjudged_until_ns else []),
        ]
        self._desk.outputs.beat(self._reasons)
        if self._desk.outputs.has_no_reader:
            raise BrokenPipeError
        if self._desk.outputs.has_process and looked_ns / 1e9 >= self._pulse_at:
            self._pulse_at = looked_ns / 1e9 + _PULSE_S
            self._desk.outputs.pulse(self._report(looked_ns))

    def _report(self, now_ns: int) -> LineReport:
        stamp, recorder, pictures = self._judge.stamp, self._desk.recorder, self._desk.pictures
        alarms = [recorder.alarm]
        if pictures is not None:
            alarms.append(pictures.problem)
            if pictures.left_out:
                alarms.append(f"{pictures.left_out} picture(s) were not kept: the disk is too slow")
        return LineReport(
            state=LineState(
                is_ready=not self._reasons,
                reasons=tuple(self._reasons),
                parts=self.tally.verdicts,
            ),
            reasons={reason.value: count for reason, count in self.tally.reasons.items()},
            unseen=self.tally.unseen,
            cameras=tuple(_camera_report(station, now_ns) for station in self._stations),
            durations=self.tally.durations,
            unrecorded=recorder.depth,
            alarms=tuple(alarm for alarm in alarms if alarm),
            bundle=(stamp.bundle_name, stamp.bundle_version, stamp.bundle_sha256),
            record=str(recorder.path),
        )

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
            # It may be on its way to a gate that lets through what it is not told to reject.
            self._unjudged_until_ns = time.monotonic_ns() + round(1e9 * self._desk.outputs.reach_s)
            _LOG.warning(
                "camera %s: %d part(s) passed without being wholly in view and have no verdict; "
                "expected room around a part in the region, and frames often enough",
                station.capture.name,
                inspection.unseen,
            )
        for judgement in inspection.judgements:
            if limits.parts is None or self._parts < limits.parts:
                self._hand_over(station.capture.name, judgement)

    def _hand_over(self, camera: str, judgement: Judgement) -> None:
        """Give a verdict to the record and to who acts on it."""
        decided = judgement.decided
        row = self._rows.row(camera, judgement)
        if row.verdict is Verdict.ACCEPT and self._reasons:
            row = msgspec.structs.replace(row, verdict=Verdict.REJECT, reason=Reason.OVERRIDE)
        pictures = self._desk.pictures
        if pictures is not None and decided.picture is not None:
            row = msgspec.structs.replace(row, picture=pictures.offer(row, decided.picture))
        is_accepted = row.verdict is Verdict.ACCEPT
        self._desk.outputs.expect(row.uuid, decided.begun_ns, is_accepted=is_accepted)
        is_kept = decided.class_map is not None and not is_accepted
        class_map = decided.class_map.logits() if decided.class_map and is_kept else None
        self._desk.recorder.put(Entry(row, class_map))
        self._parts += 1
        if row.reason is Reason.FEW:
            self._warn_of_few(row)

    def _warn_of_few(self, row: PartRow) -> None:
        if self._has_warned_of_few:
            return
        self._has_warned_of_few = True
        _LOG.warning(
            "camera %s: part %d was judged by %d frame(s), the policy asks for more; its row "
            "says so; expected a region with room, a trigger with as many frames, or a faster "
            "camera",
            *(row.camera, row.part, row.frames_voted),
        )

    def _show(self) -> None:
        if self._status.is_due:
            now = (
                self._rate.take(),
                sum(station.capture.counts.restarts for station in self._stations),
                machine.temperature_c(),
            )
            text = self.tally.line(*now)
            if self._reasons:
                text += f" · {NOTHING_ACCEPTED}: {'; '.join(self._reasons)}"
            self._status.show(text, {**self.tally.fields(*now), "reasons": self._reasons})


def _camera_report(station: Station, now_ns: int) -> CameraReport:
    counts, last_ns = station.capture.counts, station.sight.last_ns
    return CameraReport(
        name=station.capture.name,
        frames=counts.frames,
        restarts=counts.restarts,
        stale=counts.stale,
        repeated=counts.repeated,
        black=counts.black,
        frame_age_ms=None if last_ns is None else (now_ns - last_ns) / 1e6,
    )
