"""When a frame of a stream was taken, as far as its own time stamps tell."""

_DRIFT = 1e-3
"""A camera's clock may run slower than ours by so much; quartz is off by a tenth of that."""


class StreamClock:
    """Tells a frame that comes late from one that is new.

    A reader that is slower than its camera, or a network that holds frames back, gives older and
    older frames, each as if it were new. Their time stamps, on a clock of the camera's own,
    show it: the frame that came soonest after its stamp is taken as new, and the others
    are as old as they came later than that.
    """

    def __init__(self) -> None:
        self._stamp_ns: int | None = None
        self._soonest_ns = 0

    def taken_ns(self, now_ns: int, stamp_ns: int) -> int:
        """Return ``time.monotonic_ns()`` of a frame's coming in, had nothing held it back.

        Args:
            now_ns: when it came.
            stamp_ns: its time stamp; one that does not rise is none, and begins anew.
        """
        before_ns, self._stamp_ns = self._stamp_ns, stamp_ns
        behind_ns = now_ns - stamp_ns
        if before_ns is None or stamp_ns <= before_ns:
            self._soonest_ns = behind_ns
            return now_ns
        drifted_ns = self._soonest_ns + round(_DRIFT * (stamp_ns - before_ns))
        self._soonest_ns = min(behind_ns, drifted_ns)
        return stamp_ns + self._soonest_ns
