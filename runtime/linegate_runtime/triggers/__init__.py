"""Triggers by name."""

from linegate_runtime.registry import Registry
from linegate_runtime.triggers.base import Observation, Sighting, Trigger, TriggerOptions

TRIGGERS = Registry(
    "trigger",
    Trigger,
    {
        "continuous": "linegate_runtime.triggers.continuous:ContinuousTrigger",
        "presence": "linegate_runtime.triggers.presence:PresenceTrigger",
        "fake": "linegate_runtime.triggers.fake:FakeTrigger",
    },
)

__all__ = ["TRIGGERS", "Observation", "Sighting", "Trigger", "TriggerOptions"]
