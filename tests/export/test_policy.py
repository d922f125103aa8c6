"""Choosing thresholds: the limits hold on the pictures that they were chosen on."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError, GateError
from linegate_bundle.manifest import DecisionPolicy
from linegate_export.policy import (
    PolicyTargets,
    allowed_count,
    choose_policy,
    count_verdicts,
)

inner = st.floats(1e-9, 1 - 1e-9)
coarse = st.sampled_from([1e-12, 0.25, 0.5, np.nextafter(0.5, 1), 0.75, 1 - 1e-12])
pictures = st.lists(st.tuples(inner | coarse, st.booleans()), min_size=2, max_size=60).filter(
    lambda pairs: len({truth for _, truth in pairs}) == 2
)
rates = st.sampled_from([0.0, 0.01, 0.05, 0.3, 0.9])


def arrays(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    values, truth = zip(*pairs, strict=True)
    return np.array(values, np.float64), np.array(truth, np.bool_)


def choose(pairs: list[tuple[float, bool]], escape: float, false_reject: float) -> DecisionPolicy:
    values, truth = arrays(pairs)
    return choose_policy(values, truth, PolicyTargets(escape, false_reject))


@given(pictures, rates, rates)
def test_both_rates_hold_and_the_thresholds_are_in_order(
    pairs: list[tuple[float, bool]], escape: float, false_reject: float
) -> None:
    policy = choose(pairs, escape, false_reject)
    counts = count_verdicts(*arrays(pairs), policy)
    assert counts.escapes <= Fraction(str(escape)) * counts.defects
    assert counts.false_rejects <= Fraction(str(false_reject)) * counts.goods
    assert 0 <= policy.accept_at_most < policy.reject_at_least <= 1


@given(pictures, rates, rates)
def test_thresholds_lie_in_the_gap_or_else_no_picture_is_unsure_without_need(
    pairs: list[tuple[float, bool]], escape: float, false_reject: float
) -> None:
    policy = choose(pairs, escape, false_reject)
    values, truth = arrays(pairs)
    defects, goods = np.sort(values[truth]), np.sort(values[~truth])[::-1]
    must_not_accept = defects[allowed_count(escape, len(defects))]
    must_not_reject = goods[allowed_count(false_reject, len(goods))]
    if must_not_reject < must_not_accept:
        assert must_not_reject <= policy.accept_at_most
        assert policy.reject_at_least <= must_not_accept
    else:
        unsure = values[(values > policy.accept_at_most) & (values < policy.reject_at_least)]
        assert unsure.min() == must_not_accept
        assert unsure.max() == must_not_reject


def test_separable_pictures_get_the_middle_third_of_the_gap_as_unsure() -> None:
    policy = choose([(0.1, False), (0.2, False), (0.8, True), (0.9, True)], 0.0, 0.0)
    assert policy.accept_at_most == pytest.approx(0.4)
    assert policy.reject_at_least == pytest.approx(0.6)


def test_overlapping_pictures_lie_between_the_thresholds() -> None:
    pairs = [(0.1, False), (0.6, False), (0.7, False), (0.3, True), (0.5, True), (0.9, True)]
    policy = choose(pairs, 0.0, 0.0)
    assert policy.accept_at_most == pytest.approx(0.2)
    assert policy.reject_at_least == pytest.approx(0.8)


def test_an_allowed_escape_lets_more_be_accepted() -> None:
    pairs = [(0.1, False), (0.6, False), (0.7, False), (0.3, True), (0.5, True), (0.9, True)]
    assert choose(pairs, 0.4, 0.0).accept_at_most == pytest.approx(0.4)


@pytest.mark.parametrize(("probability", "defective"), [(0.0, True), (1.0, False)])
def test_a_model_that_is_certain_of_the_wrong_answer_has_no_thresholds(
    probability: float, defective: bool
) -> None:
    pairs = [(probability, defective), (0.5, not defective)]
    with pytest.raises(GateError, match="exactly"):
        choose(pairs, 0.0, 0.0)


def test_a_rate_is_taken_as_written_not_as_floating_point_has_it() -> None:
    assert allowed_count(0.29, 100) == 29
    assert allowed_count(0.07, 100) == 7


@pytest.mark.parametrize(
    ("targets", "option"),
    [
        ({"maximum_escape_rate": 1.0}, "--max-escape-rate"),
        ({"maximum_false_reject_rate": -0.1}, "--max-false-reject-rate"),
        ({"maximum_escape_rate": float("nan")}, "--max-escape-rate"),
        ({"vote_frames": 0}, "--vote-frames"),
    ],
)
def test_impossible_targets_name_the_option(targets: dict[str, float], option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        PolicyTargets(**targets)  # type: ignore[arg-type]
