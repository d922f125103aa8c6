"""What changed between the float model and an artifact, counted by hand."""

import numpy as np
import pytest

from linegate_bundle.decide import Decision, decide
from linegate_bundle.manifest import (
    ArtifactAccuracy,
    DecisionPolicy,
    Interval,
    Label,
    ModelFormat,
    Precision,
    Role,
    VoteMethod,
    VotePolicy,
)
from linegate_bundle.run_folder import Part, SplitRow
from linegate_export.conversion import Artifact, describe
from linegate_export.evaluate import Evaluation, Score
from linegate_export.paired import compare
from linegate_export.pictures import Pictures
from linegate_report.statistics import loss_bound, mcnemar

LABELS = (Label(name="good", role=Role.GOOD), Label(name="bad", role=Role.DEFECT))
POLICY = DecisionPolicy(
    accept_at_most=0.3,
    reject_at_least=0.7,
    vote=VotePolicy(method=VoteMethod.MEAN_LOG_ODDS, frames=1),
)
FIGURES = ArtifactAccuracy(
    artifact="x", accuracy=0, accuracy_95=Interval(low=0, high=1), auc=0, escapes=0,
    false_rejects=0, unsure=0, agreement_with_float=0,
)  # fmt: skip


def said(defect_probabilities: list[float]) -> Score:
    entry = describe(
        ModelFormat.ONNX, Precision.FLOAT32, shape=(8, 8, 3), logits=1,
        input_quantization=None, output_quantization=None,
    )  # fmt: skip
    both = np.array([[1 - value, value] for value in defect_probabilities])
    decisions: tuple[Decision, ...] = tuple(decide(row, LABELS, POLICY) for row in both)
    evaluation = Evaluation(Artifact(entry, b""), np.zeros((len(both), 1)), both)
    return Score(evaluation, decisions, FIGURES, 0)


def test_every_kind_of_change_is_counted_where_it_belongs() -> None:
    truth = ["good", "good", "good", "bad", "bad", "bad", "bad"]
    before = said([0.1, 0.6, 0.2, 0.9, 0.2, 0.6, 0.4])
    after = said([0.6, 0.4, 0.2, 0.1, 0.4, 0.2, 0.8])
    rows = tuple(
        SplitRow(str(number), label, str(number), Part.TEST, "0" * 64)
        for number, label in enumerate(truth)
    )
    paired = compare(before, after, Pictures(rows, np.zeros((7, 8, 8, 3), np.uint8)), LABELS)
    # Wrong now: good 0, bad 3 and 5; right now: good 1, bad 6.
    assert (paired.labels.of, paired.labels.lost, paired.labels.gained) == (7, 3, 2)
    assert paired.labels.p_value == mcnemar(3, 2)
    assert paired.labels.bound == loss_bound(3, 2, 7)
    by_class = {name: (one.of, one.lost, one.gained) for name, one in paired.classes.items()}
    assert by_class == {"good": (3, 1, 1), "bad": (4, 2, 1)}
    # Accepted now: bad 3 and 5; no longer: bad 4.
    assert (paired.escapes.of, paired.escapes.lost, paired.escapes.gained) == (4, 2, 1)
    assert paired.largest_change == pytest.approx(0.8)
    assert paired.mean_change == pytest.approx((0.5 + 0.2 + 0 + 0.8 + 0.2 + 0.4 + 0.4) / 7)
