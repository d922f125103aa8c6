"""The gate: bounds instead of what was seen, and small test parts make it stricter."""

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError
from linegate_export.gate import (
    ANYTHING,
    GateLimits,
    GateResult,
    Reached,
    judge_artifacts,
    needed_pictures,
)
from linegate_export.paired import Change, Paired
from linegate_report.statistics import loss_bound, mcnemar, upper_bound


def change(of: int, lost: int = 0, gained: int = 0) -> Change:
    return Change(
        of=of,
        lost=lost,
        gained=gained,
        p_value=mcnemar(lost, gained),
        bound=loss_bound(lost, gained, of),
        lost_bound=upper_bound(lost, of),
    )


def judge(
    images: int,
    *,
    labels: tuple[int, int] = (0, 0),
    escapes: tuple[int, int] = (0, 0),
    crack: tuple[int, int] = (0, 0),
    auc_loss: float = 0.0,
    differ: int = 0,
    limits: GateLimits | None = None,
) -> GateResult:
    """Judge an artifact that loses nothing, and one that loses and gains as given."""

    def reached(lost: tuple[int, int], passed: tuple[int, int], cracks: tuple[int, int]) -> Paired:
        return Paired(
            labels=change(images, *lost),
            classes={"good": change(images // 2), "crack": change(images // 2, *cracks)},
            escapes=change(images // 2, *passed),
            false_rejects=change(images // 2),
            largest_change=0.1,
            mean_change=0.01,
        )

    return judge_artifacts(
        images,
        {
            "int8 TFLite": Reached(reached((0, 0), (0, 0), (0, 0)), 0.0),
            "int8 ONNX": Reached(reached(labels, escapes, crack), auc_loss),
        },
        differ,
        limits or GateLimits(),
    )


def failed(result: GateResult) -> list[str]:
    return [check.subject for check in result.checks if not check.passed]


@given(st.integers(1, 3000), st.integers(0, 30), st.integers(0, 30), st.floats(0.001, 1))
def test_a_loss_passes_exactly_if_its_bound_is_within_the_limit(
    images: int, lost: int, gained: int, limit: float
) -> None:
    lost, gained = min(lost, images), min(gained, max(0, images - lost))
    limits = GateLimits(
        maximum_accuracy_loss=limit, maximum_new_escapes=1.0, maximum_class_loss=1.0
    )
    result = judge(max(images, 2), labels=(lost, gained), limits=limits)
    bounds = [loss_bound(0, 0, max(images, 2)), loss_bound(lost, gained, max(images, 2))]
    assert result.passed == (max(bounds) <= limit)


@given(st.floats(0.001, 0.9))
def test_so_many_pictures_are_needed_and_one_less_is_too_few(limit: float) -> None:
    needed = needed_pictures(limit)
    assert loss_bound(0, 0, needed) <= limit + 1e-9
    if needed > 1:
        assert loss_bound(0, 0, needed - 1) > limit - 1e-9


def test_a_test_part_that_can_prove_nothing_fails_and_says_how_many_it_takes() -> None:
    result = judge(120)
    assert failed(result) == [
        f"accuracy that {name} loses against float32" for name in ("int8 TFLite", "int8 ONNX")
    ]
    assert "120 pictures cannot rule that out, even without any difference: it takes 199" in (
        result.failures
    )
    assert judge(199).passed
    assert judge(2, limits=ANYTHING).passed


def test_what_was_seen_is_told_beside_what_is_proven() -> None:
    check = judge(656, labels=(7, 5)).checks[4]
    assert check.expected == "1.5 points at most, with 95 % confidence"
    assert check.measured == "1.36 points at most; seen: 7 lost, 5 gained of 656 pictures"
    assert check.passed
    assert not check.note


def test_a_loss_of_nothing_cannot_be_proven() -> None:
    result = judge(1000, limits=GateLimits(maximum_accuracy_loss=0.0))
    assert "no number of pictures rules out every loss" in result.failures


def test_new_escapes_fail_though_the_labels_are_the_same() -> None:
    assert judge(700, escapes=(5, 0)).passed
    assert failed(judge(700, escapes=(15, 0))) == ["defects that int8 ONNX newly accepts"]


def test_new_escapes_fail_though_as_many_have_gone() -> None:
    assert failed(judge(1000, escapes=(50, 50))) == ["defects that int8 ONNX newly accepts"]


def test_a_class_that_collapses_fails_though_others_gain_as_much() -> None:
    result = judge(1000, labels=(60, 60), crack=(60, 0), limits=GateLimits(maximum_accuracy_loss=1))
    assert failed(result) == ["recall that a class loses in int8 ONNX"]
    assert "crack loses 60 of 500 and may lose 50" in result.failures
    # One picture of a small class is no collapse.
    assert judge(4, crack=(1, 0), limits=GateLimits(
        maximum_accuracy_loss=1, maximum_new_escapes=1, maximum_class_loss=0.1,
    )).passed  # fmt: skip


@given(st.integers(1, 3000), st.integers(0, 60), st.sampled_from([0.0, 0.005, 0.01, 0.05, 0.5]))
def test_engines_agree_exactly_if_the_agreeing_share_reaches_the_limit(
    images: int, differ: int, slack: float
) -> None:
    images, differ = max(images, 2), min(differ, max(images, 2))
    share = float(1 - Fraction(str(slack)))
    limits = dataclasses.replace(ANYTHING, minimum_agreement=share)
    result = judge(images, differ=differ, limits=limits)
    assert result.passed == (1 - Fraction(differ, images) >= Fraction(str(share)))


def test_a_collapse_that_accuracy_hides_fails_by_its_roc_curve() -> None:
    result = judge(700, auc_loss=0.2)
    assert failed(result) == ["area under the ROC curve that int8 ONNX loses against float32"]
    assert "expected at most 0.02, got 0.2000" in result.failures


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"maximum_accuracy_loss": 1.5}, "--max-accuracy-loss"),
        ({"maximum_new_escapes": float("nan")}, "--max-new-escapes"),
        ({"maximum_class_loss": -0.1}, "--max-class-loss"),
        ({"maximum_auc_loss": -1.0}, "--max-auc-loss"),
        ({"minimum_agreement": 99.5}, "--min-agreement"),
    ],
)
def test_a_limit_that_is_no_share_names_the_option(given: dict[str, float], option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        GateLimits(**given)
