import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate_bundle.decide import Float64Array
from linegate_report.reliability import reliability
from linegate_training.report.calibration import calibrate, fit_temperature
from linegate_training.report.evaluation import IntArray
from tests.training.evaluations import THREE, evaluation

RNG = np.random.default_rng(5)


def two_labels(count: int) -> tuple[Float64Array, IntArray]:
    """Logits whose probabilities are exactly true, and what came true."""
    logits = RNG.normal(0, 2, (count, 1))
    came_true = RNG.random(count) < 1 / (1 + np.exp(-logits[:, 0]))
    return logits, came_true.astype(np.int64)


def test_temperature_of_a_model_that_is_three_times_too_sure_is_three() -> None:
    logits, targets = two_labels(20_000)
    assert fit_temperature(3 * logits, targets) == pytest.approx(3, rel=0.05)


def test_temperature_of_three_labels_is_found_too() -> None:
    logits = RNG.normal(0, 2, (20_000, 3))
    gumbel = RNG.gumbel(size=logits.shape)  # the largest of logit + Gumbel is a softmax draw
    targets = (logits + gumbel).argmax(axis=1)
    assert fit_temperature(logits / 2, targets) == pytest.approx(0.5, rel=0.05)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.25, 4))
def test_scaling_the_logits_scales_the_temperature(factor: float) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (300, 1))
    targets = (rng.random(300) < 1 / (1 + np.exp(-logits[:, 0]))).astype(np.int64)
    one, other = fit_temperature(logits, targets), fit_temperature(factor * logits, targets)
    assert other == pytest.approx(factor * one, rel=0.01)


def test_calibration_error_is_what_one_computes_by_hand() -> None:
    confidence = np.array([0.5, 0.7, 0.8, 1.0])
    right = np.array([False, True, True, True])
    found = reliability(confidence, right, bins=2)
    assert [(one.confidence, one.accuracy, one.right, one.count) for one in found.bins] == [
        pytest.approx((0.6, 0.5, 1, 2)),
        pytest.approx((0.9, 1.0, 2, 2)),
    ]
    assert found.error == pytest.approx((2 * 0.1 + 2 * 0.1) / 4)


@pytest.mark.parametrize("count", [1, 7, 640])
def test_bins_hold_every_picture_once_in_equal_numbers(count: int) -> None:
    found = reliability(RNG.random(count), RNG.random(count) < 0.5)
    sizes = [one.count for one in found.bins]
    assert sum(sizes) == count
    assert len(sizes) == {1: 1, 7: 5, 640: 15}[count]
    assert max(sizes) - min(sizes) <= 1


def test_true_probabilities_have_the_error_of_chance_and_false_ones_more() -> None:
    confidence = RNG.uniform(0.5, 1, 600)
    right = RNG.random(600) < confidence
    true = reliability(confidence, right)
    assert true.error == pytest.approx(true.error_by_chance, abs=0.02)
    false = reliability(np.full(600, 0.99), right)
    assert false.error > 5 * false.error_by_chance


def test_temperature_from_validation_mends_the_test_part() -> None:
    logits, targets = two_labels(2000)
    truth = [("good", "bad")[target] for target in targets]
    sure = evaluation(4 * logits, truth)
    found = calibrate(sure, sure)
    assert found.temperature == pytest.approx(4, rel=0.2)
    assert found.after.error < found.before.error / 2
    assert found.after.accuracy == found.before.accuracy
    assert found.validation_pictures == 2000
    assert found.determined


def test_a_validation_part_without_errors_cannot_tell_a_temperature() -> None:
    perfect = evaluation(np.eye(3) * 5, ["good", "bad", "worse"], labels=THREE)
    found = calibrate(perfect, perfect)
    assert not found.determined
    assert found.temperature == 1
    assert found.before == found.after
