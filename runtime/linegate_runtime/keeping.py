"""How a record is written and how long its rows are kept; needs nothing."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Keeping:
    """How rows are written and how long they are kept.

    Attributes:
        commit_within_s: parts wait at most so long for others to share their commit.
        keep_days: rows that are older are removed; None keeps them.
        most_bytes: the oldest rows are removed when the file holds more; None for no limit.
    """

    commit_within_s: float = 0.0
    keep_days: float | None = None
    most_bytes: int | None = None
