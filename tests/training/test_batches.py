import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_training.augment.augmentation import EXACT, NOTHING, Augmentation
from linegate_training.augment.augmenter import Augmenter
from linegate_training.augment.views import view
from linegate_training.fitting.batches import TrainingBatches, plain_batches
from linegate_training.fitting.sources import ActivationSource, PixelSource, Source

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
ROWS = np.array([6, 0, 3, 3, 1])
TARGETS = np.arange(5, dtype=np.float32)[:, np.newaxis]
WEIGHTS = np.array([1, 2, 3, 4, 5], np.float32)


def pixels(augmentation: Augmentation) -> PixelSource:
    return PixelSource(PIXELS, ROWS, Augmenter(augmentation, PIXELS.shape[1:]))


def test_pixels_come_turned_as_asked() -> None:
    source = pixels(EXACT)
    assert (source.images, source.shape) == (5, (4, 4, 3))
    assert source.dtype == np.uint8
    inputs = source.batch(np.array([0, 2]), np.array([8, 13]))
    np.testing.assert_array_equal(inputs[0], PIXELS[6])
    np.testing.assert_array_equal(inputs[1], view(PIXELS[3], 5))


def test_pixels_come_as_they_are_if_nothing_is_drawn() -> None:
    inputs = pixels(Augmentation(noise=20)).batch(np.array([4, 0]), None)
    np.testing.assert_array_equal(inputs, PIXELS[[1, 6]])


def test_activations_come_from_the_variant_that_was_kept() -> None:
    kept = RNG.normal(size=(5, 2, 3, 3, 8)).astype(np.float16)
    source = ActivationSource(kept)
    assert (source.images, source.shape) == (5, (3, 3, 8))
    assert source.dtype == np.float16
    inputs = source.batch(np.array([4, 1]), np.array([7, 4]))
    np.testing.assert_array_equal(inputs, kept[[4, 1], [1, 0]])
    np.testing.assert_array_equal(source.batch(np.array([3]), None), kept[[3], 0])


def batches(
    seed: int, source: Source | None = None, epoch: int = 0, **changes: object
) -> TrainingBatches:
    given: dict[str, object] = {"batch_size": 2, "epoch": epoch, **changes}
    return TrainingBatches(source or pixels(EXACT), TARGETS, WEIGHTS, seed=seed, **given)  # type: ignore[arg-type]


def targets_of_an_epoch(sequence: TrainingBatches) -> list[float]:
    return [
        float(value) for number in range(len(sequence)) for value in sequence[number][1].ravel()
    ]


def test_an_epoch_shows_every_image_in_full_batches_with_its_weight() -> None:
    sequence = batches(seed=0)
    assert len(sequence) == 3
    seen = targets_of_an_epoch(sequence)
    assert len(seen) == 6
    assert set(seen) == set(TARGETS.ravel())
    for number in range(3):
        inputs, targets, weights = sequence[number]
        assert inputs.shape == (2, 4, 4, 3)
        np.testing.assert_array_equal(weights, targets[:, 0] + 1)


def test_inputs_belong_to_their_targets() -> None:
    inputs, targets, _ = batches(seed=1, source=pixels(NOTHING))[0]
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


def test_an_epoch_is_the_same_whether_it_was_reached_or_begun_with() -> None:
    reached, begun = batches(seed=3), batches(seed=3, epoch=2)
    for _ in range(2):
        reached.on_epoch_end()
    for number in range(len(reached)):
        for one, other in zip(reached[number], begun[number], strict=True):
            np.testing.assert_array_equal(one, other)


def test_rare_images_come_as_often_as_their_chances_say() -> None:
    chances = np.array([0.0, 0.0, 0.0, 1.0, 3.0])
    sequence = batches(seed=0, batch_size=5, chances=chances)
    seen = []
    for _ in range(400):
        seen += targets_of_an_epoch(sequence)
        sequence.on_epoch_end()
    assert set(seen) == {3.0, 4.0}
    assert np.mean(np.array(seen) == 4.0) == pytest.approx(0.75, abs=0.04)


@given(images=st.integers(1, 60), most=st.integers(1, 40))
def test_batches_are_alike_and_repeat_few_images(images: int, most: int) -> None:
    source = ActivationSource(np.zeros((images, 1, 1, 1, 1), np.float16))
    targets, weights = np.zeros((images, 1), np.float32), np.ones(images, np.float32)
    sequence = TrainingBatches(source, targets, weights, most, seed=0)
    sizes = [len(sequence[number][0]) for number in range(len(sequence))]
    assert len(set(sizes)) == 1
    assert sizes[0] <= most
    assert 0 <= sum(sizes) - images < len(sizes)


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    sequence = batches(seed=0, batch_size=32)
    assert len(sequence) == 1
    assert len(sequence[0][0]) == 5


@pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
def test_plain_batches_show_every_image_once_as_it_is(batch_size: int) -> None:
    parts = list(plain_batches(pixels(EXACT), batch_size))
    np.testing.assert_array_equal(np.concatenate(parts), PIXELS[ROWS])
