"""What makes a line appear in Home Assistant by itself.

Retained messages below ``homeassistant/``, one for each entity, as in
https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery: an entity reads its value out of
the line's own topics by a template, and all of them are one device.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from linegate_bundle.manifest import Verdict
from linegate_runtime import __version__

_PREFIX = "homeassistant"
"""Where Home Assistant looks if nobody has configured otherwise."""


def discovery(topic: str, client_id: str) -> Mapping[str, bytes]:
    """Return messages by topic, to be retained.

    Args:
        topic: of the line, that ``/verdict``, ``/state`` and ``/availability`` are below.
        client_id: of the line at the broker; identifies the device.
    """
    device = re.sub(r"[^A-Za-z0-9_-]", "_", client_id)
    common: dict[str, Any] = {
        "availability_topic": f"{topic}/availability",
        "qos": 1,
        "device": {
            "identifiers": [device],
            "name": client_id,
            "manufacturer": "linegate",
            "sw_version": __version__,
        },
        "origin": {"name": "linegate", "sw_version": __version__},
    }
    return {
        f"{_PREFIX}/{component}/{device}/{name}/config": msgspec.json.encode(
            {"unique_id": f"{device}_{name}", **config, **common}
        )
        for (component, name), config in _entities(topic).items()
    }


def _entities(topic: str) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Return what is special to each entity, by its component and name."""
    verdicts = [verdict.value for verdict in Verdict]
    counters = {
        ("sensor", verdict): {
            "name": f"Parts: {verdict}",
            "state_topic": f"{topic}/state",
            "value_template": f"{{{{ value_json.parts.{verdict} | default(0) }}}}",
            # It begins at 0 with every start of the line, which this class allows.
            "state_class": "total_increasing",
        }
        for verdict in verdicts
    }
    return {
        ("sensor", "verdict"): {
            "name": "Verdict",
            "state_topic": f"{topic}/verdict",
            "value_template": "{{ value_json.verdict }}",
            "device_class": "enum",
            "options": verdicts,
        },
        ("binary_sensor", "ready"): {
            "name": "Ready",
            "state_topic": f"{topic}/state",
            "value_template": "{{ 'ON' if value_json.is_ready else 'OFF' }}",
        },
        **counters,
    }
