"""A sink that remembers, for tests."""

from typing import TYPE_CHECKING, ClassVar

from linegate_bundle.errors import OutputError
from linegate_runtime.sinks.base import Sink, SinkOptions

if TYPE_CHECKING:
    from linegate_runtime.record import PartRow


class FakeSinkOptions(SinkOptions, frozen=True, kw_only=True):
    """Options of the fake sink.

    Attributes:
        fail_at: part number at which the receiver is gone; None never.
    """

    fail_at: int | None = None


class FakeSink(Sink[FakeSinkOptions]):
    """Keeps the rows that it was told.

    Attributes:
        rows: all rows so far.
    """

    Options: ClassVar[type[SinkOptions]] = FakeSinkOptions

    def __init__(self, options: FakeSinkOptions) -> None:
        self.rows: list[PartRow] = []
        self._fail_at = options.fail_at

    def announce(self, row: "PartRow") -> None:
        """See :meth:`Sink.announce`."""
        if row.part == self._fail_at:
            raise OutputError(f"the fake sink fails at part {row.part}, as configured")
        self.rows.append(row)

    def close(self) -> None:
        """Nothing to let go."""
