"""The way of a frame to the row of its part, as benchmarks time it: no camera, no database."""

import time
from pathlib import Path

from linegate_bundle.bundle import Bundle
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime import __version__
from linegate_runtime.frame import Frame
from linegate_runtime.inspector import Inspector, Region
from linegate_runtime.judge import Judge, Stamp
from linegate_runtime.model import Model
from linegate_runtime.part_row import PartRow
from linegate_runtime.policy import VerdictOptions, line_policy
from linegate_runtime.rows import RowMaker
from linegate_runtime.triggers.continuous import ContinuousOptions, ContinuousTrigger


class FrameLine:
    """Trigger, region, preprocessing, engine, vote, verdict and row; each frame is a part.

    Args:
        path: a bundle that votes over one frame.
    """

    def __init__(self, path: Path) -> None:
        with Bundle.open(path, __version__) as bundle:
            policy = line_policy(bundle.manifest, VerdictOptions())
            stamp = Stamp.of("benchmark", bundle, policy.origin)
            judge = Judge(Model.open(bundle), policy, stamp)
        regions = [Region("", ContinuousTrigger(ContinuousOptions()))]
        self._inspector = Inspector(judge, regions, clock=time.monotonic_ns)
        self._rows = RowMaker()
        self._number = 0

    def judge(self, pixels: UInt8Array) -> PartRow:
        """Return the row of a BGR frame."""
        self._number += 1
        now_ns = time.monotonic_ns()
        frame = Frame(number=self._number, monotonic_ns=now_ns, taken_ns=now_ns, pixels=pixels)
        (judgement,) = self._inspector.inspect(frame).judgements
        return self._rows.row("camera", judgement)
