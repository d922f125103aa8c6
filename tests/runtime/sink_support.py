"""Rows that are on record, for tests of sinks."""

from typing import Any

import msgspec

from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import PartRow, Recorded
from linegate_runtime.policy import PolicyOrigin
from linegate_runtime.reason import Reason


def recorded(part: int, **changes: Any) -> Recorded:
    """Return a part's row as it lies on record under the same number.

    Args:
        part: the part's number, from 1; its UUID, frame, time and hash follow from it.
        changes: fields of ``PartRow`` that are to be otherwise.
    """
    row = PartRow(
        uuid=f"00000000-0000-4000-8000-{part:012d}",
        run="11111111-1111-4111-8111-111111111111",
        boot_id="22222222-2222-4222-8222-222222222222",
        part=part,
        time_utc=f"2026-01-01T00:{part // 60 % 60:02d}:{part % 60:02d}.000Z",
        clock_synced=True,
        monotonic_ns=part * 1_000_000_000,
        camera="left",
        region="",
        frame_number=part * 3,
        frame_age_ms=21.5,
        wait_ms=8.25,
        model_ms=6.5,
        label="bright",
        verdict=Verdict.REJECT,
        reason=Reason.VOTE,
        policy=PolicyOrigin.BUNDLE,
        probabilities={"functional": 0.125, "bright": 0.875},
        defect_probability=0.875,
        frames_voted=3,
        picture=None,
        bundle_name="tiny",
        bundle_version="1.0.0",
        bundle_sha256="ab" * 32,
    )
    return Recorded(number=part, hash=f"{part:064x}", row=msgspec.structs.replace(row, **changes))
