"""Dividing photographs: groups found or given, a split made, completed or taken over."""

import logging
from collections.abc import Sequence
from pathlib import Path

from linegate_bundle.errors import DataError
from linegate_bundle.run_folder import Part, SplitRow, read_split
from linegate_training.data.alike import Alike, join_alike
from linegate_training.data.clusters import Clusters
from linegate_training.data.group import (
    group_by_block,
    group_by_column,
    group_by_pattern,
    merge_identical,
)
from linegate_training.data.leaks import find_leaks
from linegate_training.data.scan import Dataset, Photo, name_some
from linegate_training.data.split import check_parts, make_strata, part_counts, split_groups
from linegate_training.data.split_options import SplitOptions
from linegate_training.options import CorruptImages

_LOG = logging.getLogger(__name__)
_FILLED = (Part.VALIDATION, Part.CALIBRATION)
"""Parts that are taken from the train part where a given split has none."""


def divide(
    dataset: Dataset, options: SplitOptions, corrupt: CorruptImages, alike: Alike | None
) -> tuple[SplitRow, ...]:
    """Give every photograph a group and a part.

    A split that was given (``options.split``) is taken as it is. A split that the data come
    with is completed where it lacks validation or calibration, unless a new one is asked for.
    Otherwise a new one is made. Pictures that look alike become groups, unless both were given one.

    Args:
        dataset: photographs that can be decoded.
        options: how to divide.
        corrupt: whether the given split may name corrupt images, which the dataset lacks.
        alike: pictures that look alike; None if they were not looked for.

    Returns:
        One row an image, in the order of the dataset.

    Raises:
        ConfigError: the group pattern is no usable regular expression.
        DataError: the split cannot be made, or the one given does not fit the images.
    """
    if options.split is not None:
        rows = given_split(dataset, options.split, corrupt)
    elif any(photo.part for photo in dataset.photos) and not options.new_split:
        rows = _complete(dataset, options, alike)
    else:
        rows = _new_split(dataset, options, alike)
    _log_parts(rows)
    if alike is not None:
        _warn_of_leaks(rows, alike)
    return rows


def given_split(dataset: Dataset, path: Path, corrupt: CorruptImages) -> tuple[SplitRow, ...]:
    """Read a split and check that it is one of exactly these images.

    Rows of corrupt images, which the dataset no longer has, are left out if those are
    to be skipped. Weights and soft labels are those of the data where these have some,
    else those of the split.

    Raises:
        DataError: it cannot be read, misses an image, names one that is not there, or
            holds another label or content for one.
    """
    rows = {row.path: row for row in read_split(path)}
    photos = {photo.path: photo for photo in dataset.photos}
    gone = [] if corrupt is CorruptImages.SKIP else sorted(rows.keys() - photos.keys())
    new = sorted(photos.keys() - rows.keys())
    changed = [
        name
        for name, photo in photos.items()
        if name in rows and (rows[name].label, rows[name].sha256) != (photo.label, photo.sha256)
    ]
    for what, names in (("are not in it", new), ("are gone", gone), ("have changed", changed)):
        if names:
            raise DataError(
                f"{path}: expected the split of the images in {dataset.source}, but {len(names)} "
                f"{what}: {name_some(names)}; make a new split, or restore the images"
            )
    kept = tuple(
        _row(photo, rows[photo.path].group, rows[photo.path].part, rows[photo.path])
        for photo in dataset.photos
    )
    check_parts([row.part for row in kept], [row.label for row in kept])
    return kept


def _new_split(
    dataset: Dataset, options: SplitOptions, alike: Alike | None
) -> tuple[SplitRow, ...]:
    photos = dataset.photos
    groups = merge_identical(photos, _base_groups(photos, options))
    related = _free_pairs(photos, options, alike)
    if related:
        groups = _grouped_by_looks(photos, groups, options, related)
    parts = _split(photos, groups, options, tuple(Part))
    _LOG.info("%d images in %d groups", len(photos), len(set(groups)))
    return tuple(
        _row(photo, group, parts[group]) for photo, group in zip(photos, groups, strict=True)
    )


def _complete(dataset: Dataset, options: SplitOptions, alike: Alike | None) -> tuple[SplitRow, ...]:
    """Keep the parts that the data come with; take those that are missing from train."""
    given = {photo.part for photo in dataset.photos if photo.part is not None}
    if not {Part.TRAIN, Part.TEST} <= given:
        raise DataError(
            f"{dataset.source}: expected a split with train and test at least, got "
            f"{', '.join(sorted(given))}; give all images one, or none"
        )
    base = _base_groups(dataset.photos, options)
    _check_sides(dataset.photos, base)
    rows: dict[str, SplitRow] = {}
    for part in sorted(given):
        members = [index for index, photo in enumerate(dataset.photos) if photo.part is part]
        photos = [dataset.photos[index] for index in members]
        groups = merge_identical(photos, [base[index] for index in members])
        groups = join_alike(photos, groups, _free_pairs(photos, options, alike))
        parts = dict.fromkeys(groups, part)
        missing = [other for other in _FILLED if other not in given]
        if part is Part.TRAIN and missing:
            parts = _split(photos, groups, options, (Part.TRAIN, *missing))
            _LOG.info("took %s from the train part", " and ".join(missing))
        rows |= {
            photo.path: _row(photo, group, parts[group])
            for photo, group in zip(photos, groups, strict=True)
        }
    result = tuple(rows[photo.path] for photo in dataset.photos)
    check_parts([row.part for row in result], [row.label for row in result])
    return result


