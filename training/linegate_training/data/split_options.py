"""How photographs are divided, as one value that training and data commands share."""

import dataclasses
import enum
from pathlib import Path

from linegate_bundle.errors import ConfigError
from linegate_training.data.group import group_expression
from linegate_training.data.split import Fractions

_MOST_IN_A_BLOCK = 10**9
_LARGEST_SEED = 2**31 - 1


class NearDuplicates(enum.StrEnum):
    """What happens to pictures that look alike.

    ``group``: they are looked for, and become groups where none were given.
    ``ignore``: they are not looked for.
    """

    GROUP = "group"
    IGNORE = "ignore"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """What a split can be told.

    Attributes:
        group_block: so many images that follow each other by file name are a group.
        group_pattern: regular expression whose first group, found in the file name,
            names the group.
        split: ``split.csv`` of a run, to be used again.
        fractions: share of the images that each part gets.
        near_duplicates: what happens to pictures that look alike.
        new_split: make one also where the data come with one.
        seed: the same gives the same split.

    Raises:
        ConfigError: a value is out of range, or two contradict each other.
    """

    group_block: int | None = None
    group_pattern: str | None = None
    split: Path | None = None
    fractions: Fractions = dataclasses.field(default_factory=Fractions)
    near_duplicates: NearDuplicates = NearDuplicates.GROUP
    new_split: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without looking at files."""
        if self.group_block is not None and not 1 <= self.group_block <= _MOST_IN_A_BLOCK:
            raise ConfigError(
                f"expected a group block from 1 to {_MOST_IN_A_BLOCK}, got {self.group_block}"
            )
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise ConfigError(f"expected a seed from 0 to {_LARGEST_SEED}, got {self.seed}")
        if self.group_block is not None and self.group_pattern is not None:
            raise ConfigError("expected a group block or a group pattern, got both")
        if self.group_pattern is not None:
            group_expression(self.group_pattern)
        if self.split is not None and self.new_split:
            raise ConfigError("expected a given split or a new one, got both")
        if self.split is not None and (self.group_block or self.group_pattern):
            raise ConfigError(
                "a given split says itself what belongs together; give no groups with it"
            )
