"""Intervals from drawing groups, and the figures that are drawn."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import assume, given
from hypothesis import strategies as st

from linegate_report.resampling import area_interval, group_interval, macro_f1, weighted_area
from linegate_report.statistics import area_under_roc


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=2))
def test_weighted_area_is_that_of_a_library(rows: list[tuple[int, bool, int]]) -> None:
    scores, defective, weight = (np.array(column) for column in zip(*rows, strict=True))
    _, rank = np.unique(scores, return_inverse=True)
    counted = defective[weight > 0]
    assume(len(counted))
    found = weighted_area(rank, defective.astype(bool), weight.astype(float))
    if counted.all() or not counted.any():
        assert found is None
    else:
        expected = sklearn.metrics.roc_auc_score(defective, scores, sample_weight=weight)
        assert found == pytest.approx(expected)


def test_alike_pictures_in_few_groups_make_the_interval_of_the_area_wider() -> None:
    rng = np.random.default_rng(3)
    defective = np.arange(2000) % 2 == 1
    group = np.arange(2000) // 100
    shift = rng.normal(0, 2, 20)[group]  # pictures of a group share their luck
    scores = defective + shift + rng.normal(0, 0.5, 2000)
    alone = area_interval(scores, defective, [str(number) for number in range(2000)])
    grouped = area_interval(scores, defective, [str(number) for number in group])
    assert alone is not None
    assert grouped is not None
    width = alone.high - alone.low
    assert grouped.high - grouped.low > 1.5 * width
    assert grouped.low < area_under_roc(scores, defective) < grouped.high


labels = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1)


@given(labels)
def test_macro_f1_is_that_of_a_library(rows: list[tuple[int, int, int]]) -> None:
    truth, given_, weight = np.array(rows).T
    assume(weight.sum() > 0)
    expected = sklearn.metrics.f1_score(
        truth, given_, labels=range(4), average="macro", zero_division=0, sample_weight=weight
    )
    assert abs(macro_f1(truth, given_, 4, weight.astype(float)) - expected) < 1e-9
    plain = sklearn.metrics.f1_score(
        truth, given_, labels=range(4), average="macro", zero_division=0
    )
    assert abs(macro_f1(truth, given_, 4) - plain) < 1e-9


def test_few_groups_and_draws_that_all_agree_give_no_interval() -> None:
    groups = [str(number) for number in range(19)]
    assert group_interval(groups, lambda weight: float(weight[0])) is None
    assert group_interval([*groups, "19"], lambda _: 1.0) is None
    assert group_interval([*groups, "19"], lambda weight: float(weight[0])) is not None
