"""An artifact against the float model on the same pictures: what changed, and what that proves."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from linegate_bundle.manifest import Label, Verdict
from linegate_export.evaluate import Score
from linegate_export.pictures import Pictures
from linegate_report.statistics import loss_bound, mcnemar

BoolArray = npt.NDArray[np.bool_]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures on which one of two paired models alone does right.

    Attributes:
        of: pictures in all.
        lost: right by the float model alone.
        gained: right by the artifact alone.
        p_value: exact McNemar, two-sided, of both being equally often right.
        bound: one-sided 95 % upper bound of the share that is lost; 1 if there is no picture.
    """

    of: int
    lost: int
    gained: int
    p_value: float
    bound: float

    @property
    def net(self) -> int:
        """Pictures lost, less those gained."""
        return self.lost - self.gained


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact against the float model on the same pictures.

    Attributes:
        labels: right is the true label; all pictures.
        classes: the same, pictures of each true label.
        escapes: right is any verdict but accept; defective pictures. Lost is a new escape.
        largest_change: of the defect probability.
        mean_change: of the defect probability, without sign.
    """

    labels: Change
    classes: dict[str, Change]
    escapes: Change
    largest_change: float
    mean_change: float


def compare(float32: Score, artifact: Score, pictures: Pictures, labels: Sequence[Label]) -> Paired:
    """Compare an artifact's labels and verdicts with the float model's.

    Args:
        float32: of the float model.
        artifact: of the artifact, on the same pictures, by the same policy.
        pictures: those pictures.
        labels: the model's labels.
    """
    truth = np.array(pictures.labels)
    before, after = (np.array(score.labels) == truth for score in (float32, artifact))
    defective = pictures.defective(labels)
    stopped = [_stopped(score)[defective] for score in (float32, artifact)]
    changes = np.abs(
        artifact.evaluation.defect_probability(labels)
        - float32.evaluation.defect_probability(labels)
    )
    return Paired(
        labels=_change(before, after),
        classes={
            label.name: _change(before[truth == label.name], after[truth == label.name])
            for label in labels
        },
        escapes=_change(*stopped),
        largest_change=float(changes.max()),
        mean_change=float(changes.mean()),
    )


def _stopped(score: Score) -> BoolArray:
    return np.array([decision.verdict is not Verdict.ACCEPT for decision in score.decisions])


def _change(before: BoolArray, after: BoolArray) -> Change:
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    return Change(
        of=len(before),
        lost=lost,
        gained=gained,
        p_value=mcnemar(lost, gained),
        bound=loss_bound(lost, gained, len(before)) if len(before) else 1.0,
    )
