import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.decide import decide, dequantize, judge, probabilities, vote
from linegate_bundle.errors import EngineError
from linegate_bundle.manifest import (
    Activation,
    DecisionPolicy,
    Label,
    Quantization,
    Role,
    Verdict,
    VoteMethod,
    VotePolicy,
)

POLICY = DecisionPolicy(
    accept_at_most=0.2,
    reject_at_least=0.6,
    vote=VotePolicy(method=VoteMethod.MEAN_LOG_ODDS, frames=3),
)
LABELS = (
    Label(name="good", role=Role.GOOD),
    Label(name="dent", role=Role.DEFECT),
    Label(name="scratch", role=Role.DEFECT),
)

logits = st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=8).map(np.array)


def distributions(labels: int) -> st.SearchStrategy[np.ndarray]:
    weights = st.lists(st.floats(0.001, 1), min_size=labels, max_size=labels)
    return weights.map(lambda values: np.array(values) / sum(values))


@given(logits)
def test_probabilities_sum_to_one_and_keep_the_order(values: np.ndarray) -> None:
    result = probabilities(values, Activation.SOFTMAX)
    assert result.sum() == pytest.approx(1)
    assert (result >= 0).all()
    assert result[values.argmax()] == result.max()


@given(st.floats(-700, 700))
def test_sigmoid_gives_the_probability_of_the_second_label(logit: float) -> None:
    first, second = probabilities(np.array([logit]), Activation.SIGMOID)
    assert second == pytest.approx(1 / (1 + math.exp(-logit)))
    assert first == pytest.approx(1 - second)


def test_dequantizing_follows_the_affine_formula() -> None:
    stored = np.array([[-128, 0, 127]], np.int8)
    values = dequantize(stored, Quantization(scale=0.5, zero_point=-28))
    assert values.tolist() == [-50.0, 14.0, 77.5]
    assert dequantize(np.array([[1.5]], np.float32), None).tolist() == [1.5]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_logit_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(EngineError, match="expected finite logits"):
        dequantize(np.array([[value]], np.float32), None)


@pytest.mark.parametrize(
    ("defect_probability", "verdict"),
    [
        (0.0, Verdict.ACCEPT),
        (0.2, Verdict.ACCEPT),
        (0.2000001, Verdict.UNSURE),
        (0.5999999, Verdict.UNSURE),
        (0.6, Verdict.REJECT),
        (1.0, Verdict.REJECT),
    ],
)
def test_thresholds_belong_to_the_clear_verdicts(
    defect_probability: float, verdict: Verdict
) -> None:
    assert judge(defect_probability, POLICY) is verdict


def test_nan_is_never_accepted() -> None:
    assert judge(math.nan, POLICY) is Verdict.UNSURE


def test_all_defects_count_together() -> None:
    decision = decide(np.array([0.4, 0.3, 0.3]), LABELS, POLICY)
    assert decision.label == "good"
    assert decision.defect_probability == pytest.approx(0.6)
    assert decision.verdict is Verdict.REJECT


def test_of_equal_labels_the_defect_wins() -> None:
    assert decide(np.array([0.4, 0.2, 0.4]), LABELS, POLICY).label == "scratch"
    assert decide(np.array([1, 1, 1]) / 3, LABELS, POLICY).label == "dent"


@given(distributions(3))
def test_a_vote_of_one_frame_is_that_frame(frame: np.ndarray) -> None:
    assert vote([frame]) == pytest.approx(frame)


@given(st.lists(distributions(3), min_size=1, max_size=9), st.randoms())
def test_the_order_of_frames_does_not_matter(frames: list[np.ndarray], random: object) -> None:
    shuffled = list(frames)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert vote(shuffled) == pytest.approx(vote(frames))


@given(st.lists(distributions(2), min_size=1, max_size=9))
def test_for_two_labels_the_log_odds_are_averaged(frames: list[np.ndarray]) -> None:
    result = vote(frames)
    expected = np.mean([math.log(frame[1] / frame[0]) for frame in frames])
    assert math.log(result[1] / result[0]) == pytest.approx(expected, abs=1e-9)


def test_one_certain_frame_does_not_overrule_all_others() -> None:
    frames = [np.array([0.0, 1.0])] + [np.array([0.99, 0.01])] * 20
    assert vote(frames)[0] > 0.9


def test_a_vote_without_frames_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        vote([])
