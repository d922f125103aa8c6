import numpy as np
import pytest

from linegate_training.report.scores import score
from tests.training.evaluations import THREE, evaluation, said


def test_figures_are_those_of_a_confusion_matrix_counted_by_hand() -> None:
    truth = ["good"] * 6 + ["bad"] * 4
    called = ["good"] * 5 + ["bad"] + ["bad"] * 3 + ["good"]
    found = score(said(truth, called, truth))
    assert (found.accuracy.successes, found.accuracy.trials) == (8, 10)
    assert (found.found.successes, found.found.trials) == (3, 4)
    assert (found.passed.successes, found.passed.trials) == (5, 6)
    good, bad = found.classes
    assert (good.precision.value, good.recall.value) == (5 / 6, 5 / 6)
    assert (bad.precision.value, bad.recall.value) == (3 / 4, 3 / 4)
    assert found.macro_f1 == pytest.approx((5 / 6 + 3 / 4) / 2)
    assert bad.recall.interval.low == pytest.approx(0.194, abs=0.001)
    assert bad.recall.interval.high == pytest.approx(0.994, abs=0.001)


def test_a_defect_that_is_taken_for_another_defect_is_found_all_the_same() -> None:
    logits = [[9, 0, 0], [0, 0, 9], [0, 9, 0]]
    found = score(evaluation(np.array(logits), ["good", "bad", "worse"], labels=THREE))
    assert found.accuracy.successes == 1
    assert (found.found.successes, found.passed.successes) == (2, 1)
    assert found.area.value == 1


def test_a_label_that_is_never_given_has_no_precision() -> None:
    (_, bad) = score(said(["good", "bad"], ["good", "good"], ["a", "b"])).classes
    assert bad.precision.value is None
    assert (bad.precision.interval.low, bad.precision.interval.high) == (0, 1)
    assert (bad.recall.value, bad.f1) == (0, 0)


def test_intervals_are_the_same_every_time() -> None:
    truth = ["good", "bad"] * 10
    called = ["good", "bad", "bad", "good"] * 5
    groups = [str(number // 4) for number in range(20)]
    assert score(said(truth, called, groups)) == score(said(truth, called, groups))


def test_resamples_that_all_agree_are_no_interval() -> None:
    truth = ["good", "bad"] * 40
    groups = [str(number // 2) for number in range(80)]
    found = score(said(truth, truth, groups))
    assert (found.area.value, found.area.interval, found.accuracy_by_group) == (1.0, None, None)


def test_one_group_tells_nothing_about_others() -> None:
    found = score(said(["good", "bad", "bad"], ["good", "bad", "good"], ["a", "a", "a"]))
    assert found.area.interval is None
    assert found.accuracy_by_group is None
