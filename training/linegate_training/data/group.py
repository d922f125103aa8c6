"""Which images belong together, and so must not be divided by the split.

Pictures of one part, one module or one burst look alike; if some of them are
trained on and others tested on, the test flatters.
"""

import re
from collections.abc import Sequence

from linegate_bundle.errors import ConfigError, DataError
from linegate_training.data.clusters import Clusters
from linegate_training.data.scan import Photo, name_some


def group_by_block(photos: Sequence[Photo], size: int) -> list[str]:
    """Group ``size`` images that follow each other by file name, over all classes.

    For pictures whose file names carry the order in which they were taken.
    """
    order = sorted(range(len(photos)), key=lambda i: (photos[i].file_name, photos[i].path))
    groups = [""] * len(photos)
    for position, index in enumerate(order):
        groups[index] = f"block{position // size:05d}"
    return groups


def group_by_pattern(photos: Sequence[Photo], pattern: str) -> list[str]:
    """Group images by what the first group of a regular expression finds in the file name.

    Raises:
        ConfigError: not a regular expression, or one without a group.
        DataError: it does not match a file name.
    """
    expression = group_expression(pattern)
    matches = [expression.search(photo.file_name) for photo in photos]
    unmatched = [
        photo.path
        for photo, match in zip(photos, matches, strict=True)
        if match is None or match[1] is None
    ]
    if unmatched:
        raise DataError(
            f"the group pattern {pattern!r} matches all file names but {len(unmatched)}: "
            f"{name_some(unmatched)}"
        )
    return [match[1] for match in matches if match is not None]


def group_expression(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression with a group; raise :class:`ConfigError` if it is none."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{pattern!r} is no regular expression: {error}") from error
    if expression.groups < 1:
        raise ConfigError(
            f"expected a regular expression with a group in parentheses, such as '(.*)_[0-9]+', "
            f"got {pattern!r}"
        )
    return expression


def group_by_column(photos: Sequence[Photo]) -> list[str]:
    """Group images as the data say; an image without a group is its own."""
    return [photo.group or photo.path for photo in photos]


def merge_identical(photos: Sequence[Photo], groups: Sequence[str]) -> list[str]:
    """Make groups one that hold the same file, byte by byte; the first name stays."""
    clusters = Clusters(groups)
    first: dict[str, str] = {}
    for photo, group in zip(photos, groups, strict=True):
        clusters.join(first.setdefault(photo.sha256, group), group)
    return [clusters.find(group) for group in groups]
