"""Are a stream's frames new when they come?

A network or a sender that holds frames back gives them all at once afterwards, and many
senders begin with what they have kept; a machine that decodes too slowly falls behind for
good. The frames' own stamps cannot simply be compared with the clock: many cameras count them
from a rate that they do not keep. But a reader that has to wait for a frame has nothing left
to read, so the frame that comes then is new.
"""

import collections
import statistics

from linegate_bundle.errors import CameraError

_SOON = 0.5
"""A frame that comes after less than this share of the usual time was waiting already."""

_LONG = 3.0
"""Several times the usual time without a frame: something held them back."""

_HARMLESS_NS = 150_000_000
"""Frames that were held back for less are as good as new."""

_UNKNOWN_NS = 10_000_000_000
_OPENING_NS = 3_000_000_000
"""So long at most frames are held for kept ones after opening; then their stamps mean nothing."""

_STEADY = 2
"""So many frames in a row that had to be waited for show that nothing is left."""

_REMEMBERED = 15

_BUSY = 0.8
"""A process that computes for more than this share of the time may be too slow."""

_LAG_NS = 500_000_000
"""By so much the stamps may fall behind in such a time."""


class StreamPace:
    """Tells new frames from those that were held back, as they come."""

    def __init__(self) -> None:
        self._last: tuple[int, int, int] | None = None
        self._opened_ns = 0
        self._gaps: collections.deque[int] = collections.deque(maxlen=_REMEMBERED)
        self._late_ns = _UNKNOWN_NS
        self._steady = 0
        self._was_long = False
        self._lag_ns = 0

    def is_new(self, now_ns: int, stamp_ns: int, busy_ns: int) -> bool:
        """Take the next frame; say whether it is as good as new.

        Args:
            now_ns: ``time.monotonic_ns()`` when it came.
            stamp_ns: its stamp; those that do not rise mean nothing.
            busy_ns: ``time.process_time_ns()``.

        Raises:
            CameraError: this machine is too slow for the stream.
        """
        last, self._last = self._last, (now_ns, stamp_ns, busy_ns)
        if last is None:
            self._opened_ns = now_ns
            return False
        gap_ns, step_ns = now_ns - last[0], stamp_ns - last[1]
        self._check_speed(gap_ns, step_ns, busy_ns - last[2])
        usual_ns = statistics.median(self._gaps) if self._gaps else max(0, step_ns)
        if gap_ns < _SOON * usual_ns:
            self._steady = 0
            self._late_ns = max(0, self._late_ns - round(usual_ns - gap_ns))
        else:
            self._note_wait(gap_ns, step_ns, usual_ns)
        if self._late_ns and not self._gaps and now_ns - self._opened_ns > _OPENING_NS:
            self._note_wait(gap_ns, step_ns, gap_ns)
            self._late_ns = 0
        return self._late_ns <= _HARMLESS_NS

    def _note_wait(self, gap_ns: int, step_ns: int, usual_ns: float) -> None:
        """Take a frame that had to be waited for; after a long wait more may be held back."""
        is_long = bool(self._gaps) and gap_ns > _LONG * usual_ns and step_ns < _SOON * gap_ns
        self._gaps.append(gap_ns)
        if is_long and not self._was_long:
            self._was_long, self._steady = True, 0
            self._late_ns = max(self._late_ns, round(gap_ns - usual_ns))
            return
        self._steady += 1
        if self._steady >= _STEADY:
            self._was_long, self._late_ns = False, 0

    def _check_speed(self, gap_ns: int, step_ns: int, busy_ns: int) -> None:
        """Count how far the stamps fall behind while this process has no time to wait."""
        is_busy = busy_ns > _BUSY * gap_ns and step_ns > 0
        self._lag_ns = max(0, self._lag_ns + gap_ns - step_ns) if is_busy else 0
        if self._lag_ns > _LAG_NS:
            raise CameraError(
                f"expected to keep up with the stream, it is {self._lag_ns / 1e9:.1f} s behind: "
                "this machine decodes too slowly; lower the camera's size or rate"
            )
