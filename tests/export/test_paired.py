"""What changed between two models, counted by hand."""

import numpy as np
import pytest

from linegate_bundle.decide import Decision, decide
from linegate_bundle.manifest import DecisionPolicy, Label, Role, VoteMethod, VotePolicy
from linegate_export.paired import compare
from linegate_report.statistics import loss_bound, mcnemar

LABELS = (Label(name="good", role=Role.GOOD), Label(name="bad", role=Role.DEFECT))
POLICY = DecisionPolicy(
    accept_at_most=0.3,
    reject_at_least=0.7,
    vote=VotePolicy(method=VoteMethod.MEAN_LOG_ODDS, frames=1, needed=None),
)


def said(*defect_probabilities: float) -> list[Decision]:
    return [decide(np.array([1 - p, p]), LABELS, POLICY) for p in defect_probabilities]


def test_every_kind_of_change_is_counted_where_it_belongs() -> None:
    truth = ["good", "good", "good", "bad", "bad", "bad", "bad"]
    before = said(0.1, 0.6, 0.2, 0.9, 0.2, 0.6, 0.4)
    after = said(0.8, 0.4, 0.2, 0.1, 0.4, 0.2, 0.8)
    paired = compare(before, after, truth, LABELS)
    # Wrong now: good 0, bad 3 and 5; right now: good 1, bad 6.
    assert (paired.labels.of, paired.labels.lost, paired.labels.gained) == (7, 3, 2)
    assert paired.labels.p_value == mcnemar(3, 2)
    assert paired.labels.bound == loss_bound(3, 2, 7)
    assert paired.labels.net == 1
    by_class = {name: (one.of, one.lost, one.gained) for name, one in paired.classes.items()}
    assert by_class == {"good": (3, 1, 1), "bad": (4, 2, 1)}
    # Accepted now: bad 3 and 5; no longer: bad 4. Rejected now: good 0.
    assert (paired.escapes.of, paired.escapes.lost, paired.escapes.gained) == (4, 2, 1)
    rejects = paired.false_rejects
    assert (rejects.of, rejects.lost, rejects.gained) == (3, 1, 0)
    assert paired.largest_change == pytest.approx(0.8)
    assert paired.mean_change == pytest.approx((0.7 + 0.2 + 0 + 0.8 + 0.2 + 0.4 + 0.4) / 7)


def test_a_class_without_pictures_proves_nothing() -> None:
    paired = compare(said(0.1), said(0.1), ["good"], LABELS)
    assert (paired.classes["bad"].of, paired.classes["bad"].bound) == (0, 1.0)