def _base_groups(photos: Sequence[Photo], options: SplitOptions) -> list[str]:
    if options.group_block is not None:
        return group_by_block(photos, options.group_block)
    if options.group_pattern is not None:
        return group_by_pattern(photos, options.group_pattern)
    return group_by_column(photos)


def _free_pairs(
    photos: Sequence[Photo], options: SplitOptions, alike: Alike | None
) -> list[tuple[Photo, Photo]]:
    """Return the pairs that look alike of which nobody said whether they belong together."""
    if alike is None or options.group_block is not None or options.group_pattern is not None:
        return []
    contents = {photo.sha256 for photo in photos}
    given = {photo.sha256 for photo in photos if photo.group}
    return [
        (one, other)
        for one, other in alike.related()
        if {one.sha256, other.sha256} <= contents and not {one.sha256, other.sha256} <= given
    ]


def _check_sides(photos: Sequence[Photo], groups: Sequence[str]) -> None:
    sides: dict[str, Part | None] = {}
    for photo, group in zip(photos, groups, strict=True):
        if sides.setdefault(group, photo.part) is not photo.part:
            raise DataError(
                f"the data come with a split that divides the group {group!r}: {photo.path} is in "
                f"{photo.part}, others are in {sides[group]}; use other groups, or no given split"
            )


def _grouped_by_looks(
    photos: Sequence[Photo],
    groups: Sequence[str],
    options: SplitOptions,
    related: Sequence[tuple[Photo, Photo]],
) -> list[str]:
    """Join groups that look alike, and say what the split would have done without."""
    joined = join_alike(photos, groups, related)
    clusters = Clusters([photo.path for pair in related for photo in pair])
    for one, other in related:
        clusters.join(one.path, other.path)
    members = clusters.members()
    apart = _split(photos, groups, options, tuple(Part))
    of_content = {photo.sha256: group for photo, group in zip(photos, groups, strict=True)}
    crossing = sum(
        apart[of_content[one.sha256]] is not apart[of_content[other.sha256]]
        for one, other in related
    )
    _LOG.info(
        "%d images in %d clusters look alike and stay together; without that, %d of their %d "
        "pairs would have crossed the split",
        sum(map(len, members)),
        len(members),
        crossing,
        len(related),
    )
    try:
        _split(photos, joined, options, tuple(Part))
    except DataError as error:
        raise DataError(
            f"{error} (the largest of {len(members)} clusters of images that look alike has "
            f"{max(map(len, members))}; --near-duplicates ignore does not group them)"
        ) from error
    return joined


def _split(
    photos: Sequence[Photo], groups: Sequence[str], options: SplitOptions, parts: Sequence[Part]
) -> dict[str, Part]:
    labels = [photo.label for photo in photos]
    finer = [photo.stratum for photo in photos]
    strata = make_strata(groups, labels, finer) if any(finer) else None
    return split_groups(groups, labels, options.fractions, options.seed, strata=strata, parts=parts)


def _row(photo: Photo, group: str, part: Part, given: SplitRow | None = None) -> SplitRow:
    """Make a row; what the data do not say is taken from the row of a given split."""
    row = SplitRow(photo.path, photo.label, group, part, photo.sha256)
    weight = photo.weight if photo.weight is not None else (given or row).weight
    soft = photo.soft_label if photo.soft_label is not None else (given or row).soft_label
    return SplitRow(photo.path, photo.label, group, part, photo.sha256, weight, soft)


def _log_parts(rows: Sequence[SplitRow]) -> None:
    counts = part_counts([row.part for row in rows], [row.label for row in rows])
    for part, by_label in counts.items():
        _LOG.info("%s: %s", part, ", ".join(f"{label} {n}" for label, n in by_label.items()))


def _warn_of_leaks(rows: Sequence[SplitRow], alike: Alike) -> None:
    leaks = find_leaks(rows, alike)
    if leaks:
        _LOG.warning(
            "%d pairs of near duplicates or identical files are in two parts of the split, so "
            "figures on the later part flatter: %s; `linegate data check` shows them",
            len(leaks),
            name_some(f"{one.path} ({one.part}) = {two.path} ({two.part})" for one, two in leaks),
        )
