"""Figures of merit by class and over all, with intervals."""

import dataclasses

import numpy as np

from linegate_bundle.manifest import Interval, Label
from linegate_report.resampling import area_interval, group_interval
from linegate_report.statistics import BoolArray, area_under_roc, exact_interval
from linegate_training.report.evaluation import Evaluation


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
        accuracy_by_group=group_interval(
            evaluation.groups, lambda weight: float(np.average(right, weights=weight))
        ),
        macro_f1=float(np.mean([one.f1 for one in classes])),
        found=Proportion.of(called[defective]),
        passed=Proportion.of(~called[~defective]),
        area=Area(
            area_under_roc(evaluation.defect_probability, defective),
            area_interval(evaluation.defect_probability, defective, evaluation.groups),
        ),
        classes=classes,
    )


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
