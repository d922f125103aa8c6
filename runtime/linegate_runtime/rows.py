"""From a decision to the row that goes on record."""

import os
import time

from linegate_runtime import machine
from linegate_runtime.inspector import Judgement
from linegate_runtime.part_row import PartRow

_UUIDS_AT_ONCE = 64
"""Random bytes are asked of the system for so many UUIDs together."""

_UUID_BYTES = 16


_SYNC_PERIOD_S = 10.0
"""So often the system is asked whether its clock is set by a time server."""


class RowMaker:
    """Makes the rows of a run; not safe to share by threads."""

    def __init__(self) -> None:
        self._uuids = Uuids()
        self._clock = WallClock()
        self._boot_id = machine.boot_id()
        self._clock_synced: bool | None = None
        self._asked_ns: int | None = None

    def row(self, camera: str, judgement: Judgement) -> PartRow:
        """Return the row of a decision made just now."""
        stamp, decided = judgement.stamp, judgement.decided
        decision = decided.decision
        probabilities = () if decision is None else decision.probabilities
        now_ns, captured_ns = time.monotonic_ns(), decided.captured_ns
        return PartRow(
            uuid=self._uuids.next(),
            run=stamp.run,
            boot_id=self._boot_id,
            part=decided.part,
            time_utc=self._clock.text(),
            clock_synced=self._is_synced(now_ns),
            monotonic_ns=now_ns,
            camera=camera,
            region=judgement.region,
            frame_number=decided.frame_number,
            frame_age_ms=None if captured_ns is None else (now_ns - captured_ns) / 1e6,
            wait_ms=None if captured_ns is None else decided.waited_ns / 1e6,
            model_ms=None if captured_ns is None else decided.model_ns / 1e6,
            label=None if decision is None else decision.label,
            verdict=decided.verdict,
            reason=decided.reason,
            policy=stamp.policy,
            # No frame, no probabilities: then there are fewer than labels.
            probabilities=dict(zip(stamp.labels, probabilities, strict=False)),
            defect_probability=None if decision is None else decision.defect_probability,
            frames_voted=decided.frames_voted,
            picture=None,
            bundle_name=stamp.bundle_name,
            bundle_version=stamp.bundle_version,
            bundle_sha256=stamp.bundle_sha256,
        )

    def _is_synced(self, now_ns: int) -> bool | None:
        if self._asked_ns is None or now_ns - self._asked_ns > _SYNC_PERIOD_S * 1e9:
            self._asked_ns = now_ns
            self._clock_synced = machine.clock_synced()
        return self._clock_synced


class Uuids:
    """Random UUIDs (RFC 9562, version 4) as text, in a small part of the library's time."""

    def __init__(self) -> None:
        self._random = ""

    def next(self) -> str:
        """Return another one."""
        if not self._random:
            self._random = os.urandom(_UUID_BYTES * _UUIDS_AT_ONCE).hex()
        digits, self._random = self._random[: 2 * _UUID_BYTES], self._random[2 * _UUID_BYTES :]
        variant = "89ab"[int(digits[16], 16) & 3]
        return (
            f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
        )


class WallClock:
    """The wall clock as text; what is the same for a second is written once."""

    def __init__(self) -> None:
        self._second = -1
        self._start = ""

    def text(self) -> str:
        """Return the time, ISO 8601 with milliseconds and ``Z``."""
        now_ms = time.time_ns() // 1_000_000
        second, milliseconds = divmod(now_ms, 1000)
        if second != self._second:
            self._second = second
            self._start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._start}.{milliseconds:03}Z"
