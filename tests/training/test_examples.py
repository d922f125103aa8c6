from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from linegate_bundle.errors import ConfigError, DataError
from linegate_bundle.manifest import Label, Role
from linegate_bundle.run_folder import Part, SplitRow
from linegate_training.augment.augmentation import Augmentation
from linegate_training.augment.augmenter import Augmenter
from linegate_training.data.cache import CachedRows
from linegate_training.data.prepare import Prepared
from linegate_training.data.scan import Dataset
from linegate_training.fitting.examples import Truth, balanced, collect, costly
from linegate_training.fitting.scoring import Scores, score
from linegate_training.options import Balance, Cost, Monitor

LABELS = (
    Label(name="good", role=Role.GOOD),
    Label(name="crack", role=Role.DEFECT),
    Label(name="dent", role=Role.DEFECT),
)


def truth(*labels: int) -> Truth:
    numbers = np.array(labels)
    return Truth(
        numbers,
        np.eye(3, dtype=np.float32)[numbers],
        np.ones(len(labels), np.float32),
        np.array([False, True, True]),
    )


UNEVEN = truth(0, 0, 0, 0, 0, 0, 1, 1, 2)


def test_balanced_weights_make_every_class_count_alike() -> None:
    weights = balanced(UNEVEN, Balance.WEIGHTS).weights
    totals = [weights[UNEVEN.labels == label].sum() for label in range(3)]
    assert totals == pytest.approx([totals[0]] * 3)
    assert weights.mean() == pytest.approx(1)


def test_balanced_sampling_makes_every_class_as_likely() -> None:
    even = balanced(UNEVEN, Balance.SAMPLING)
    assert even.chances is not None
    totals = [even.chances[UNEVEN.labels == label].sum() for label in range(3)]
    assert totals == pytest.approx([totals[0]] * 3)
    assert (even.weights == 1).all()


def test_without_balance_nothing_changes() -> None:
    assert balanced(UNEVEN, Balance.NONE) is UNEVEN
    np.testing.assert_allclose(costly(UNEVEN, LABELS, ()).weights, 1)


def test_images_count_by_what_their_errors_cost() -> None:
    weights = costly(UNEVEN, LABELS, (Cost("crack", "good", 5.0),)).weights
    # A crack's errors cost 5 + 1, the others' 1 + 1.
    assert weights[6] / weights[0] == pytest.approx(3)
    assert weights[8] == weights[0]


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ((Cost("hole", "good", 2.0),), "between good, crack, dent, got hole"),
        ((Cost("good", "good", 2.0),), "good taken for good is no error"),
        ((Cost("crack", "good", 0.0),), "expected a cost above 0, got 0"),
        ((Cost("crack", "good", float("nan")),), "expected a cost above 0, got nan"),
        ((Cost("crack", "good", 2.0), Cost("crack", "good", 3.0)), "several for crack taken for"),
    ],
)
def test_costs_that_make_no_sense_are_refused(costs: tuple[Cost, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        costly(UNEVEN, LABELS, costs)


def test_scores_of_known_logits() -> None:
    logits = np.array([[2.0], [-1.0], [0.5], [-3.0]], np.float32)
    labels = np.array([1, 0, 0, 1])
    targets = labels[:, np.newaxis].astype(np.float32)
    scores = score(logits, targets, labels, np.array([False, True]))
    losses = -np.log([1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(0.5)),
                      1 / (1 + np.exp(3.0))])  # fmt: skip
    assert scores.loss == pytest.approx(losses.mean())
    assert scores.accuracy == 0.5
    assert scores.auc == 0.5


def test_the_area_takes_all_defects_together() -> None:
    # Crack and dent are mixed up, but both stand apart from good.
    logits = np.array([[5, 0, 0], [0, 1, 4], [0, 4, 1]], np.float32)
    scores = score(logits, np.eye(3, dtype=np.float32), np.arange(3), np.array([False, True, True]))
    assert scores.accuracy == pytest.approx(1 / 3)
    assert scores.auc == 1.0


@given(arrays(np.float32, (6, 1), elements=st.floats(-200, 200, width=32)))
def test_one_logit_scores_as_two_would(logits: np.ndarray) -> None:
    labels = np.array([0, 1, 0, 1, 1, 0])
    one = score(logits, labels[:, np.newaxis].astype(np.float32), labels, np.array([False, True]))
    both = np.concatenate([np.zeros_like(logits), logits], axis=1)
    two = score(both, np.eye(2, dtype=np.float32)[labels], labels, np.array([False, True]))
    assert one.loss == pytest.approx(two.loss, rel=1e-6, abs=1e-9)
    assert one.accuracy == two.accuracy


def test_logits_that_are_not_finite_are_as_bad_as_can_be() -> None:
    logits = np.array([[np.nan], [1.0]], np.float32)
    labels = np.array([0, 1])
    scores = score(
        logits, labels[:, np.newaxis].astype(np.float32), labels, np.array([False, True])
    )
    assert scores == Scores(loss=float("inf"), accuracy=0.0, auc=0.5)


def test_equal_scores_are_decided_by_the_loss() -> None:
    low, high = Scores(0.2, 0.9, 0.8), Scores(0.3, 0.9, 0.8)
    assert all(low.rank(monitor) > high.rank(monitor) for monitor in Monitor)
    assert Scores(0.5, 0.95, 0.7).rank(Monitor.ACCURACY) > low.rank(Monitor.ACCURACY)
    assert Scores(0.5, 0.95, 0.7).rank(Monitor.AUC) < low.rank(Monitor.AUC)


def prepared(rows: list[SplitRow]) -> Prepared:
    digests = {row.sha256: number for number, row in enumerate(rows)}
    pixels = CachedRows(np.zeros((len(rows), 8, 8, 1), np.uint8), digests, {})
    return Prepared(Dataset(Path(), Path(), ()), pixels, tuple(rows))


def row(number: int, part: Part, weight: float, soft: str = "", label: str = "good") -> SplitRow:
    return SplitRow(f"{number}.png", label, str(number), part, f"{number:064x}", weight, soft)


def test_rows_say_how_much_an_image_counts_and_how_sure_its_label_is() -> None:
    rows = [
        row(0, Part.TRAIN, 2.0),
        row(1, Part.TRAIN, 0.0),
        row(2, Part.TRAIN, 1.0, "crack=0.25;good=0.75"),
        row(3, Part.TRAIN, 3.0, label="crack"),
        row(4, Part.VALIDATION, 0.0, "crack=0.25;good=0.75"),
    ]
    augmenter = Augmenter(Augmentation(), (8, 8, 1), 0)
    train = collect(prepared(rows), Part.TRAIN, LABELS[:2], augmenter)
    np.testing.assert_allclose(train.truth.weights, [1.0, 0.5, 1.5], rtol=1e-6)
    np.testing.assert_allclose(train.truth.targets, [[0.0], [0.25], [1.0]])
    assert train.source.images == 3
    validation = collect(prepared(rows), Part.VALIDATION, LABELS, augmenter)
    np.testing.assert_array_equal(validation.truth.weights, [1.0])
    np.testing.assert_allclose(validation.truth.targets, [[0.75, 0.25, 0.0]])


def test_a_train_part_that_never_counts_is_refused() -> None:
    augmenter = Augmenter(Augmentation(), (8, 8, 1), 0)
    rows = [row(0, Part.TRAIN, 1.0), row(1, Part.TRAIN, 0.0)]
    with pytest.raises(DataError, match="those of crack, dent have all weight 0"):
        collect(prepared(rows), Part.TRAIN, LABELS, augmenter)
