"""Near duplicates: one picture saved again, turned, mirrored, brightened, shifted or rescaled.

Parts on a line look alike, so no fixed similarity will do. A pair is a near duplicate if it
is far closer than two pictures of this data set are that merely look alike.
"""

import bisect
import dataclasses

import numpy as np

from linegate_bundle.preprocess import UInt8Array
from linegate_training.data.alignment import Aligner
from linegate_training.data.spectra import Neighbours, describe, nearest, standardize

_CANDIDATES = 8
"""Neighbours of each image that are looked at closely."""
_LOOKALIKE_SHARE = 0.01
"""A picture's lookalikes are those behind this share of its nearest neighbours."""
_FARTHER_RANKS = (2, 4)
"""Where else they are looked for, times as far back: a picture may have that many copies."""
_LOOKALIKES = 3
"""Neighbours at each rank; their median counts."""
_CLOSER = 0.08
"""A near duplicate is at most this much as far away as the lookalikes are."""
_FARTHEST = 0.06
"""No pair at a greater distance is a near duplicate, however lonely it is."""
_SAME = 0.002
"""A pair within this distance is one, however many such there are."""
_WORTH_A_LOOK = 0.75
"""Candidates are dropped whose spectra are farther apart than this share of the lookalikes'."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two images that are alike.

    Attributes:
        first: number of an image.
        second: number of the other, greater than ``first``.
        distance: see :meth:`linegate_training.data.alignment.Aligner.distance`.
        turn: of the second towards the first, see
            :func:`linegate_training.data.spectra.turned`.
    """

    first: int
    second: int
    distance: float
    turn: int


def find_near_duplicates(thumbnails: UInt8Array, aligner: Aligner) -> list[Pair]:
    """Find all pairs that show one picture.

    Args:
        thumbnails: grey, shape ``(images, side, side)``, all of different files.
        aligner: of the same thumbnails.

    Returns:
        Pairs, sorted by distance.
    """
    images = len(thumbnails)
    if images < 2:  # noqa: PLR2004 - a pair
        return []
    rank = max(_CANDIDATES, round(_LOOKALIKE_SHARE * images))
    neighbours = nearest(describe(standardize(thumbnails)), _ranks(images, rank))
    pairs = _candidates(neighbours)
    close = {key: aligner.distance_either_way(*key, turn) for key, turn in pairs.items()}
    close = {key: found for key, found in close.items() if found[0] <= _FARTHEST}
    lookalikes = {
        image: _lookalike_distance(image, neighbours, aligner, rank)
        for image in sorted({image for key in close for image in key})
    }
    return sorted(
        (
            Pair(*key, distance, turn)
            for key, (distance, turn) in close.items()
            if distance <= max(_SAME, _CLOSER * min(lookalikes[image] for image in key))
        ),
        key=lambda pair: (pair.distance, pair.first, pair.second),
    )


def _ranks(images: int, rank: int) -> tuple[int, ...]:
    """Return which neighbours are needed: the candidates, and lookalikes at several ranks."""
    wanted = set(range(_CANDIDATES))
    for factor in (1, *_FARTHER_RANKS):
        start = max(0, min(factor * rank, images - 1 - _LOOKALIKES))
        wanted |= set(range(start, start + _LOOKALIKES))
    return tuple(sorted(place for place in wanted if place < images - 1))


def _candidates(neighbours: Neighbours) -> dict[tuple[int, int], int]:
    """Return the pairs that are worth a closer look, with the turn of the second."""
    apart = 1 - neighbours.similarity[:, :_CANDIDATES]
    limit = _WORTH_A_LOOK * (1 - neighbours.similarity[:, -1:])
    pairs: dict[tuple[int, int], int] = {}
    for image, place in np.argwhere(apart <= limit):
        other = int(neighbours.index[image, place])
        turn = int(neighbours.turn[image, place])
        if image < other:
            pairs[int(image), other] = turn
        else:
            # Up to half a turn, which is tried anyway, each of these turns undoes itself.
            pairs.setdefault((other, int(image)), turn)
    return pairs


def _lookalike_distance(image: int, neighbours: Neighbours, aligner: Aligner, rank: int) -> float:
    """Return how far away pictures are that only look like an image.

    Where the distance jumps between two ranks, the nearer ones are copies of the image.
    """
    first = nearer = _median_distance(image, neighbours, aligner, rank)
    for factor in _FARTHER_RANKS:
        if nearer > _CLOSER:  # no distance is above 1, so no jump can follow
            break
        farther = _median_distance(image, neighbours, aligner, factor * rank)
        if nearer <= _CLOSER * farther:
            return farther
        nearer = farther
    return first


def _median_distance(image: int, neighbours: Neighbours, aligner: Aligner, rank: int) -> float:
    """Return the median distance of the neighbours from a rank on, or of the last ones."""
    last = len(neighbours.ranks) - _LOOKALIKES
    start = max(0, min(bisect.bisect_left(neighbours.ranks, rank), last))
    distances = [
        aligner.distance_either_way(
            image, int(neighbours.index[image, place]), int(neighbours.turn[image, place])
        )[0]
        for place in range(len(neighbours.ranks))[start : start + _LOOKALIKES]
    ]
    return float(np.median(distances))
