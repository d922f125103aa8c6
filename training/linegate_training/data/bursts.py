"""Bursts: pictures of one part, or of parts cut from one piece, taken one after the other."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from linegate_training.data.alignment import Aligner
from linegate_training.data.duplicates import Pair

_SAMPLE = 2000
"""Unrelated pairs that say how alike the pictures of this data set are anyway."""
_SEED = 0
_APART = 0.1
"""Unrelated are pictures at least this share of the data set apart in the order."""
_QUANTILE = 0.01
_CLOSER = 0.5
"""A burst's pictures are at most this much as far apart as the closest unrelated pairs."""
_FEWEST = 16
"""With fewer pictures there is no telling what is unrelated."""
_SECONDS = 5.0
"""Pictures of a burst are at most this far apart by the camera's clock."""


def find_bursts(
    names: Sequence[str], taken_s: Sequence[float], folders: Sequence[str], aligner: Aligner
) -> list[Pair]:
    """Find pictures that follow each other and are far more alike than unrelated ones.

    Pictures follow each other by file name over all folders (numbers count as numbers), by
    file name within a folder, or within seconds by the camera's clock.

    Args:
        names: file name of each picture.
        taken_s: when each was taken, not a number if unknown.
        folders: folder of each.
        aligner: of the pictures.

    Returns:
        Pairs of neighbours, sorted.
    """
    if len(names) < _FEWEST:
        return []
    keys = [natural_key(name) for name in names]
    by_name = sorted(range(len(names)), key=lambda i: (keys[i], folders[i]))
    by_folder = sorted(range(len(names)), key=lambda i: (folders[i], keys[i]))
    limit = _limit(by_name, aligner)
    following = {
        *pairwise(by_name),
        *((one, other) for one, other in pairwise(by_folder) if folders[one] == folders[other]),
        *_by_clock(taken_s),
    }
    return sorted(
        (
            Pair(one, other, distance, 0)
            for one, other in {(min(pair), max(pair)) for pair in following}
            if (distance := aligner.distance(one, other, 0)) <= limit
        ),
        key=lambda pair: (pair.first, pair.second),
    )


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return what to sort file names by so that 2 comes before 10."""
    return tuple(
        (0, int(digits), "") if digits else (1, 0, text)
        for digits, text in re.findall(r"([0-9]+)|([^0-9]+)", name)
    )


def _by_clock(taken_s: Sequence[float]) -> Iterable[tuple[int, int]]:
    known = [image for image, seconds in enumerate(taken_s) if not np.isnan(seconds)]
    known.sort(key=lambda image: (taken_s[image], image))
    return (
        (one, other) for one, other in pairwise(known) if taken_s[other] - taken_s[one] <= _SECONDS
    )


def _limit(order: Sequence[int], aligner: Aligner) -> float:
    """Return the distance up to which pictures that follow each other are a burst."""
    images = len(order)
    random = np.random.default_rng(_SEED)
    apart = max(1, round(_APART * images))
    first = random.integers(0, images, _SAMPLE)
    second = (first + random.integers(apart, images - apart + 1, _SAMPLE)) % images
    unrelated = [
        aligner.distance(order[one], order[other], 0)
        for one, other in sorted(set(zip(first.tolist(), second.tolist(), strict=True)))
    ]
    return _CLOSER * float(np.quantile(unrelated, _QUANTILE))
