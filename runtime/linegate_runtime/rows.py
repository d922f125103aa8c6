"""From a decision to the row that goes on record."""

import dataclasses
import os
import time

from linegate_bundle.bundle import Bundle
from linegate_runtime.inspector import Judgement
from linegate_runtime.policy import PolicyOrigin
from linegate_runtime.record import PartRow


@dataclasses.dataclass(frozen=True)
class Stamp:
    """What the rows of a run share, as long as it judges by the same bundle.

    Attributes:
        run: identifies the run.
        policy: whose policy it is.
        labels: names in the bundle's order.
        bundle_name, bundle_version, bundle_sha256: of the bundle.
    """

    run: str
    policy: PolicyOrigin
    labels: tuple[str, ...]
    bundle_name: str
    bundle_version: str
    bundle_sha256: str

    @classmethod
    def of(cls, run: str, bundle: Bundle, policy: PolicyOrigin) -> "Stamp":
        """Return the stamp of a bundle."""
        manifest = bundle.manifest
        return cls(
            run=run,
            policy=policy,
            labels=tuple(label.name for label in manifest.labels),
            bundle_name=manifest.name,
            bundle_version=manifest.version,
            bundle_sha256=bundle.sha256,
        )


def part_row(stamp: Stamp, camera: str, judgement: Judgement) -> PartRow:
    """Return the row of a decision made just now; its latency is not known yet."""
    decided = judgement.decided
    decision = decided.decision
    probabilities = () if decision is None else decision.probabilities
    now_ns = time.monotonic_ns()
    age_ms = None if decided.captured_ns is None else (now_ns - decided.captured_ns) / 1e6
    return PartRow(
        uuid=new_uuid(),
        run=stamp.run,
        part=decided.part,
        time_utc=utc_now(),
        monotonic_ns=now_ns,
        camera=camera,
        region=judgement.region,
        frame_number=decided.frame_number,
        label=None if decision is None else decision.label,
        verdict=decided.verdict,
        reason=decided.reason,
        policy=stamp.policy,
        # No frame, no probabilities: then there are fewer than labels.
        probabilities=dict(zip(stamp.labels, probabilities, strict=False)),
        defect_probability=None if decision is None else decision.defect_probability,
        frames_voted=decided.frames_voted,
        frame_age_ms=age_ms,
        latency_ms=None,
        bundle_name=stamp.bundle_name,
        bundle_version=stamp.bundle_version,
        bundle_sha256=stamp.bundle_sha256,
    )


def new_uuid() -> str:
    """Return a random UUID (RFC 9562, version 4) as text, in a third of the library's time."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def utc_now() -> str:
    """Return the wall clock, ISO 8601 with milliseconds and ``Z``."""
    now_ns = time.time_ns()
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_ns // 1_000_000_000))
    return f"{seconds}.{now_ns // 1_000_000 % 1000:03}Z"
