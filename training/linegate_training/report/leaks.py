"""Whether anything that is trained on is also tested on."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence

from linegate_bundle.run_folder import Part, SplitRow
from linegate_training.data.split import part_counts

_MOST_PAIRS = 8


@dataclasses.dataclass(frozen=True)
class NearDuplicates:
    """Pictures that look alike though their files differ.

    Attributes:
        crossing: pairs of them in different parts of the split.
        pairs: some of these, each two paths.
    """

    crossing: int
    pairs: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class SplitFacts:
    """The split and its leak check.

    Attributes:
        counts: pictures by part and label.
        groups: groups by part.
        single: every picture is a group of its own.
        groups_crossing: groups with pictures in more than one part.
        identical_crossing: pairs of identical files in different parts, some of them.
        identical_crossing_count: how many contents are in more than one part.
        near_duplicates: None if nobody looked for them.
    """

    counts: dict[Part, dict[str, int]]
    groups: dict[Part, int]
    single: bool
    groups_crossing: tuple[str, ...]
    identical_crossing: tuple[tuple[str, str], ...]
    identical_crossing_count: int
    near_duplicates: NearDuplicates | None

    @property
    def leaks(self) -> bool:
        """Whether something is in more than one part."""
        near = self.near_duplicates is not None and self.near_duplicates.crossing > 0
        return bool(self.groups_crossing or self.identical_crossing_count or near)


def check_split(
    rows: Sequence[SplitRow], near_duplicates: NearDuplicates | None = None
) -> SplitFacts:
    """Count a split and look for groups and files that are in more than one part.

    Args:
        rows: the whole split.
        near_duplicates: what a search for pictures that look alike found.
    """
    counts = part_counts([row.part for row in rows], [row.label for row in rows])
    identical = _crossing(rows, lambda row: row.sha256)
    return SplitFacts(
        counts={part: dict(by_label) for part, by_label in counts.items()},
        groups={part: len({row.group for row in rows if row.part is part}) for part in Part},
        single=len({row.group for row in rows}) == len(rows),
        groups_crossing=tuple(_crossing(rows, lambda row: row.group)),
        identical_crossing=tuple(identical.values())[:_MOST_PAIRS],
        identical_crossing_count=len(identical),
        near_duplicates=near_duplicates,
    )


def _crossing(
    rows: Sequence[SplitRow], key: Callable[[SplitRow], str]
) -> dict[str, tuple[str, str]]:
    """Return keys that are in more than one part, with two paths from different parts."""
    found: dict[str, dict[Part, str]] = defaultdict(dict)
    for row in rows:
        found[key(row)].setdefault(row.part, row.path)
    crossing = {}
    for name, paths in found.items():
        if len(paths) > 1:
            first, second, *_ = paths.values()
            crossing[name] = (first, second)
    return crossing
