"""One part's verdict as it goes on record and to outputs; needs neither numpy nor an engine."""

import msgspec

from linegate_bundle.manifest import Verdict
from linegate_runtime.policy import PolicyOrigin
from linegate_runtime.reason import Reason


class PartRow(msgspec.Struct, frozen=True, kw_only=True):
    """One part's verdict.

    Attributes:
        uuid: identifies this verdict everywhere.
        run: identifies the run of ``linegate run`` that judged the part.
        boot_id: of the machine since it was started; with it ``monotonic_ns`` orders rows
            whatever the wall clock did. Empty if the system does not tell.
        part: the part's number in that run and region, from 1 in the order they came.
        time_utc: wall clock at the verdict, ISO 8601 with milliseconds and ``Z``.
        clock_synced: whether the wall clock was set by a time server; None if unknown.
        monotonic_ns: ``time.monotonic_ns()`` at the verdict.
        camera: the camera's name, or its address without a password.
        region: name of the region of its frames; empty if it has only one.
        frame_number: number of the newest frame that voted; None without any frame, as
            for label, defect_probability and the times.
        frame_age_ms: from the capture of the newest frame that voted to the verdict.
        wait_ms: of that, from the capture until the line looked at the frame.
        model_ms: of that, preprocessing and engine.
        label: the most probable label.
        verdict: accept, reject or unsure.
        reason: why: see :class:`~linegate_runtime.reason.Reason`.
        policy: whether the bundle's own policy judged it, or a stricter or looser one.
        probabilities: by label, in the bundle's order; empty without any frame.
        defect_probability: what was measured against the thresholds.
        frames_voted: how many frames were combined.
        picture: file of the part's picture in the pictures' folder; None if none is kept.
        bundle_name, bundle_version, bundle_sha256: what judged the part.
    """

    uuid: str
    run: str
    boot_id: str
    part: int
    time_utc: str
    clock_synced: bool | None
    monotonic_ns: int
    camera: str
    region: str
    frame_number: int | None
    frame_age_ms: float | None
    wait_ms: float | None
    model_ms: float | None
    label: str | None
    verdict: Verdict
    reason: Reason
    policy: PolicyOrigin
    probabilities: dict[str, float]
    defect_probability: float | None
    frames_voted: int
    picture: str | None
    bundle_name: str
    bundle_version: str
    bundle_sha256: str


class Recorded(msgspec.Struct, frozen=True):
    """A row that is on record.

    Attributes:
        number: its place in the record, rising by one from row to row.
        hash: links it to all rows before it, 64 hexadecimal digits.
        row: the row.
    """

    number: int
    hash: str
    row: PartRow
