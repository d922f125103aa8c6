"""Whether parts can be accepted just now: cameras see, the record takes rows, gates obey."""

import collections

_LEAST_LIMIT_NS = 150_000_000
"""A camera that gives no frame for so long is blind, or for three of its periods if longer."""

_PERIODS = 3
_KEPT_GAPS = 5


NOTHING_ACCEPTED = "nothing is accepted"
"""What a line's status says before the reasons, while it is not ready."""


def blind_reason(camera: str) -> str:
    """Return the reason why nothing is accepted while a camera is blind."""
    return f"camera {camera} gives no frames"


class Sight:
    """Whether a camera gives frames as often as it did; times are ``time.monotonic_ns()``."""

    def __init__(self) -> None:
        self._gaps: collections.deque[int] = collections.deque(maxlen=_KEPT_GAPS)
        self._last_ns: int | None = None
        self._limit_ns = _LEAST_LIMIT_NS

    @property
    def last_ns(self) -> int | None:
        """When the newest frame came; None before the first."""
        return self._last_ns

    def note(self, now_ns: int) -> None:
        """Take note of a frame."""
        if self._last_ns is not None:
            # The median: one long gap says nothing of how often frames come.
            self._gaps.append(now_ns - self._last_ns)
            usual_ns = sorted(self._gaps)[len(self._gaps) // 2]
            self._limit_ns = max(_LEAST_LIMIT_NS, _PERIODS * usual_ns)
        self._last_ns = now_ns

    def is_blind(self, now_ns: int) -> bool:
        """Say whether the camera has given no frame for too long."""
        return self._last_ns is None or now_ns - self._last_ns > self._limit_ns
