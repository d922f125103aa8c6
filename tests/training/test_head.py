import numpy as np
import pytest

from linegate_training.fitting.head import Samples, fit_head


def samples(labels: int, images: int, seed: int) -> Samples:
    """Features whose class means differ, with noise."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(images) % labels
    means = np.random.default_rng(99).normal(size=(labels, 12))
    features = (means[numbers] + rng.normal(size=(images, 12))).astype(np.float32)
    return Samples(features, numbers, np.ones(images, np.float32))


@pytest.mark.parametrize(("labels", "outputs"), [(2, 1), (4, 4)])
def test_head_separates_what_can_be_separated(labels: int, outputs: int) -> None:
    head = fit_head(samples(labels, 400, 1), samples(labels, 200, 2))
    assert head.kernel.shape == (12, outputs)
    assert head.bias.shape == (outputs,)
    assert head.validation_accuracy > 0.85
    fresh = samples(labels, 400, 3)
    logits = fresh.features @ head.kernel + head.bias
    found = logits.argmax(axis=1) if outputs > 1 else logits[:, 0] > 0
    assert (found == fresh.labels).mean() > 0.85


def test_strength_is_chosen_on_the_validation_part() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 200)).astype(np.float32)
    labels = np.arange(40) % 2
    train = Samples(noise, labels, np.ones(40, np.float32))
    other = Samples(
        rng.normal(size=(400, 200)).astype(np.float32), np.arange(400) % 2, np.ones(400, np.float32)
    )
    # Nothing can be learned here, so the strongest regularization is the best.
    assert fit_head(train, other).strength == 3e-2
    assert fit_head(train, train).strength == 1e-4


def test_heavier_images_move_the_decision() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    features = (labels[:, np.newaxis] + rng.normal(size=(400, 1))).astype(np.float32)
    even = Samples(features, labels, np.ones(400, np.float32))
    heavy = Samples(features, labels, np.where(labels == 1, 5.0, 1.0).astype(np.float32))
    assert fit_head(heavy, heavy).bias[0] > fit_head(even, even).bias[0] + 1
