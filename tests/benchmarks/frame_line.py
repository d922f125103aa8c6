"""The way of a frame to the row of its part, as benchmarks time it: no camera, no database."""

import time
from pathlib import Path

from linegate_bundle.bundle import Bundle
from linegate_bundle.manifest import Verdict
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime import __version__
from linegate_runtime.config import RunConfig
from linegate_runtime.frame import Frame
from linegate_runtime.inspector import Inspector, Region
from linegate_runtime.judge import Judge, Stamp
from linegate_runtime.model import Model
from linegate_runtime.outputs import LineOutputs
from linegate_runtime.part_row import PartRow
from linegate_runtime.policy import VerdictOptions, line_policy
from linegate_runtime.record import Entry, Record
from linegate_runtime.recorder import Recorder
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
        return self._judge(pixels)[0]

    def _judge(self, pixels: UInt8Array) -> tuple[PartRow, int]:
        """Return the row, and ``time.monotonic_ns()`` of the part's begin."""
        self._number += 1
        now_ns = time.monotonic_ns()
        frame = Frame(number=self._number, monotonic_ns=now_ns, taken_ns=now_ns, pixels=pixels)
        (judgement,) = self._inspector.inspect(frame).judgements
        return self._rows.row("camera", judgement), judgement.decided.begun_ns


class ToldLine(FrameLine):
    """The same, and all that is told of a part: record, gate and broker.

    Args:
        path: a bundle that votes over one frame.
        config: with the outputs.
    """

    def __init__(self, path: Path, config: RunConfig) -> None:
        super().__init__(path)
        self._outputs = LineOutputs(config)
        self.recorder = Recorder(
            Record(config.record), self._outputs.remembered, on_commit=self._outputs.note_commit
        )
        self._outputs.open(config.record, self.recorder)

    def judge(self, pixels: UInt8Array) -> PartRow:
        """Return the row of a BGR frame; :meth:`tell` tells of it."""
        self._judged = self._judge(pixels)
        return self._judged[0]

    def tell(self) -> None:
        """Tell everybody of the last row, as the line does."""
        self._outputs.beat([problem for problem in [self.recorder.problem] if problem])
        row, begun_ns = self._judged
        is_accepted = row.verdict is Verdict.ACCEPT
        self._outputs.expect(row.uuid, begun_ns, is_accepted=is_accepted)
        self.recorder.put(Entry(row))

    def close(self) -> None:
        """Close outputs and record."""
        self.recorder.flush()
        self._outputs.close()
        self.recorder.close()
