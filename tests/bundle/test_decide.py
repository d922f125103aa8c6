import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.decide import (
    decide,
    decide_part,
    dequantize,
    interpret,
    judge,
    probabilities,
    vote,
)
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
    vote=VotePolicy(method=VoteMethod.MEAN_LOG_ODDS, frames=3, needed=None),
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


def k_of_n(needed: int) -> DecisionPolicy:
    return DecisionPolicy(
        accept_at_most=0.2,
        reject_at_least=0.6,
        vote=VotePolicy(method=VoteMethod.K_OF_N, frames=3, needed=needed),
    )


def frames_of(*defect: float) -> list[np.ndarray]:
    return [np.array([1 - value, value / 2, value / 2]) for value in defect]


@pytest.mark.parametrize(
    ("needed", "defect", "verdict"),
    [
        (2, (0.9, 0.9, 0.1), Verdict.REJECT),
        (2, (0.9, 0.1, 0.1), Verdict.ACCEPT),
        (2, (0.9, 0.4, 0.1), Verdict.UNSURE),
        (1, (0.9, 0.1, 0.1), Verdict.REJECT),
        (1, (0.1, 0.1, 0.1), Verdict.ACCEPT),
        (1, (0.4, 0.1, 0.1), Verdict.UNSURE),
        (3, (0.9, 0.9, 0.1), Verdict.ACCEPT),
        (3, (0.9, 0.9, 0.4), Verdict.UNSURE),
        (2, (0.9,), Verdict.REJECT),
        (2, (0.1,), Verdict.ACCEPT),
    ],
)
def test_k_of_n_counts_the_verdicts_of_the_frames(
    needed: int, defect: tuple[float, ...], verdict: Verdict
) -> None:
    decision = decide_part(frames_of(*defect), LABELS, k_of_n(needed))
    assert decision.verdict is verdict
    assert decision.probabilities == decide(vote(frames_of(*defect)), LABELS, POLICY).probabilities


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.integers(1, 3))
def test_what_one_frame_more_rejects_is_never_accepted_by_k_of_n(
    defect: list[float], needed: int
) -> None:
    before = decide_part(frames_of(*defect), LABELS, k_of_n(needed)).verdict
    after = decide_part(frames_of(*defect, 1.0), LABELS, k_of_n(needed)).verdict
    assert before is not Verdict.REJECT or after is Verdict.REJECT


@given(st.lists(distributions(3), min_size=1, max_size=9))
def test_the_mean_of_log_odds_judges_what_the_frames_voted(frames: list[np.ndarray]) -> None:
    assert decide_part(frames, LABELS, POLICY) == decide(vote(frames), LABELS, POLICY)


@given(
    stored=st.lists(st.integers(-128, 127), min_size=1, max_size=8),
    scale=st.floats(1e-3, 1.0),
    zero_point=st.integers(-128, 127),
)
def test_interpreting_is_dequantizing_and_activating(
    stored: list[int], scale: float, zero_point: int
) -> None:
    tensor = np.array([stored], np.int8)
    quantization = Quantization(scale=scale, zero_point=zero_point)
    activation = Activation.SIGMOID if len(stored) == 1 else Activation.SOFTMAX
    expected = probabilities(dequantize(tensor, quantization), activation)
    assert interpret(tensor, quantization, activation) == tuple(expected.tolist())


def test_interpreting_floats_refuses_what_is_not_finite() -> None:
    assert interpret(np.array([[0.0]], np.float32), None, Activation.SIGMOID) == (0.5, 0.5)
    with pytest.raises(EngineError, match="expected finite logits"):
        interpret(np.array([[math.nan]], np.float32), None, Activation.SIGMOID)
