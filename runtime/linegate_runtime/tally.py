"""What came out of a run so far, for people."""

import collections
import dataclasses
import time

from linegate_bundle.manifest import Verdict
from linegate_runtime.reason import Reason
from linegate_runtime.record import PartRow

_KEPT_TIMES = 1_000
"""Of so many parts the quantiles are taken."""


def _times() -> collections.deque[float]:
    return collections.deque(maxlen=_KEPT_TIMES)


@dataclasses.dataclass
class Tally:
    """What came out so far.

    Attributes:
        verdicts: parts by verdict.
        few: parts judged by fewer frames than the policy asks for.
        late: parts whose deadline passed before their verdict.
        unseen: parts that passed without being wholly in view.
        latencies_ms: of the newest parts, from capture to committed row.
        ages_ms: of the newest parts, from the capture of the frame to the verdict.
    """

    verdicts: dict[Verdict, int] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(Verdict, 0)
    )
    few: int = 0
    late: int = 0
    unseen: int = 0
    latencies_ms: collections.deque[float] = dataclasses.field(default_factory=_times)
    ages_ms: collections.deque[float] = dataclasses.field(default_factory=_times)

    @property
    def parts(self) -> int:
        """All parts that have a verdict."""
        return sum(self.verdicts.values())

    def count(self, row: PartRow, latency_ms: float) -> None:
        """Count a part that is in the record."""
        self.verdicts[row.verdict] += 1
        self.few += row.reason is Reason.FEW
        self.late += row.reason is Reason.LATE
        self.latencies_ms.append(latency_ms)
        if row.frame_age_ms is not None:
            self.ages_ms.append(row.frame_age_ms)

    def summary(self) -> str:
        """Return a sentence about the whole run."""
        counts = [f"{count} {verdict}" for verdict, count in self.verdicts.items()]
        text = f"{self.parts} parts: {', '.join(counts)}"
        if self.few:
            text += f"; {self.few} judged by few frames"
        if self.late:
            text += f"; {self.late} late"
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
