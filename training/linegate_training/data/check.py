"""Checking photographs before a training: what is there, and what is wrong with it."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from linegate_bundle.run_folder import Part, SplitRow
from linegate_training.data.alike import Alike, find_alike
from linegate_training.data.cache import AnyArray, default_cache
from linegate_training.data.clusters import Clusters
from linegate_training.data.conclude import conclude
from linegate_training.data.divide import given_split
from linegate_training.data.findings import (
    REPORT_SCHEMA_VERSION,
    AlikePair,
    ClassFigures,
    CorruptFile,
    DataReport,
    Place,
    Tally,
)
from linegate_training.data.leaks import find_leaks
from linegate_training.data.looks import Looks, look_at_all
from linegate_training.data.outliers import find_outliers
from linegate_training.data.scan import Dataset, Photo
from linegate_training.data.source import load_dataset
from linegate_training.options import CorruptImages

_EXAMPLES = 12
"""Images of each class that the page shows."""


def check_data(source: Path, *, split: Path | None = None, cache: Path | None = None) -> DataReport:
    """Look at all photographs and report what is wrong with them.

    Args:
        source: a folder or a CSV file, see
            :func:`linegate_training.data.source.load_dataset`.
        split: ``split.csv`` of a run, to be checked too; default: the split that the data
            come with, if any.
        cache: folder for what is computed once; default: the user's cache folder.

    Raises:
        DataError: the source is not usable at all, or the split is not one of its images.
    """
    whole = load_dataset(source)
    looks = look_at_all(whole, cache or default_cache())
    decoded = tuple(photo for photo in whole.photos if photo.sha256 not in looks.corrupt)
    dataset = dataclasses.replace(whole, photos=decoded)
    seen = _Seen(whole, dataset, looks, find_alike(dataset, looks), _rows(dataset, split))
    report = DataReport(
        schema_version=REPORT_SCHEMA_VERSION,
        source=str(source),
        root=str(whole.root.absolute()),
        images=len(whole.photos),
        contents=len(seen.alike.photos),
        classes=seen.classes(),
        sizes=_tally(f"{look['width']} x {look['height']}" for look in seen.each),
        formats=_tally(map(_format, seen.each)),
        parts=seen.parts(),
        findings=(),
        corrupt=tuple(
            CorruptFile(photo.path, looks.corrupt[photo.sha256])
            for photo in whole.photos
            if photo.sha256 in looks.corrupt
        ),
        identical=tuple(tuple(photo.path for photo in same) for same in seen.identical()),
        near_duplicates=seen.near_duplicates(),
        bursts=seen.bursts(),
        conflicts=seen.conflicts(),
        leaks=seen.leaks(),
        outliers=tuple(
            find_outliers(
                dataset.photos,
                seen.each["brightness"].astype(np.float64),
                seen.each["sharpness"].astype(np.float64),
            )
        ),
    )
    return conclude(report, seen.each)


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What the parts of a report are made from.

    Attributes:
        whole: all photographs.
        dataset: those that can be decoded.
        looks: by content.
        alike: among those that can be decoded.
        rows: the split; empty if there is none.
    """

    whole: Dataset
    dataset: Dataset
    looks: Looks
    alike: Alike
    rows: tuple[SplitRow, ...]

    @property
    def each(self) -> AnyArray:
        """The look at each photograph that can be decoded, in their order."""
        numbers = [self.looks.rows[photo.sha256] for photo in self.dataset.photos]
        return self.looks.array[np.array(numbers, np.int64)]

    def classes(self) -> tuple[ClassFigures, ...]:
        """Return figures of every class, also of one that has only corrupt images."""
        photos = self.dataset.photos
        labels = np.array([photo.label for photo in photos])
        each = self.each
        return tuple(
            ClassFigures(
                label=label,
                images=int(members.sum()),
                share=float(members.mean()) if len(labels) else 0.0,
                brightness=_median(each["brightness"][members]),
                sharpness=_median(each["sharpness"][members]),
                examples=_spread([photo.path for photo in photos if photo.label == label]),
            )
            for label in self.whole.labels
            for members in [labels == label]
        )

    def parts(self) -> tuple[Tally, ...]:
        """Return how many images each part has, if there is a split."""
        counts = Counter(row.part for row in self.rows)
        return tuple(Tally(part, counts[part]) for part in Part if counts[part])

    def identical(self) -> list[tuple[Photo, ...]]:
        """Return identical files, those of one content together."""
        same: dict[str, list[Photo]] = defaultdict(list)
        for photo in self.dataset.photos:
            same[photo.sha256].append(photo)
        return [tuple(photos) for photos in same.values() if len(photos) > 1]

    def near_duplicates(self) -> tuple[AlikePair, ...]:
        """Return the near duplicates, closest first."""
        places = self._places()
        return tuple(
            AlikePair(
                places[self.alike.photos[pair.first].path],
                places[self.alike.photos[pair.second].path],
                pair.distance,
            )
            for pair in self.alike.duplicates
        )

    def bursts(self) -> tuple[tuple[str, ...], ...]:
        """Return the images of every burst."""
        clusters = Clusters([photo.path for photo in self.alike.photos])
        for pair in self.alike.bursts:
            clusters.join(self.alike.photos[pair.first].path, self.alike.photos[pair.second].path)
        return tuple(clusters.members())

    def conflicts(self) -> tuple[AlikePair, ...]:
        """Return pairs that show one picture under two labels, identical files first."""
        places = self._places()
        identical = [
            AlikePair(places[one.path], places[other.path], 0.0)
            for same in self.identical()
            for one, other in pairwise(sorted(same, key=lambda photo: photo.label))
            if one.label != other.label
        ]
        near = [pair for pair in self.near_duplicates() if pair.first.label != pair.second.label]
        return (*identical, *near)

    def leaks(self) -> tuple[AlikePair, ...]:
        """Return pairs that show one picture in two parts of the split."""
        distances = {
            (self.alike.photos[pair.first].sha256, self.alike.photos[pair.second].sha256): (
                pair.distance
            )
            for pair in self.alike.duplicates
        }
        return tuple(
            AlikePair(
                Place(one.path, one.label, one.part),
                Place(other.path, other.label, other.part),
                distances.get((one.sha256, other.sha256), 0.0),
            )
            for one, other in find_leaks(self.rows, self.alike)
        )

    def _places(self) -> Mapping[str, Place]:
        parts = {row.path: row.part for row in self.rows}
        return {
            photo.path: Place(photo.path, photo.label, parts.get(photo.path))
            for photo in self.dataset.photos
        }


def _rows(dataset: Dataset, split: Path | None) -> tuple[SplitRow, ...]:
    """Return the split to check: the one given, or that of the data."""
    if split is not None:
        return given_split(dataset, split, CorruptImages.SKIP)
    return tuple(
        SplitRow(photo.path, photo.label, photo.group or photo.path, photo.part, photo.sha256)
        for photo in dataset.photos
        if photo.part is not None
    )


def _spread(paths: Sequence[str]) -> tuple[str, ...]:
    """Choose some paths from the first to the last, at even distances."""
    places = np.linspace(0, len(paths) - 1, _EXAMPLES).round().astype(int)
    return tuple(paths[place] for place in np.unique(places)) if paths else ()


def _tally(names: Iterable[str]) -> tuple[Tally, ...]:
    counted = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    return tuple(Tally(name, count) for name, count in counted)


def _format(look: AnyArray) -> str:
    return f"{look['bits']} bit {'colour' if look['coloured'] else 'grey'}"


def _median(values: Sequence[float] | AnyArray) -> float:
    return float(np.median(values)) if len(values) else 0.0
