"""From a folder to pixels and a split: everything before the first weight is touched."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from linegate_bundle.errors import DataError
from linegate_bundle.manifest import PreprocessSpec
from linegate_bundle.run_folder import Part, SplitRow, read_split
from linegate_training.data.group import group_by_block, group_by_image, group_by_pattern
from linegate_training.data.pixels import Pixels, default_cache, preprocess_all
from linegate_training.data.scan import Dataset, check_classes, name_some
from linegate_training.data.split import check_parts, part_counts, split_groups
from linegate_training.options import CorruptImages, TrainOptions

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a training works on.

    Attributes:
        dataset: the images that can be decoded.
        pixels: preprocessed, by content.
        rows: the split, one row an image, in the order of the dataset.
    """

    dataset: Dataset
    pixels: Pixels
    rows: tuple[SplitRow, ...]


def prepare(dataset: Dataset, spec: PreprocessSpec, options: TrainOptions) -> Prepared:
    """Preprocess all images and divide them.

    Raises:
        ConfigError: the group pattern is no usable regular expression.
        DataError: an image is corrupt, the split cannot be made, or the one given does
            not fit the images.
    """
    pixels = preprocess_all(dataset, spec, options.cache or default_cache())
    dataset = _without_corrupt(dataset, pixels, options.corrupt_images)
    if options.split is not None:
        rows = given_split(dataset, options.split, options.corrupt_images)
    else:
        rows = _new_split(dataset, options)
    counts = part_counts([row.part for row in rows], [row.label for row in rows])
    for part, by_label in counts.items():
        _LOG.info("%s: %s", part, ", ".join(f"{label} {n}" for label, n in by_label.items()))
    return Prepared(dataset, pixels, rows)


def given_split(dataset: Dataset, path: Path, corrupt: CorruptImages) -> tuple[SplitRow, ...]:
    """Read a split and check that it is one of exactly these images.

    Rows of corrupt images, which the dataset no longer has, are left out if those are
    to be skipped.

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
                f"{path}: expected the split of the images in {dataset.root}, but {len(names)} "
                f"{what}: {name_some(names)}; make a new split, or restore the images"
            )
    kept = tuple(rows[photo.path] for photo in dataset.photos)
    check_parts([row.part for row in kept], [row.label for row in kept])
    return kept


def _new_split(dataset: Dataset, options: TrainOptions) -> tuple[SplitRow, ...]:
    groups = _groups(dataset, options)
    labels = [photo.label for photo in dataset.photos]
    parts: dict[str, Part] = split_groups(groups, labels, options.fractions, options.seed)
    _LOG.info("%d images in %d groups", len(groups), len(parts))
    return tuple(
        SplitRow(
            path=photo.path,
            label=photo.label,
            group=group,
            part=parts[group],
            sha256=photo.sha256,
        )
        for photo, group in zip(dataset.photos, groups, strict=True)
    )


def _groups(dataset: Dataset, options: TrainOptions) -> Sequence[str]:
    if options.group_block is not None:
        return group_by_block(dataset.photos, options.group_block)
    if options.group_pattern is not None:
        return group_by_pattern(dataset.photos, options.group_pattern)
    return group_by_image(dataset.photos)


def _without_corrupt(dataset: Dataset, pixels: Pixels, corrupt: CorruptImages) -> Dataset:
    bad = [photo for photo in dataset.photos if photo.sha256 in pixels.corrupt]
    if not bad:
        return dataset
    names = name_some(f"{photo.path} ({pixels.corrupt[photo.sha256]})" for photo in bad)
    if corrupt is CorruptImages.REFUSE:
        raise DataError(
            f"{dataset.root}: {len(bad)} of {len(dataset.photos)} images cannot be decoded: "
            f"{names}; repair or remove them, or leave them out with --skip-corrupt"
        )
    _LOG.warning("left out %d images that cannot be decoded: %s", len(bad), names)
    kept = Dataset(
        dataset.root,
        tuple(photo for photo in dataset.photos if photo.sha256 not in pixels.corrupt),
    )
    check_classes(dataset.root, dataset.labels, Counter(photo.label for photo in kept.photos))
    return kept
