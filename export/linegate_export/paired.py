"""Two models on the same pictures: what changed from one to the other, and what that proves."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from linegate_bundle.decide import Decision
from linegate_bundle.manifest import Label, Role, Verdict
from linegate_report.statistics import loss_bound, mcnemar, upper_bound

BoolArray = npt.NDArray[np.bool_]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures on which one of two paired models alone does right.

    Attributes:
        of: pictures in all.
        lost: right by the first alone.
        gained: right by the second alone.
        p_value: exact McNemar, two-sided, of both being equally often right.
        bound: one-sided 95 % upper bound of the share that is lost, less what is gained; 1 if
            there is no picture.
        lost_bound: the same of what is lost alone, exact.
    """

    of: int
    lost: int
    gained: int
    p_value: float
    bound: float
    lost_bound: float

    @property
    def net(self) -> int:
        """Pictures lost, less those gained."""
        return self.lost - self.gained


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """A second model against a first on the same pictures.

    Attributes:
        labels: right is the true label; all pictures.
        classes: the same, pictures of each true label.
        escapes: right is any verdict but accept; defective pictures. Lost is a new escape.
        false_rejects: right is any verdict but reject; good pictures. Lost is a new one.
        largest_change: of the defect probability.
        mean_change: of the defect probability, without sign.
    """

    labels: Change
    classes: dict[str, Change]
    escapes: Change
    false_rejects: Change
    largest_change: float
    mean_change: float


def compare(
    first: Sequence[Decision],
    second: Sequence[Decision],
    truth: Sequence[str],
    labels: Sequence[Label],
) -> Paired:
    """Compare labels and verdicts that two models give the same pictures.

    Args:
        first: of the model that is held against, such as the float model.
        second: of the other.
        truth: true label of each picture.
        labels: the labels of both models.
    """
    names = np.array(truth)
    defects = [label.name for label in labels if label.role is Role.DEFECT]
    defective = np.isin(names, defects)
    before, after = (
        np.array([decision.label for decision in one]) == names for one in (first, second)
    )
    changes = np.abs(
        [
            one.defect_probability - two.defect_probability
            for one, two in zip(first, second, strict=True)
        ]
    )
    return Paired(
        labels=_change(before, after),
        classes={
            label.name: _change(before[names == label.name], after[names == label.name])
            for label in labels
        },
        escapes=_change(*(_other_than(Verdict.ACCEPT, one)[defective] for one in (first, second))),
        false_rejects=_change(
            *(_other_than(Verdict.REJECT, one)[~defective] for one in (first, second))
        ),
        largest_change=float(changes.max()),
        mean_change=float(changes.mean()),
    )


def _other_than(verdict: Verdict, decisions: Sequence[Decision]) -> BoolArray:
    return np.array([decision.verdict is not verdict for decision in decisions])


def _change(before: BoolArray, after: BoolArray) -> Change:
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    return Change(
        of=len(before),
        lost=lost,
        gained=gained,
        p_value=mcnemar(lost, gained),
        bound=loss_bound(lost, gained, len(before)) if len(before) else 1.0,
        lost_bound=upper_bound(lost, len(before)),
    )
