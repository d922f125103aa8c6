"""Proven rates: the promised confidence holds in finite samples, and luck would not do."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_export.proof import needed_pictures, p_value, provable_errors


def exact_tail(errors: int, pictures: int, rate: Fraction) -> Fraction:
    return sum(
        (comb(pictures, k) * rate**k * (1 - rate) ** (pictures - k) for k in range(errors + 1)),
        Fraction(0),
    )


@given(st.integers(1, 60), st.integers(1, 99), st.sampled_from([50, 90, 95, 99]))
def test_so_many_errors_prove_it_and_one_more_does_not(
    pictures: int, percent: int, confidence: int
) -> None:
    rate, risk = Fraction(percent, 100), 1 - Fraction(confidence, 100)
    allowed = provable_errors(pictures, percent / 100, confidence / 100)
    k = -1 if allowed is None else allowed
    slack = Fraction(1, 10**9)  # of floating point
    assert k < 0 or exact_tail(k, pictures, rate) <= risk + slack
    assert exact_tail(k + 1, pictures, rate) > risk - slack


@pytest.mark.parametrize(
    ("rate", "confidence", "pictures"),
    [(0.01, 0.95, 299), (0.05, 0.95, 59), (0.001, 0.95, 2995), (0.01, 0.99, 459), (0.5, 0.5, 1)],
)
def test_the_rule_of_three_and_its_kin(rate: float, confidence: float, pictures: int) -> None:
    assert needed_pictures(rate, confidence) == pictures
    assert provable_errors(pictures, rate, confidence) == 0
    assert p_value(0, pictures, rate) <= 1 - confidence
    if pictures > 1:
        assert provable_errors(pictures - 1, rate, confidence) is None


def test_never_an_error_cannot_be_proven() -> None:
    assert needed_pictures(0.0, 0.95) is None
    assert provable_errors(10**6, 0.0, 0.95) is None
