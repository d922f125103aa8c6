"""Triggers by name."""

from linegate_runtime.registry import Registry
from linegate_runtime.triggers.base import Begun, Observation, Sighting, Trigger, TriggerOptions

TRIGGERS = Registry(
    "trigger",
    Trigger,
    {
        "continuous": "linegate_runtime.triggers.continuous:ContinuousTrigger",
        "presence": "linegate_runtime.triggers.presence:PresenceTrigger",
        "interval": "linegate_runtime.triggers.interval:IntervalTrigger",
        "gpio": "linegate_runtime.triggers.gpio:GpioTrigger",
        "software": "linegate_runtime.triggers.software:SoftwareTrigger",
        "fake": "linegate_runtime.triggers.fake:FakeTrigger",
    },
)

__all__ = ["TRIGGERS", "Begun", "Observation", "Sighting", "Trigger", "TriggerOptions"]
