"""The gate: exact counts, and small test parts make it stricter, never looser."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError
from linegate_export.gate import GateLimits, GateResult, Reached, judge_artifacts

limits = st.sampled_from([0.0, 0.005, 0.01, 0.015, 0.05, 0.5])


def judge(
    images: int,
    *,
    lost: int = 0,
    differ: int = 0,
    auc: float = 0.9,
    given: GateLimits | None = None,
) -> GateResult:
    return judge_artifacts(
        images,
        Reached(images, 0.9),
        {"int8 TFLite": Reached(images, 0.9), "int8 ONNX": Reached(images - lost, auc)},
        differ,
        given or GateLimits(),
    )


@given(st.integers(1, 3000), st.integers(0, 60), limits)
def test_an_artifact_passes_exactly_if_the_lost_share_is_within_the_limit(
    images: int, lost: int, limit: float
) -> None:
    lost = min(lost, images)
    result = judge(images, lost=lost, given=GateLimits(maximum_accuracy_loss=limit))
    assert result.passed == (Fraction(lost, images) <= Fraction(str(limit)))


@given(st.integers(1, 3000), st.integers(0, 60), limits)
def test_engines_agree_exactly_if_the_agreeing_share_reaches_the_limit(
    images: int, differ: int, slack: float
) -> None:
    differ = min(differ, images)
    share = float(1 - Fraction(str(slack)))
    result = judge(images, differ=differ, given=GateLimits(minimum_agreement=share))
    assert result.passed == (1 - Fraction(differ, images) >= Fraction(str(share)))


def test_on_a_small_test_part_not_one_picture_may_be_lost_and_the_check_says_why() -> None:
    assert judge(60).passed
    result = judge(60, lost=1)
    assert not result.passed
    failed = [check for check in result.checks if not check.passed]
    assert len(failed) == 1
    assert failed[0].expected == "at most 1 points (0 pictures of 60)"
    assert failed[0].measured == "1.67 points (1 picture)"
    assert "one of 60 pictures is 1.7 points" in failed[0].note


def test_a_large_test_part_may_lose_the_limits_share() -> None:
    assert judge(700, lost=7).passed
    assert not judge(700, lost=8).passed
    assert all(not check.note for check in judge(700).checks)


def test_a_gain_is_told_as_a_gain() -> None:
    result = judge_artifacts(
        200, Reached(150, 0.8), {"int8 TFLite": Reached(152, 0.81)}, 0, GateLimits()
    )
    assert result.passed
    assert result.checks[0].measured == "none, it gains 1.00 points (2 pictures)"


def test_a_collapse_that_accuracy_hides_fails_by_its_roc_curve() -> None:
    result = judge(700, auc=0.7)
    assert not result.passed
    assert "area under the ROC curve that int8 ONNX loses" in result.failures
    assert "expected at most 0.02, got 0.2000" in result.failures


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"maximum_accuracy_loss": 1.5}, "--max-accuracy-loss"),
        ({"maximum_auc_loss": -1.0}, "--max-auc-loss"),
        ({"minimum_agreement": 99.5}, "--min-agreement"),
    ],
)
def test_a_limit_that_is_no_share_names_the_option(given: dict[str, float], option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        GateLimits(**given)
