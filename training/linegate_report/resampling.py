"""Intervals from drawing whole groups again, where pictures of a group are alike."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from linegate_bundle.manifest import Interval
from linegate_report.statistics import CONFIDENCE, BoolArray, Float64Array

_RESAMPLES = 1000
_FEWEST_GROUPS = 20
"""With fewer, resampling whole groups gives intervals that are far too narrow."""

Statistic = Callable[[Float64Array], float | None]
"""Takes how often each picture counts; None where these weights leave nothing to measure."""


def group_interval(groups: Sequence[str], statistic: Statistic) -> Interval | None:
    """Return the 95 % interval of a statistic from a cluster bootstrap.

    Whole groups are drawn with replacement, 1000 times with a fixed seed, and the
    interval holds the middle 95 % of the values (Field and Welsh, "Bootstrapping
    clustered data", 2007).

    Args:
        groups: group of each picture.
        statistic: what is measured on weighted pictures.

    Returns:
        None if there are fewer than 20 groups, or if all draws agree.
    """
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < _FEWEST_GROUPS:
        return None
    drawn = (statistic(weight) for weight in _weights(group, len(names)))
    values = [value for value in drawn if value is not None]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high)) if low < high else None


def area_interval(
    defect_score: Float64Array, defective: BoolArray, groups: Sequence[str]
) -> Interval | None:
    """Return the interval of the area under the ROC curve, see :func:`group_interval`.

    Draws without good or without defective pictures are left out.

    Args:
        defect_score: higher for what is more likely a defect, ``(n,)``.
        defective: the truth, ``(n,)``, with at least one of each.
        groups: group of each picture.

    Returns:
        None also if fewer than 20 groups hold good, or defective, pictures.
    """
    names = np.asarray(groups)
    if min(len(set(names[defective])), len(set(names[~defective]))) < _FEWEST_GROUPS:
        return None
    _, rank = np.unique(defect_score, return_inverse=True)
    return group_interval(groups, lambda weight: weighted_area(rank, defective, weight))


def weighted_area(
    rank: npt.NDArray[np.int64], defective: BoolArray, weight: Float64Array
) -> float | None:
    """Return the area under the ROC curve of pictures that count more than once.

    Sorting once and counting here is far quicker than a library's call a resample.

    Args:
        rank: of the score, from 0, equal scores have the same, ``(n,)``.
        defective: the truth, ``(n,)``.
        weight: how often each counts, ``(n,)``.

    Returns:
        The area; None if all that count are good, or all defective.
    """
    defects = np.bincount(rank, weight * defective)
    goods = np.bincount(rank, weight * ~defective)
    pairs = defects.sum() * goods.sum()
    if not pairs:
        return None
    below = np.cumsum(goods) - goods
    return float((defects * (below + goods / 2)).sum() / pairs)


def macro_f1(
    truth: npt.NDArray[np.int64],
    given: npt.NDArray[np.int64],
    classes: int,
    weight: Float64Array | None = None,
) -> float:
    """Return the mean of the classes' F1, the harmonic mean of precision and recall.

    Args:
        truth: number of each picture's true class, ``(n,)``.
        given: number of the class that each is given, ``(n,)``.
        classes: how many there are; one that is neither true nor given counts 0.
        weight: how often each picture counts, ``(n,)``; None counts each once.
    """
    both = np.bincount(truth[truth == given], _of(weight, truth == given), minlength=classes)
    total = np.bincount(truth, weight, minlength=classes) + np.bincount(
        given, weight, minlength=classes
    )
    return float(np.divide(2 * both, total, out=np.zeros(classes), where=total > 0).mean())


def _of(weight: Float64Array | None, chosen: BoolArray) -> Float64Array | None:
    return None if weight is None else weight[chosen]


def _weights(group: npt.NDArray[np.int64], count: int) -> Iterator[Float64Array]:
    """Give how often each picture is drawn when its groups are, once a resample."""
    random = np.random.default_rng(0)
    for _ in range(_RESAMPLES):
        drawn = np.bincount(random.integers(count, size=count), minlength=count)
        yield drawn[group].astype(np.float64)
