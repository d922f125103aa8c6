"""Sinks by name."""

from linegate_runtime.registry import Registry
from linegate_runtime.sinks.base import Sink, SinkOptions

SINKS = Registry(
    "sink",
    Sink,
    {
        "jsonlines": "linegate_runtime.sinks.jsonlines:JsonLinesSink",
        "fake": "linegate_runtime.sinks.fake:FakeSink",
    },
)

__all__ = ["SINKS", "Sink", "SinkOptions"]
