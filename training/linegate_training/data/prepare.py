"""From photographs to pixels and a split: everything before the first weight is touched."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import DataError
from linegate_bundle.manifest import Label, PreprocessSpec
from linegate_bundle.run_folder import Part, SplitRow
from linegate_training.data.alike import Alike, find_alike
from linegate_training.data.cache import default_cache
from linegate_training.data.divide import divide, given_split
from linegate_training.data.looks import look_at_all
from linegate_training.data.pixels import Pixels, preprocess_all
from linegate_training.data.scan import Dataset, check_classes, check_conflicts, name_some
from linegate_training.data.soft_label import parse_soft_label
from linegate_training.data.source import load_dataset
from linegate_training.data.split_options import NearDuplicates, SplitOptions
from linegate_training.options import CorruptImages, TrainOptions

_LOG = logging.getLogger(__name__)

Float32Array = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a training works on.

    Attributes:
        dataset: the images that can be decoded.
        pixels: preprocessed, by content.
        rows: the split, one row an image, in the order of the dataset.
        alike: pictures that look alike; None if they were not looked for.
    """

    dataset: Dataset
    pixels: Pixels
    rows: tuple[SplitRow, ...]
    alike: Alike | None = None

    def part(self, part: Part) -> tuple[SplitRow, ...]:
        """Return the rows of one part, in their order."""
        return tuple(row for row in self.rows if row.part is part)

    def weights(self, part: Part) -> Float32Array:
        """Return how much each image of a part counts, shape ``(images,)``, 0 or more."""
        return np.array([row.weight for row in self.part(part)], np.float32)

    def targets(self, part: Part, labels: Sequence[Label]) -> Float32Array:
        """Return the share of every label in each image of a part.

        Args:
            part: which part.
            labels: in the model's order.

        Returns:
            Shape ``(images, labels)``; rows sum to 1: the soft label, or 1 for the label.
        """
        names = [label.name for label in labels]
        result = np.zeros((len(self.part(part)), len(names)), np.float32)
        for target, row in zip(result, self.part(part), strict=True):
            for name, share in _shares(row, names).items():
                target[names.index(name)] = share
        return result


def prepare(dataset: Dataset, spec: PreprocessSpec, options: TrainOptions) -> Prepared:
    """Preprocess all images and divide them.

    Raises:
        ConfigError: the group pattern is no usable regular expression.
        DataError: an image is corrupt, one is in several classes, the split cannot be
            made, or the one given does not fit the images.
    """
    _check_early(dataset, options.splitting, options.corrupt_images)
    cache = options.cache or default_cache()
    pixels = preprocess_all(dataset, spec, cache)
    dataset = without_corrupt(dataset, pixels.corrupt, options.corrupt_images)
    check_conflicts(dataset.photos)
    alike = _look_for_alike(dataset, options.splitting, cache)
    rows = _divide(dataset, options.splitting, options.corrupt_images, alike)
    return Prepared(dataset, pixels, rows, alike)


def split_only(
    source: Path, options: SplitOptions, corrupt: CorruptImages, cache: Path | None
) -> tuple[SplitRow, ...]:
    """Return the split that a training with the same options uses.

    Args:
        source: a folder or a CSV file.
        options: how to divide.
        corrupt: what happens to images that cannot be decoded.
        cache: folder for what is computed once; default: the user's cache folder.

    Raises:
        ConfigError: the group pattern is no usable regular expression.
        DataError: as for :func:`prepare`.
    """
    dataset = load_dataset(source)
    _check_early(dataset, options, corrupt)
    cache = cache or default_cache()
    looks = look_at_all(dataset, cache)
    dataset = without_corrupt(dataset, looks.corrupt, corrupt)
    check_conflicts(dataset.photos)
    return _divide(dataset, options, corrupt, _look_for_alike(dataset, options, cache))


def without_corrupt(
    dataset: Dataset, reasons: Mapping[str, str], corrupt: CorruptImages
) -> Dataset:
    """Leave out images that cannot be decoded, or refuse them.

    Args:
        dataset: all images.
        reasons: why an image is corrupt, by the SHA-256 of its content.
        corrupt: what happens to them.

    Raises:
        DataError: there are some and they are refused, or a class has no others.
    """
    bad = [photo for photo in dataset.photos if photo.sha256 in reasons]
    if not bad:
        return dataset
    names = name_some(f"{photo.path} ({reasons[photo.sha256]})" for photo in bad)
    if corrupt is CorruptImages.REFUSE:
        raise DataError(
            f"{dataset.source}: {len(bad)} of {len(dataset.photos)} images cannot be decoded: "
            f"{names}; repair or remove them, or leave them out with --skip-corrupt"
        )
    _LOG.warning("left out %d images that cannot be decoded: %s", len(bad), names)
    decoded = tuple(photo for photo in dataset.photos if photo.sha256 not in reasons)
    check_classes(dataset.source, dataset.labels, Counter(photo.label for photo in decoded))
    return dataclasses.replace(dataset, photos=decoded)


def _check_early(dataset: Dataset, options: SplitOptions, corrupt: CorruptImages) -> None:
    """Find what can be found before all images are decoded, which takes minutes."""
    if options.split is not None:
        given_split(dataset, options.split, corrupt)
    if corrupt is CorruptImages.REFUSE:  # else those in several classes may be left out
        check_conflicts(dataset.photos)


def _look_for_alike(dataset: Dataset, options: SplitOptions, cache: Path) -> Alike | None:
    if options.near_duplicates is NearDuplicates.IGNORE:
        return None
    return find_alike(dataset, look_at_all(dataset, cache))


def _divide(
    dataset: Dataset, options: SplitOptions, corrupt: CorruptImages, alike: Alike | None
) -> tuple[SplitRow, ...]:
    rows = divide(dataset, options, corrupt, alike)
    _check_soft_labels(rows, dataset.labels)
    return rows


def _check_soft_labels(rows: Sequence[SplitRow], labels: Sequence[str]) -> None:
    for row in rows:
        try:
            _shares(row, labels)
        except ValueError as error:
            raise DataError(f"{row.path}: soft label: {error}; correct the split") from error


def _shares(row: SplitRow, labels: Sequence[str]) -> dict[str, float]:
    if not row.soft_label:
        return {row.label: 1.0}
    return parse_soft_label(row.soft_label, row.label, labels)
