"""What came out of a run so far, for people."""

import collections
import dataclasses
import time

from linegate_bundle.manifest import Verdict
from linegate_runtime.line_report import Histogram
from linegate_runtime.part_row import PartRow
from linegate_runtime.reason import Reason

_KEPT_TIMES = 1_000
"""Of so many parts the quantiles are taken."""

_STAGES = ("age", "wait", "model", "record")


def _times() -> collections.deque[float]:
    return collections.deque(maxlen=_KEPT_TIMES)


@dataclasses.dataclass
class Tally:
    """What came out so far, of the parts that are on record.

    Attributes:
        verdicts: parts by verdict.
        reasons: parts by why they have it.
        unseen: parts that passed without being wholly in view.
        durations: all of them by stage, see :class:`~linegate_runtime.line_report.LineReport`.
        latencies_ms: of the newest parts, from capture to committed row.
        ages_ms: of the newest parts, from the capture of the frame to the verdict.
    """

    verdicts: dict[Verdict, int] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(Verdict, 0)
    )
    reasons: dict[Reason, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(Reason, 0))
    unseen: int = 0
    durations: dict[str, Histogram] = dataclasses.field(
        default_factory=lambda: {stage: Histogram() for stage in _STAGES}
    )
    latencies_ms: collections.deque[float] = dataclasses.field(default_factory=_times)
    ages_ms: collections.deque[float] = dataclasses.field(default_factory=_times)

    @property
    def parts(self) -> int:
        """All parts that have a verdict."""
        return sum(self.verdicts.values())

    @property
    def few(self) -> int:
        """Parts judged by fewer frames than the policy asks for."""
        return self.reasons[Reason.FEW]

    @property
    def late(self) -> int:
        """Parts whose deadline passed before their verdict."""
        return self.reasons[Reason.LATE]

    @property
    def overridden(self) -> int:
        """Parts that were rejected because the line was in its safe state."""
        return self.reasons[Reason.OVERRIDE]

    def count(self, row: PartRow, committed_ns: int) -> None:
        """Count a part that is on record since then, by ``time.monotonic_ns()``."""
        self.verdicts[row.verdict] += 1
        self.reasons[row.reason] += 1
        latency_ms = (committed_ns - row.monotonic_ns) / 1e6 + (row.frame_age_ms or 0.0)
        self.latencies_ms.append(latency_ms)
        self.durations["record"].count(latency_ms)
        if row.frame_age_ms is not None:
            self.ages_ms.append(row.frame_age_ms)
        for stage, duration_ms in (
            ("age", row.frame_age_ms),
            ("wait", row.wait_ms),
            ("model", row.model_ms),
        ):
            if duration_ms is not None:
                self.durations[stage].count(duration_ms)

    def summary(self) -> str:
        """Return a sentence about the whole run."""
        counts = [f"{count} {verdict}" for verdict, count in self.verdicts.items()]
        text = f"{self.parts} parts: {', '.join(counts)}"
        if self.few:
            text += f"; {self.few} judged by few frames"
        if self.late:
            text += f"; {self.late} late"
        if self.overridden:
            text += f"; {self.overridden} rejected because the line was in its safe state"
        if self.unseen:
            text += f"; {self.unseen} passed without being wholly in view"
        median, p99 = quantile(self.latencies_ms, 0.5), quantile(self.latencies_ms, 0.99)
        if median is not None:
            text += f"; capture to record: median {median:.1f} ms, p99 {p99:.1f} ms"
        return text

    def line(self, frames_per_second: float, restarts: int, temperature_c: float | None) -> str:
        """Return a short line about this moment."""
        parts = [
            f"{frames_per_second:.1f} frames/s",
            f"parts {self.parts}",
            *(f"{verdict} {count}" for verdict, count in self.verdicts.items()),
            *([f"late {self.late}"] if self.late else []),
            *([f"override {self.overridden}"] if self.overridden else []),
            *([f"age {self.ages_ms[-1]:.0f} ms"] if self.ages_ms else []),
            *([f"latency {self.latencies_ms[-1]:.0f} ms"] if self.latencies_ms else []),
            *([f"restarts {restarts}"] if restarts else []),
        ]
        if temperature_c is not None:
            parts.append(f"{temperature_c:.0f} °C")
        return " · ".join(parts)

    def fields(
        self, frames_per_second: float, restarts: int, temperature_c: float | None
    ) -> dict[str, object]:
        """Return the same as :meth:`line` for programs."""
        return {
            "frames_per_second": round(frames_per_second, 1),
            "parts": self.parts,
            **{verdict.value: count for verdict, count in self.verdicts.items()},
            "few": self.few,
            "late": self.late,
            "override": self.overridden,
            "unseen": self.unseen,
            "age_ms": self.ages_ms[-1] if self.ages_ms else None,
            "latency_ms": self.latencies_ms[-1] if self.latencies_ms else None,
            "restarts": restarts,
            "temperature_c": temperature_c,
        }


class Rate:
    """Frames a second since it was asked last."""

    def __init__(self) -> None:
        self._frames = 0
        self._since = time.monotonic()

    def count(self) -> None:
        """Count a frame."""
        self._frames += 1

    def take(self) -> float:
        """Return the rate and begin anew."""
        now = time.monotonic()
        rate = self._frames / max(now - self._since, 1e-9)
        self._frames, self._since = 0, now
        return rate


def quantile(values: collections.deque[float], share: float) -> float | None:
    """Return what the given share of values stays below; None without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
