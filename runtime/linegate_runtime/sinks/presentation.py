"""What a controller is shown: the newest verdict, and only for as long as it can be trusted.

No input or output. A controller acts on what it finds, so what it finds must never be an old
verdict, nor one of a line that cannot see: then it is shown as withheld, which is a reject, and
stays so until the next verdict, for one that comes back could be taken for another part's.
"""

import collections
import threading
from collections.abc import Sequence
from typing import Annotated

import msgspec

from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import PartRow, Recorded
from linegate_runtime.reason import Reason
from linegate_runtime.sinks.base import LineState

BEAT_S = 0.1
"""The heartbeat rises about so often."""

STALE_AFTER_NS = 250_000_000
"""A line that has not been heard of for so long is not ready."""

VERDICT_CODES = {Verdict.ACCEPT: 1, Verdict.REJECT: 2, Verdict.UNSURE: 3}
"""Verdicts as numbers; 0 is none yet, so that registers that were never written accept nothing."""

REASON_CODES = {
    Reason.VOTE: 1,
    Reason.FEW: 2,
    Reason.LATE: 3,
    Reason.UNSEEN: 4,
    Reason.OVERRIDE: 5,
}
"""Reasons as numbers; 0 is none yet."""

WITHHELD = 6
"""The reason's number of a verdict that is not to be acted upon, see :class:`Shown`."""

_RECENT = 256
"""So many of the last verdicts are known again when they are told once more."""

Seconds = Annotated[float, msgspec.Meta(gt=0.0, le=3600.0)]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to show at one moment.

    Attributes:
        is_ready: the line was ready at most 250 ms ago.
        reasons: why not, as sentences.
        heartbeat: rises by one about every 100 ms while the line is ready.
        part: whose verdict it is; None before the first.
        is_withheld: the verdict must not be acted upon, for it is too old or the line was not
            ready since it came.
        counts: how many verdicts of each kind have come, in the order accept, reject, unsure;
            as they are on record, withheld or not.
    """

    is_ready: bool
    reasons: tuple[str, ...]
    heartbeat: int
    part: Recorded | None
    is_withheld: bool
    counts: tuple[int, int, int]


class Presentation:
    """Keeps what is to be shown. All methods return at once; any thread may call them.

    Args:
        max_age_s: a verdict older than that is withheld.
        boot_id: of the machine since it was started; what was judged before that is old.
    """

    def __init__(self, max_age_s: float, boot_id: str) -> None:
        self._lock = threading.Lock()
        self._max_age_ns = round(max_age_s * 1e9)
        self._boot_id = boot_id
        self._state = LineState(is_ready=False, reasons=("nothing was heard of the line yet",))
        self._heard_ns = 0
        self._is_over = False
        self._heartbeat = 0
        self._part: Recorded | None = None
        self._is_withheld = False
        self._counts = dict.fromkeys(VERDICT_CODES, 0)
        self._counted = 0
        self._recent: collections.deque[str] = collections.deque(maxlen=_RECENT)

    def present(self, parts: Sequence[Recorded], now_ns: int) -> None:
        """Count verdicts and show the newest of them; those that have come before change nothing.

        Args:
            parts: in the record's order, at least one.
            now_ns: ``time.monotonic_ns()``, as for the other methods.
        """
        with self._lock:
            for part in parts:
                uuid = part.row.uuid
                # Of a record that was begun anew the numbers begin anew.
                if part.number > self._counted or uuid not in self._recent:
                    self._counted = part.number
                    self._counts[part.row.verdict] += 1
                    self._recent.append(uuid)
            newest = parts[-1]
            if self._part is None or newest.row.uuid != self._part.row.uuid:
                self._part, self._is_withheld = newest, False
            self._withhold(now_ns)

    def show(self, state: LineState, now_ns: int) -> None:
        """Take note of how the line is."""
        with self._lock:
            if not self._is_over:
                self._withhold(now_ns)  # it may have been silent until now
                self._state, self._heard_ns = state, now_ns
                self._withhold(now_ns)

    def end(self) -> None:
        """Be not ready from now on, whatever is heard."""
        with self._lock:
            self._is_over = True
            self._state = LineState(is_ready=False, reasons=("the line has ended",))

    def beat(self, now_ns: int) -> None:
        """Let the heartbeat rise if the line is ready; to be called every :data:`BEAT_S`."""
        with self._lock:
            self._withhold(now_ns)
            self._heartbeat += self._is_ready(now_ns)

    def snapshot(self, now_ns: int) -> Shown:
        """Return what is to be shown now."""
        with self._lock:
            self._withhold(now_ns)
            is_ready = self._is_ready(now_ns)
            reasons = () if is_ready else self._state.reasons
            if self._state.is_ready and not is_ready:
                reasons = ("the line has not been heard of for 250 ms",)
            accepted, rejected, unsure = (self._counts[verdict] for verdict in VERDICT_CODES)
            return Shown(
                is_ready=is_ready,
                reasons=reasons,
                heartbeat=self._heartbeat,
                part=self._part,
                is_withheld=self._is_withheld,
                counts=(accepted, rejected, unsure),
            )

    def _is_ready(self, now_ns: int) -> bool:
        return self._state.is_ready and now_ns - self._heard_ns <= STALE_AFTER_NS

    def _withhold(self, now_ns: int) -> None:
        if self._part is not None and not (
            self._is_ready(now_ns) and self._is_new(self._part.row, now_ns)
        ):
            self._is_withheld = True

    def _is_new(self, row: PartRow, now_ns: int) -> bool:
        """Say whether a verdict is young enough. The wall clock may be wrong, so it is not asked.

        Where the system does not tell one start from another, the clock of an earlier one may
        be ahead: what seems to come from the future is old.
        """
        return row.boot_id == self._boot_id and 0 <= now_ns - row.monotonic_ns <= self._max_age_ns
