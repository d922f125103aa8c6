"""Verdicts as JSON lines on the standard output."""

import sys
from typing import TYPE_CHECKING, ClassVar

import msgspec

from linegate_runtime.sinks.base import Sink, SinkOptions

if TYPE_CHECKING:
    from linegate_runtime.record import PartRow


class JsonLinesOptions(SinkOptions, frozen=True, kw_only=True):
    """Options of the JSON lines: none."""


class JsonLinesSink(Sink[JsonLinesOptions]):
    """Writes each row as one JSON object a line, at once."""

    Options: ClassVar[type[SinkOptions]] = JsonLinesOptions

    def __init__(self, options: JsonLinesOptions) -> None:
        del options
        self._encoder = msgspec.json.Encoder()

    def announce(self, row: "PartRow") -> None:
        """See :meth:`Sink.announce`."""
        sys.stdout.write(self._encoder.encode(row).decode() + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing to let go; the standard output stays open."""
