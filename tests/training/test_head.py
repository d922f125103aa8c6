import numpy as np
import pytest

from linegate_training.fitting.head import Samples, fit_head
from linegate_training.fitting.sources import Float32Array, IntArray


def of(features: Float32Array, labels: IntArray, weights: Float32Array | None = None) -> Samples:
    """Samples whose labels are sure; every label but the first is a defect."""
    count = labels.max() + 1
    targets = np.eye(count, dtype=np.float32)[labels]
    return Samples(
        features,
        targets[:, 1:] if count == 2 else targets,
        labels,
        np.ones(len(labels), np.float32) if weights is None else weights,
        np.arange(count) > 0,
    )


def samples(labels: int, images: int, seed: int) -> Samples:
    """Features whose class means differ, with noise."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(images) % labels
    means = np.random.default_rng(99).normal(size=(labels, 12))
    features = (means[numbers] + rng.normal(size=(images, 12))).astype(np.float32)
    return of(features, numbers)


@pytest.mark.parametrize(("labels", "outputs"), [(2, 1), (4, 4)])
def test_head_separates_what_can_be_separated(labels: int, outputs: int) -> None:
    head = fit_head(samples(labels, 400, 1), samples(labels, 200, 2))
    assert head.kernel.shape == (12, outputs)
    assert head.bias.shape == (outputs,)
    assert head.validation.accuracy > 0.85
    fresh = samples(labels, 400, 3)
    logits = fresh.features @ head.kernel + head.bias
    found = logits.argmax(axis=1) if outputs > 1 else logits[:, 0] > 0
    assert (found == fresh.labels).mean() > 0.85


def test_strength_is_chosen_on_the_validation_part() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 200)).astype(np.float32)
    labels = np.arange(40) % 2
    train = of(noise, labels)
    other = of(rng.normal(size=(400, 200)).astype(np.float32), np.arange(400) % 2)
    # Nothing can be learned here, so the strongest regularization is the best.
    assert fit_head(train, other).strength == 3e-2
    assert fit_head(train, train).strength == 1e-4
    # What will be fine-tuned starts from small weights.
    assert fit_head(train, train, fine_tuned=True).strength == 3e-2


def test_heavier_images_move_the_decision() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    features = (labels[:, np.newaxis] + rng.normal(size=(400, 1))).astype(np.float32)
    even = of(features, labels)
    heavy = of(features, labels, np.where(labels == 1, 5.0, 1.0).astype(np.float32))
    assert fit_head(heavy, heavy).bias[0] > fit_head(even, even).bias[0] + 1


def test_shares_of_labels_count_like_that_many_images() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3)).astype(np.float32)
    shares = (np.arange(60) % 4 / 3).astype(np.float32)[:, np.newaxis]
    soft = Samples(
        features,
        shares,
        (shares[:, 0] > 0.5).astype(np.int64),
        np.ones(60, np.float32),
        np.array([False, True]),
    )
    times = np.rint(3 * np.concatenate([1 - shares, shares], axis=1)).astype(int)
    rows, labels = np.repeat(np.indices((60, 2)).reshape(2, -1), times.ravel(), axis=1)
    copies = of(features[rows], labels)
    one, other = fit_head(soft, soft), fit_head(copies, copies)
    assert one.strength == other.strength
    np.testing.assert_allclose(one.kernel, other.kernel, atol=1e-3)
    assert one.train.loss == pytest.approx(other.train.loss, abs=1e-4)
