"""One artifact's row in the table: every figure with its 95 % interval."""

from collections.abc import Sequence

import msgspec
import numpy as np

from linegate_bundle.manifest import Interval, Label
from linegate_export.evaluate import Score
from linegate_export.pictures import Pictures
from linegate_report.resampling import area_interval, group_interval, macro_f1
from linegate_report.statistics import exact_interval


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A count as a share of all, with its exact 95 % interval (Clopper and Pearson)."""

    count: int
    of: int
    share: float
    interval: Interval


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that is no share; the interval comes from drawing groups, None if these are few."""

    value: float
    interval: Interval | None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact on the test part.

    Attributes:
        file: its name in the bundle.
        accuracy: pictures given their true label.
        macro_f1: mean of the classes' F1.
        auc: area under the ROC curve of defective against good.
        recalls: by label, pictures of it that are given it.
        escapes: defective pictures with the verdict accept.
        false_rejects: good pictures with the verdict reject.
        unsure: pictures with the verdict unsure.
        agreement_with_float: share of the pictures that float32 gives the same label.
        size_bytes: of the file.
    """

    file: str
    accuracy: Rate
    macro_f1: Estimate
    auc: Estimate
    recalls: dict[str, Rate]
    escapes: Rate
    false_rejects: Rate
    unsure: Rate
    agreement_with_float: float
    size_bytes: int


def rate(count: int, of: int) -> Rate:
    """Return a count as a share; of nothing it is zero, and its interval says nothing."""
    return Rate(
        count=count, of=of, share=count / of if of else 0.0, interval=exact_interval(count, of)
    )


def tabulate(score: Score, pictures: Pictures, labels: Sequence[Label]) -> Measured:
    """Return an artifact's figures.

    Args:
        score: of the artifact on the pictures.
        pictures: those pictures.
        labels: the model's labels, at least one picture of each role.
    """
    names = [label.name for label in labels]
    truth, given = (
        np.array([names.index(name) for name in called])
        for called in (pictures.labels, score.labels)
    )
    defective, groups = pictures.defective(labels), [row.group for row in pictures.rows]
    defects = int(defective.sum())
    return Measured(
        file=score.accuracy.artifact,
        accuracy=rate(score.correct, len(pictures)),
        macro_f1=Estimate(
            value=macro_f1(truth, given, len(names)),
            interval=group_interval(
                groups, lambda weight: macro_f1(truth, given, len(names), weight)
            ),
        ),
        auc=Estimate(
            value=score.accuracy.auc,
            interval=area_interval(score.evaluation.defect_probability(labels), defective, groups),
        ),
        recalls={
            name: rate(int((given == place)[truth == place].sum()), int((truth == place).sum()))
            for place, name in enumerate(names)
        },
        escapes=rate(score.accuracy.escapes, defects),
        false_rejects=rate(score.accuracy.false_rejects, len(pictures) - defects),
        unsure=rate(score.accuracy.unsure, len(pictures)),
        agreement_with_float=score.accuracy.agreement_with_float,
        size_bytes=len(score.evaluation.artifact.content),
    )
