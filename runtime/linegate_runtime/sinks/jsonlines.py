"""Verdicts as JSON lines on the standard output."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec

from linegate_runtime.sinks.base import Sink, SinkOptions

if TYPE_CHECKING:
    from linegate_runtime.part_row import Recorded


class JsonLinesOptions(SinkOptions, frozen=True, kw_only=True):
    """Options of the JSON lines: none."""


class JsonLinesSink(Sink[JsonLinesOptions]):
    """Writes each row as one JSON object a line, as soon as it is on record."""

    Options: ClassVar[type[SinkOptions]] = JsonLinesOptions
    batch: ClassVar[int] = 100
    is_remembered: ClassVar[bool] = False

    def __init__(self, options: JsonLinesOptions) -> None:
        del options
        self._encoder = msgspec.json.Encoder()

    def deliver(self, parts: Sequence["Recorded"]) -> None:
        """See :meth:`Sink.deliver`."""
        for part in parts:
            sys.stdout.write(self._encoder.encode(part.row).decode() + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing to let go; the standard output stays open."""
