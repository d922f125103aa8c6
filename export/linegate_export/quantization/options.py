"""What a user may say about int8; nothing here needs TensorFlow."""

import dataclasses
import enum

from linegate_bundle.errors import ConfigError

DEFAULT_MINIMUM_FIDELITY = 0.98
"""Labels near the border change with any rounding; a model that int8 ruins is far below."""


class Repair(enum.StrEnum):
    """What is done where plain int8 does not answer like the float model."""

    AUTO = "auto"
    OFF = "off"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RepairOptions:
    """When to repair.

    Attributes:
        repair: whether at all.
        minimum_fidelity: share of the held-out pictures that int8 must give the float model's
            label, else the ladder is climbed; one picture may always differ.
    """

    repair: Repair = Repair.AUTO
    minimum_fidelity: float = DEFAULT_MINIMUM_FIDELITY

    def __post_init__(self) -> None:
        if not 0.0 <= self.minimum_fidelity <= 1.0:
            raise ConfigError(
                f"--min-fidelity: expected a share from 0 to 1, got {self.minimum_fidelity}"
            )
