"""Pictures that are in two parts of a split at once: what is tested on was learned."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

from linegate_bundle.run_folder import SplitRow
from linegate_training.data.alike import Alike


def find_leaks(rows: Sequence[SplitRow], alike: Alike) -> list[tuple[SplitRow, SplitRow]]:
    """Return near duplicates and identical files that are in different parts.

    Args:
        rows: the split.
        alike: pictures that look alike; bursts do not count here.

    Returns:
        Pairs of rows, those of identical files first.
    """
    of_content: dict[str, list[SplitRow]] = defaultdict(list)
    for row in rows:
        of_content[row.sha256].append(row)
    identical = [
        (same[0], other) for same in of_content.values() for other in same[1:]
        if other.part is not same[0].part
    ]  # fmt: skip
    near = [
        next(
            (one, other)
            for one, other in product(of_content[first.sha256], of_content[second.sha256])
            if one.part is not other.part
        )
        for first, second in (
            (alike.photos[pair.first], alike.photos[pair.second]) for pair in alike.duplicates
        )
        if len({row.part for row in of_content[first.sha256] + of_content[second.sha256]}) > 1
        and of_content[first.sha256]
        and of_content[second.sha256]
    ]
    return identical + near
