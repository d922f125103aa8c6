"""Outputs by name."""

from linegate_runtime.registry import Registry
from linegate_runtime.sinks.base import Gate, LineState, Output, Sink, SinkOptions

SINKS = Registry(
    "sink",
    Output,
    {
        "csv": "linegate_runtime.sinks.csv:CsvSink",
        "fake": "linegate_runtime.sinks.fake:FakeSink",
        "fake-gate": "linegate_runtime.sinks.fake:FakeGate",
        "gpio": "linegate_runtime.sinks.gpio:GpioGate",
        "http": "linegate_runtime.sinks.http:HttpSink",
        "jsonlines": "linegate_runtime.sinks.jsonlines:JsonLinesSink",
        "modbus": "linegate_runtime.sinks.modbus:ModbusSink",
        "mqtt": "linegate_runtime.sinks.mqtt:MqttSink",
        "opcua": "linegate_runtime.sinks.opcua:OpcUaSink",
    },
)

__all__ = ["SINKS", "Gate", "LineState", "Output", "Sink", "SinkOptions"]
