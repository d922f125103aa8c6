"""Golden frames: which are chosen, how they are stored, how near another machine must come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.images import decode_image
from linegate_bundle.manifest import (
    LOGITS,
    DecisionPolicy,
    Label,
    ModelEntry,
    ModelFormat,
    Precision,
    Quantization,
    Role,
    VoteMethod,
    VotePolicy,
)
from linegate_export.conversion import INPUT
from linegate_export.entry import describe
from linegate_export.golden import choose_frames, encode_picture, tolerance
from tests.export import nets

POLICY = DecisionPolicy(
    accept_at_most=0.3,
    reject_at_least=0.7,
    vote=VotePolicy(method=VoteMethod.MEAN_LOG_ODDS, frames=1, needed=None),
)
STEP = 0.1


def entry(format_: ModelFormat, precision: Precision) -> ModelEntry:
    quantization = Quantization(scale=STEP, zero_point=0) if precision is Precision.INT8 else None
    return describe(
        format_,
        precision,
        shape=(4, 4, 3),
        outputs={LOGITS: (1, 1)},
        quantizations={INPUT: quantization, LOGITS: quantization},
    )


def test_the_clearest_of_each_label_and_then_the_most_borderline_are_chosen() -> None:
    defect = np.array([0.5, 0.31, 0.01, 0.69, 0.99, 0.1, 0.72, 0.9, 0.02, 0.03, 0.95, 0.98])
    truth = [0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 1, 1]
    chosen = choose_frames(
        np.stack([1 - defect, defect], axis=1), defect, truth, nets.PLAIN_AND_BLOB, POLICY
    )
    assert {2, 4} <= set(chosen)
    assert {1, 3, 6} <= set(chosen)
    assert len(chosen) == 10


def test_the_hardest_are_those_that_are_wrong_with_the_greatest_certainty() -> None:
    defect = np.array([*np.linspace(0.29, 0.31, 20), 0.02, 0.97, 0.99, 0.1, 0.6])
    truth = [0] * 20 + [1, 0, 1, 0, 0]
    chosen = choose_frames(
        np.stack([1 - defect, defect], axis=1), defect, truth, nets.PLAIN_AND_BLOB, POLICY
    )
    assert {20, 21} <= set(chosen)


def test_both_thresholds_get_borderline_pictures_even_if_one_has_nearer_ones() -> None:
    defect = np.concatenate([np.full(40, 0.3), [0.6, 0.65, 0.75], [0.01, 0.99]])
    truth = [0] * 40 + [1, 1, 1, 0, 1]
    chosen = choose_frames(
        np.stack([1 - defect, defect], axis=1), defect, truth, nets.PLAIN_AND_BLOB, POLICY
    )
    assert {40, 41, 42} <= set(chosen)
    assert chosen == sorted(chosen)


@given(st.integers(2, 9), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_every_label_that_occurs_is_covered_and_no_picture_is_twice(
    labels: int, count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(labels), count)
    truth = rng.integers(0, labels, count).tolist()
    names = [Label(name=str(place), role=Role.DEFECT) for place in range(labels)]
    chosen = choose_frames(probabilities, probabilities[:, -1], truth, names, POLICY)
    assert {truth[index] for index in chosen} == set(truth)
    wrong = int((probabilities.argmax(axis=1) != truth).sum())
    hardest = min(2, wrong)
    covered = len(set(truth))
    assert len(set(chosen)) == len(chosen)
    # A picture may be the clearest of its label and wrong.
    assert len(chosen) in {min(count, max(10, covered + hard + 4)) for hard in range(hardest + 1)}


def test_a_picture_is_stored_without_loss_and_a_grey_one_as_grey() -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (50, 60, 3), np.uint8)
    grey = np.repeat(colour[..., :1], 3, axis=2)
    assert (decode_image(encode_picture(colour)) == colour).all()
    assert (decode_image(encode_picture(grey)) == grey).all()
    assert len(encode_picture(grey)) < 0.4 * len(encode_picture(colour))


def test_a_large_picture_is_reduced_so_that_the_bundle_stays_small() -> None:
    large = np.random.default_rng(0).integers(0, 256, (300, 2000, 3), np.uint8)
    assert decode_image(encode_picture(large)).shape == (96, 640, 3)


@pytest.mark.parametrize(
    ("format_", "precision", "spread", "expected"),
    [
        (ModelFormat.TFLITE, Precision.INT8, 5.0, 1.5 * STEP),
        (ModelFormat.ONNX, Precision.INT8, 0.0, 4.5 * STEP),
        (ModelFormat.ONNX, Precision.INT8, 1.12, 12.5 * STEP),
        (ModelFormat.ONNX, Precision.FLOAT32, 5.0, 0.02),
    ],
)
def test_the_tolerance_follows_from_engine_and_measured_spread(
    format_: ModelFormat, precision: Precision, spread: float, expected: float
) -> None:
    assert tolerance(entry(format_, precision), spread, 20.0) == pytest.approx(expected)
