"""Figures of merit by class and over all, with intervals."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from linegate_bundle.decide import Float64Array
from linegate_bundle.manifest import Interval, Label
from linegate_report.statistics import CONFIDENCE, BoolArray, area_under_roc, exact_interval
from linegate_training.report.evaluation import Evaluation

_RESAMPLES = 1000
_FEWEST_GROUPS = 20
"""With fewer, resampling whole groups gives intervals that are far too narrow."""


@dataclasses.dataclass(frozen=True)
class Proportion:
    """A share of a number of pictures, with its exact interval."""

    successes: int
    trials: int
    interval: Interval

    @property
    def value(self) -> float | None:
        """The share; None where nothing was tried."""
        return self.successes / self.trials if self.trials else None

    @classmethod
    def of(cls, hits: BoolArray) -> "Proportion":
        """Count what is true in an array ``(n,)``."""
        successes = int(np.count_nonzero(hits))
        return cls(successes, len(hits), exact_interval(successes, len(hits)))


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """How well one label is told.

    Attributes:
        label: the label.
        precision: share of the pictures given this label that have it.
        recall: share of the pictures that have this label that are given it.
        f1: harmonic mean of both; 0 where nothing is right.
    """

    label: Label
    precision: Proportion
    recall: Proportion
    f1: float


@dataclasses.dataclass(frozen=True)
class Area:
    """The area under a ROC curve.

    Attributes:
        value: the area.
        interval: from resampling whole groups; None if there are fewer than 20 groups of
            one kind, where it would be too narrow, or if all resamples agree.
    """

    value: float
    interval: Interval | None


@dataclasses.dataclass(frozen=True)
class Scores:
    """The figures of one part.

    Attributes:
        accuracy: share of the pictures that are given their true label.
        accuracy_by_group: its interval from resampling whole groups, as pictures of a
            group are alike; None under the same conditions as that of the area.
        macro_f1: mean of the classes' F1.
        found: share of the defective pictures that are given a label with the role defect.
        passed: share of the good pictures that are given a label with the role good.
        area: of the defect probability, defective against good.
        classes: one entry a label.
    """

    accuracy: Proportion
    accuracy_by_group: Interval | None
    macro_f1: float
    found: Proportion
    passed: Proportion
    area: Area
    classes: tuple[ClassScore, ...]


def score(evaluation: Evaluation) -> Scores:
    """Hold an evaluation against the truth."""
    classes = tuple(_class_score(evaluation, label) for label in evaluation.labels)
    defective, called = evaluation.defective, evaluation.called_defective
    right = evaluation.right
    return Scores(
        accuracy=Proportion.of(right),
        accuracy_by_group=_accuracy_by_group(right, evaluation.groups),
        macro_f1=float(np.mean([one.f1 for one in classes])),
        found=Proportion.of(called[defective]),
        passed=Proportion.of(~called[~defective]),
        area=area_by_group(evaluation.defect_probability, defective, evaluation.groups),
        classes=classes,
    )


def area_by_group(
    score_of_defect: Float64Array, defective: BoolArray, groups: Sequence[str]
) -> Area:
    """Return the area under the ROC curve with an interval from a cluster bootstrap.

    Whole groups are drawn with replacement, 1000 times with a fixed seed, and the
    interval holds the middle 95 % of the areas (Field and Welsh, "Bootstrapping
    clustered data", 2007). Draws without good or without defective pictures are left out.

    Args:
        score_of_defect: higher for what is more likely a defect, ``(n,)``.
        defective: the truth, ``(n,)``, with at least one of each.
        groups: group of each picture.
    """
    value = area_under_roc(score_of_defect, defective)
    _, group = np.unique(groups, return_inverse=True)
    if min(len(np.unique(group[defective])), len(np.unique(group[~defective]))) < _FEWEST_GROUPS:
        return Area(value, None)
    _, rank = np.unique(score_of_defect, return_inverse=True)
    drawn = (weighted_area(rank, defective, weight) for weight in _resampled_weights(group))
    return Area(value, _middle([area for area in drawn if area is not None]))


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


def _accuracy_by_group(right: BoolArray, groups: Sequence[str]) -> Interval | None:
    _, group = np.unique(groups, return_inverse=True)
    if group.max() + 1 < _FEWEST_GROUPS:
        return None
    return _middle([np.average(right, weights=weight) for weight in _resampled_weights(group)])


def _resampled_weights(group: npt.NDArray[np.int64]) -> Iterator[Float64Array]:
    """Give how often each picture is drawn when its groups are, once a resample."""
    random = np.random.default_rng(0)
    count = int(group.max()) + 1
    for _ in range(_RESAMPLES):
        drawn = np.bincount(random.integers(count, size=count), minlength=count)
        yield drawn[group].astype(np.float64)


def _middle(values: Sequence[float]) -> Interval | None:
    """Return the interval of resampled values; None if they are all the same."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high)) if low < high else None


def _class_score(evaluation: Evaluation, label: Label) -> ClassScore:
    is_label = np.array(evaluation.truth) == label.name
    called = np.array(evaluation.given) == label.name
    both = int(np.count_nonzero(is_label & called))
    total = int(is_label.sum() + called.sum())
    return ClassScore(
        label=label,
        precision=Proportion.of(is_label[called]),
        recall=Proportion.of(called[is_label]),
        f1=2 * both / total if total else 0.0,
    )
