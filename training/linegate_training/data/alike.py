"""Photographs that belong together because they look alike: near duplicates and bursts."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from linegate_training.data.alignment import Aligner
from linegate_training.data.bursts import find_bursts
from linegate_training.data.clusters import Clusters
from linegate_training.data.duplicates import Pair, find_near_duplicates
from linegate_training.data.looks import Looks
from linegate_training.data.scan import Dataset, Photo


@dataclasses.dataclass(frozen=True)
class Alike:
    """Photographs that look alike, as pairs of one for each different content.

    Attributes:
        photos: one for each different content; what the pairs' numbers mean.
        duplicates: pairs that show one picture, closest first.
        bursts: pairs that follow each other and show one part.
    """

    photos: tuple[Photo, ...]
    duplicates: tuple[Pair, ...]
    bursts: tuple[Pair, ...]

    def related(self) -> list[tuple[Photo, Photo]]:
        """Return all pairs as photographs, near duplicates first."""
        return [
            (self.photos[pair.first], self.photos[pair.second])
            for pair in (*self.duplicates, *self.bursts)
        ]


def find_alike(dataset: Dataset, looks: Looks) -> Alike:
    """Look for near duplicates and bursts among the photographs that can be decoded."""
    first: dict[str, Photo] = {}
    for photo in dataset.photos:
        if photo.sha256 not in looks.corrupt:
            first.setdefault(photo.sha256, photo)
    photos = tuple(first.values())
    rows = np.array([looks.rows[photo.sha256] for photo in photos], np.int64)
    if len(photos) < 2:  # noqa: PLR2004 - a pair
        return Alike(photos, (), ())
    thumbnails = looks.array["thumbnail"][rows]
    aligner = Aligner(thumbnails)
    duplicates = find_near_duplicates(thumbnails, aligner)
    known = {(pair.first, pair.second) for pair in duplicates}
    bursts = find_bursts(
        [photo.file_name for photo in photos],
        looks.array["taken_s"][rows].tolist(),
        [photo.path.rpartition("/")[0] for photo in photos],
        aligner,
    )
    return Alike(
        photos,
        tuple(duplicates),
        tuple(pair for pair in bursts if (pair.first, pair.second) not in known),
    )


def join_alike(
    photos: Sequence[Photo], groups: Sequence[str], related: Sequence[tuple[Photo, Photo]]
) -> list[str]:
    """Make groups one that hold pictures which look alike.

    Args:
        photos: with the groups, in the same order.
        groups: group of each, identical files in one.
        related: pairs of them.
    """
    clusters = Clusters(groups)
    of_content = {photo.sha256: group for photo, group in zip(photos, groups, strict=True)}
    for one, other in related:
        clusters.join(of_content[one.sha256], of_content[other.sha256])
    return [clusters.find(group) for group in groups]
