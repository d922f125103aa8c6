"""The live inspection: joins camera, inspector, record and sinks."""

import collections
import dataclasses
import datetime as dt
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from linegate_bundle.bundle import Bundle
from linegate_bundle.manifest import Verdict
from linegate_runtime.capture import Capture, CaptureEndedError
from linegate_runtime.inspector import Inspection, Inspector
from linegate_runtime.part import PartDecision
from linegate_runtime.record import PartRow, Record
from linegate_runtime.sinks import Sink
from linegate_runtime.status import Status

_LOG = logging.getLogger(__name__)

_TICK_S = 0.25
"""How often the loop looks up while no frame comes: for signals, limits and the status."""

_IDLE_S = 1.0
"""After so long without a part the last row's latency is written."""

_KEPT_LATENCIES = 10_000
"""Of so many parts the summary's quantiles are taken."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """When to stop; None never.

    Attributes:
        parts: after so many parts.
        seconds: after so long.
    """

    parts: int | None = None
    seconds: float | None = None


@dataclasses.dataclass
class Tally:
    """What came out so far.

    Attributes:
        verdicts: parts by verdict.
        unseen: parts that passed without being wholly in view.
        latencies_ms: of the newest parts, from capture to committed row.
        frame_age_ms: of the newest part.
    """

    verdicts: dict[Verdict, int] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(Verdict, 0)
    )
    unseen: int = 0
    latencies_ms: collections.deque[float] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=_KEPT_LATENCIES)
    )
    frame_age_ms: float = 0.0

    @property
    def parts(self) -> int:
        """All parts that have a verdict."""
        return sum(self.verdicts.values())

    def latency_ms(self, share: float) -> float | None:
        """Return the latency that the given share of parts stays below; None without parts."""
        if not self.latencies_ms:
            return None
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def summary(self) -> str:
        """Return a sentence for people."""
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.verdicts.items())
        text = f"{self.parts} parts: {counts}"
        if self.unseen:
            text += f"; {self.unseen} passed without being wholly in view"
        if self.latencies_ms:
            median, p99 = self.latency_ms(0.5), self.latency_ms(0.99)
            text += f"; capture to record: median {median:.1f} ms, p99 {p99:.1f} ms"
        return text


class Line:
    """One camera's inspection.

    Args:
        capture: a started capture.
        inspector: judges its frames.
        bundle: named in every row.
        record: an open record.
        sinks: told of each row once it is on disk.
        status: shows people what happens.
    """

    def __init__(
        self,
        *,
        capture: Capture,
        inspector: Inspector,
        bundle: Bundle,
        record: Record,
        sinks: Sequence[Sink[Any]],
        status: Status,
    ) -> None:
        self.tally = Tally()
        self._capture = capture
        self._inspector = inspector
        self._bundle = bundle
        self._record = record
        self._sinks = sinks
        self._status = status
        self._run = str(uuid.uuid4())
        self._rate = _Rate()
        self._committed_at = time.monotonic()

    def run(self, limits: Limits, is_stopped: Callable[[], bool]) -> Tally:
        """Inspect until a limit is reached, the source ends or ``is_stopped()`` says so.

        Raises:
            LinegateError: something failed that opening the camera again cannot heal.
        """
        end = None if limits.seconds is None else time.monotonic() + limits.seconds
        while not is_stopped():
            tick_s = _TICK_S if end is None else min(_TICK_S, end - time.monotonic())
            if tick_s <= 0:
                break
            try:
                frame = self._capture.next_frame(tick_s)
            except CaptureEndedError:
                break
            if time.monotonic() - self._committed_at > _IDLE_S:
                self._record.settle()
            if frame is not None:
                self._rate.count()
                self._take(self._inspector.inspect(frame), limits)
            if limits.parts is not None and self.tally.parts >= limits.parts:
                return self.tally
            self._show()
        self._take(self._inspector.finish(), limits)
        return self.tally

    def _take(self, inspection: Inspection, limits: Limits) -> None:
        if inspection.unseen:
            self.tally.unseen += inspection.unseen
            _LOG.warning(
                "%d part(s) passed without being wholly in view and have no verdict; expected "
                "room around a part in the region, and frames often enough",
                inspection.unseen,
            )
        for decision in inspection.decisions:
            if limits.parts is None or self.tally.parts < limits.parts:
                self._commit(decision)

    def _commit(self, decided: PartDecision) -> None:
        row = self._row(decided)
        kept = None if row.verdict is Verdict.ACCEPT else decided.class_map
        self._record.append(row, kept)
        latency_ms = _since_ms(decided.captured_ns)
        self._committed_at = time.monotonic()
        self._record.note_latency(row.uuid, latency_ms)
        self.tally.verdicts[row.verdict] += 1
        self.tally.latencies_ms.append(latency_ms)
        self.tally.frame_age_ms = row.frame_age_ms
        committed = msgspec.structs.replace(row, latency_ms=latency_ms)
        for sink in self._sinks:
            self._status.clear()
            sink.announce(committed)

    def _row(self, decided: PartDecision) -> PartRow:
        manifest = self._bundle.manifest
        decision = decided.decision
        names = [label.name for label in manifest.labels]
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        return PartRow(
            uuid=str(uuid.uuid4()),
            run=self._run,
            part=decided.part,
            time_utc=now.replace("+00:00", "Z"),
            monotonic_ns=time.monotonic_ns(),
            camera=self._capture.name,
            frame_number=decided.frame_number,
            label=decision.label,
            verdict=decision.verdict,
            probabilities=dict(zip(names, decision.probabilities, strict=True)),
            defect_probability=decision.defect_probability,
            frames_voted=decided.frames_voted,
            frame_age_ms=_since_ms(decided.captured_ns),
            latency_ms=None,
            bundle_name=manifest.name,
            bundle_version=manifest.version,
            bundle_sha256=self._bundle.sha256,
        )

    def _show(self) -> None:
        if not self._status.is_due:
            return
        tally, restarts = self.tally, self._capture.counts.restarts
        counts = " · ".join(f"{verdict} {count}" for verdict, count in tally.verdicts.items())
        self._status.show(
            f"{self._rate.take():.1f} frames/s · parts {tally.parts} · {counts} · "
            f"age {tally.frame_age_ms:.0f} ms · restarts {restarts}"
        )


class _Rate:
    """Frames a second since it was asked last."""

    def __init__(self) -> None:
        self._frames = 0
        self._since = time.monotonic()

    def count(self) -> None:
        self._frames += 1

    def take(self) -> float:
        now = time.monotonic()
        rate = self._frames / max(now - self._since, 1e-9)
        self._frames, self._since = 0, now
        return rate


def _since_ms(monotonic_ns: int) -> float:
    return (time.monotonic_ns() - monotonic_ns) / 1e6
