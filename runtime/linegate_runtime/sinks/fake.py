"""Outputs that remember, for tests."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from linegate_bundle.errors import OutputError
from linegate_runtime.sinks.base import Gate, LineState, Sink, SinkOptions

if TYPE_CHECKING:
    from linegate_runtime.part_row import PartRow, Recorded


class FakeSinkOptions(SinkOptions, frozen=True, kw_only=True):
    """Options of the fake sink.

    Attributes:
        fail_at: part number at which the receiver is away once; None never.
    """

    fail_at: int | None = None


class FakeSink(Sink[FakeSinkOptions]):
    """Keeps the rows that it was told.

    Attributes:
        rows: all rows so far.
        state: how the line was last.
    """

    Options: ClassVar[type[SinkOptions]] = FakeSinkOptions
    is_remembered: ClassVar[bool] = False

    def __init__(self, options: FakeSinkOptions) -> None:
        self.rows: list[PartRow] = []
        self.state: LineState | None = None
        self._fail_at = options.fail_at

    def deliver(self, parts: Sequence["Recorded"]) -> None:
        """See :meth:`Sink.deliver`."""
        for part in parts:
            if part.row.part == self._fail_at:
                self._fail_at = None
                raise OutputError(f"the fake sink fails at part {part.row.part}, as configured")
            self.rows.append(part.row)

    def show(self, state: LineState) -> None:
        """See :meth:`Sink.show`."""
        self.state = state

    def close(self) -> None:
        """Nothing to let go."""


class FakeGateOptions(SinkOptions, frozen=True, kw_only=True):
    """Options of the fake gate: none."""


class FakeGate(Gate[FakeGateOptions]):
    """Notes what it was told.

    Attributes:
        expected: whether each part may be accepted, by UUID, in the order of their verdicts.
        accepted: UUIDs whose acceptance is on record, in that order.
        reasons: why it rests in the safe state.
        beats: how often it was told that the line is alive.
        problem: set it to let the gate be broken.
    """

    Options: ClassVar[type[SinkOptions]] = FakeGateOptions
    problem: str | None = None

    def __init__(self, options: FakeGateOptions) -> None:
        del options
        self._lock = threading.Lock()
        self.expected: dict[str, bool] = {}
        self.accepted: list[str] = []
        self.reasons: tuple[str, ...] = ()
        self.beats = 0

    def beat(self) -> None:
        """See :meth:`Gate.beat`."""
        self.beats += 1

    def expect(self, uuid: str, begun_ns: int, *, is_accepted: bool) -> None:
        """See :meth:`Gate.expect`."""
        del begun_ns
        with self._lock:
            self.expected[uuid] = is_accepted

    def accept(self, uuid: str) -> None:
        """See :meth:`Gate.accept`."""
        with self._lock:
            self.accepted.append(uuid)

    def hold(self, reasons: Sequence[str]) -> None:
        """See :meth:`Gate.hold`."""
        self.reasons = tuple(reasons)

    def close(self) -> None:
        """Nothing to let go."""
