import numpy as np
import pytest

from linegate_training.fitting.batches import PlainBatches, TrainingBatches
from linegate_training.fitting.sources import ActivationSource, PixelSource, Source
from linegate_training.fitting.views import view

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
ROWS = np.array([6, 0, 3, 3, 1])
TARGETS = np.arange(5, dtype=np.float32)[:, np.newaxis]
WEIGHTS = np.array([1, 2, 3, 4, 5], np.float32)


def test_pixels_come_turned_as_asked() -> None:
    source = PixelSource(PIXELS, ROWS, (0, 3, 5))
    assert (source.images, source.views) == (5, 3)
    inputs = source.batch(np.array([0, 2]), np.array([0, 2]))
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(inputs[0], PIXELS[6])
    np.testing.assert_array_equal(inputs[1], view(PIXELS[3], 5))


def test_activations_come_from_the_view_that_was_kept() -> None:
    kept = RNG.normal(size=(5, 2, 3, 3, 8)).astype(np.float16)
    inputs = ActivationSource(kept).batch(np.array([4, 1]), np.array([1, 0]))
    np.testing.assert_array_equal(inputs, kept[[4, 1], [1, 0]].astype(np.float32))


def batches(seed: int, source: Source | None = None) -> TrainingBatches:
    source = source or PixelSource(PIXELS, ROWS, range(8))
    return TrainingBatches(source, TARGETS, WEIGHTS, batch_size=2, seed=seed)


def targets_of_an_epoch(sequence: TrainingBatches) -> list[float]:
    return [
        float(value) for number in range(len(sequence)) for value in sequence[number][1].ravel()
    ]


def test_an_epoch_has_full_batches_of_different_images_with_their_weights() -> None:
    sequence = batches(seed=0)
    assert len(sequence) == 2
    seen = targets_of_an_epoch(sequence)
    assert len(seen) == len(set(seen)) == 4
    for number in range(2):
        inputs, targets, weights = sequence[number]
        assert inputs.shape == (2, 4, 4, 3)
        np.testing.assert_array_equal(weights, targets[:, 0] + 1)


def test_inputs_belong_to_their_targets() -> None:
    inputs, targets, _ = batches(seed=1, source=PixelSource(PIXELS, ROWS, (0,)))[0]
    for image, target in zip(inputs, targets, strict=True):
        np.testing.assert_array_equal(image, PIXELS[ROWS[int(target[0])]])


def test_order_changes_with_every_epoch_and_repeats_with_the_seed() -> None:
    first, second = batches(seed=3), batches(seed=3)
    orders = []
    for _ in range(6):
        assert targets_of_an_epoch(first) == targets_of_an_epoch(second)
        orders.append(tuple(targets_of_an_epoch(first)))
        first.on_epoch_end()
        second.on_epoch_end()
    assert len(set(orders)) > 1


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    sequence = TrainingBatches(PixelSource(PIXELS, ROWS, (0,)), TARGETS, WEIGHTS, 32, seed=0)
    assert len(sequence) == 1
    assert len(sequence[0][0]) == 5


@pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
def test_plain_batches_show_every_image_once_as_it_is(batch_size: int) -> None:
    sequence = PlainBatches(PixelSource(PIXELS, ROWS, range(8)), TARGETS, batch_size)
    parts = [sequence[number] for number in range(len(sequence))]
    np.testing.assert_array_equal(np.concatenate([inputs for inputs, _ in parts]), PIXELS[ROWS])
    np.testing.assert_array_equal(np.concatenate([targets for _, targets in parts]), TARGETS)
