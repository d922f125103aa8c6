import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError
from linegate_bundle.preprocess import UInt8Array
from linegate_training.augment import operations
from linegate_training.augment.augmentation import EXACT, NOTHING, Augmentation
from linegate_training.augment.augmenter import ALL_TOGETHER, Augmenter, examples

SHAPE = (24, 24, 3)
EVERYTHING = Augmentation(shift=0.1, scale=0.1, rotation=10, blur=1, noise=5, cutout=0.2, jpeg=30)


def picture(channels: int = 3) -> UInt8Array:
    """A dark square with a bright dot, which is the defect."""
    image = np.full((24, 24, channels), 60, np.uint8)
    image[10:13, 14:17] = 220
    return image


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


augmentations = st.builds(
    Augmentation,
    flips=st.booleans(),
    turns=st.booleans(),
    shift=st.floats(0, 0.5),
    scale=st.floats(0, 0.5),
    rotation=st.floats(0, 45),
    brightness=st.floats(0, 0.5),
    contrast=st.floats(0, 0.9),
    blur=st.floats(0, 5),
    noise=st.floats(0, 50),
    cutout=st.floats(0, 0.5),
    jpeg=st.floats(0, 95),
)


@settings(deadline=None, max_examples=60)
@given(augmentations, st.integers(0, 2**30), st.sampled_from([1, 3]))
def test_every_variant_is_a_picture_of_the_same_kind_and_repeats(
    augmentation: Augmentation, draw: int, channels: int
) -> None:
    image = picture(channels)
    before = image.copy()
    augmenter = Augmenter(augmentation, image.shape, seed=1)
    first, second = augmenter(image, 7, draw), augmenter(image, 7, draw)
    assert (first.shape, first.dtype) == (image.shape, image.dtype)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(image, before)


def test_variants_differ_by_image_draw_and_seed() -> None:
    augmentation = Augmentation(noise=10)
    variants = [
        Augmenter(augmentation, SHAPE, seed)(picture(), index, draw)
        for seed in (0, 1)
        for index in (0, 1)
        for draw in (0, 8)
    ]
    assert len({variant.tobytes() for variant in variants}) == 8


def test_exact_variants_are_the_views_and_can_be_counted() -> None:
    augmenter = Augmenter(EXACT, SHAPE)
    assert (augmenter.views, augmenter.draws) == (8, 8)
    image = np.arange(24 * 24 * 3).reshape(SHAPE).astype(np.uint8)
    assert len({augmenter(image, 0, draw).tobytes() for draw in range(16)}) == 8
    assert Augmenter(Augmentation(), SHAPE).draws is None


def test_nothing_leaves_the_picture_as_it_is() -> None:
    np.testing.assert_array_equal(Augmenter(NOTHING, SHAPE)(picture(), 5, 99), picture())


def test_by_default_a_defect_stays_in_sight() -> None:
    augmenter = Augmenter(Augmentation(), SHAPE)
    for draw in range(200):
        variant = augmenter(picture(), 0, draw).astype(int)
        bright = variant > np.median(variant) + 100
        assert bright.sum() == 9 * 3


def test_content_moves_as_far_as_asked_and_no_farther() -> None:
    places = []
    for number in range(100):
        moved = operations.move(
            picture(), np.random.default_rng(number), shift=0.1, scale=0, rotation=0
        )
        places.append(np.argwhere(moved[:, :, 0] > 140).mean(axis=0) - (11, 15))
    farthest = np.abs(places).max()
    assert 1.5 < farthest <= 2.4 + 0.5


def test_light_changes_the_mean_by_its_share_of_white() -> None:
    means = [
        float(
            operations.light(
                picture(), np.random.default_rng(number), brightness=0.1, contrast=0
            ).mean()
        )
        for number in range(100)
    ]
    change = np.abs(np.array(means) - picture().mean())
    assert 20 < change.max() <= 25.5 + 0.5


def test_blur_keeps_the_mean_and_lowers_the_peak() -> None:
    blurred = [operations.blur(picture(), np.random.default_rng(n), sigma=3) for n in range(20)]
    assert min(image.max() for image in blurred) < 100
    assert all(image.mean() == pytest.approx(picture().mean(), abs=1.5) for image in blurred)


def test_noise_has_the_drawn_deviation() -> None:
    flat = np.full((64, 64, 3), 128, np.uint8)
    deviations = [
        operations.noise(flat, np.random.default_rng(number), deviation=20).std()
        for number in range(50)
    ]
    assert 15 < max(deviations) < 21
    assert min(deviations) < 5


def test_cutout_covers_a_square_of_its_share() -> None:
    image = rng().integers(0, 256, (40, 40, 3), dtype=np.uint8)
    covered = operations.cutout(image, np.random.default_rng(4), share=0.25)
    changed = (covered != image).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert np.ptp(rows) <= 10
    assert np.ptp(columns) <= 10
    assert changed.sum() > 20


def test_jpeg_loses_more_the_lower_the_quality() -> None:
    image = rng().integers(0, 256, (40, 40, 3), dtype=np.uint8)

    def error(loss: float) -> float:
        coded = operations.jpeg(image, np.random.default_rng(1), loss=loss)
        return float(np.abs(coded.astype(int) - image).mean())

    assert error(5) < error(60)


def test_the_sheet_shows_each_operation_alone_and_all_together() -> None:
    images = np.stack([picture()] * 4)
    shown = examples(images, EVERYTHING)
    assert list(shown) == [
        "flips and turns", "shift", "scale", "rotation", "cutout", "blur", "brightness",
        "contrast", "noise", "jpeg", ALL_TOGETHER,
    ]  # fmt: skip
    assert all(pictures.shape == images.shape for pictures in shown.values())
    assert all((pictures != images).any() for pictures in shown.values())
    assert list(examples(images, NOTHING)) == [ALL_TOGETHER]


@pytest.mark.parametrize(
    "strength", [{"shift": 0.6}, {"blur": -1.0}, {"noise": float("nan")}, {"jpeg": 100.0}]
)
def test_strengths_out_of_range_are_refused(strength: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"expected {next(iter(strength))} from 0 to"):
        Augmentation(**strength)  # type: ignore[arg-type]
