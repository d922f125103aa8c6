import numpy as np
import pytest

from linegate_bundle.errors import ConfigError
from linegate_training.augment.augmentation import EXACT, NOTHING, Augmentation
from linegate_training.augment.views import exact_views, view

IMAGE = np.arange(2 * 3 * 3).reshape(3, 3, 2)


def test_the_eight_views_differ_and_hold_the_same_pixels() -> None:
    views = [view(IMAGE, number) for number in range(8)]
    assert len({image.tobytes() for image in views}) == 8
    assert all(sorted(image.ravel()) == sorted(IMAGE.ravel()) for image in views)
    np.testing.assert_array_equal(views[0], IMAGE)
    np.testing.assert_array_equal(views[2], IMAGE[::-1, ::-1])
    np.testing.assert_array_equal(views[4], IMAGE[:, ::-1])
    np.testing.assert_array_equal(views[6], IMAGE[::-1])


@pytest.mark.parametrize(
    ("augmentation", "shape", "numbers"),
    [
        (NOTHING, (4, 4, 3), (0,)),
        (Augmentation(turns=False), (4, 4, 3), (0, 2, 4, 6)),
        (Augmentation(flips=False), (4, 4, 3), (0, 1, 2, 3)),
        (EXACT, (4, 4, 3), tuple(range(8))),
        (EXACT, (4, 6, 3), (0, 2, 4, 6)),
    ],
)
def test_views_that_an_augmentation_allows(
    augmentation: Augmentation, shape: tuple[int, int, int], numbers: tuple[int, ...]
) -> None:
    assert exact_views(augmentation, shape) == numbers
    assert {view(np.zeros(shape), number).shape for number in numbers} == {shape}


def test_quarter_turns_of_an_oblong_image_are_refused() -> None:
    with pytest.raises(ConfigError, match="leave them out with --no-turns"):
        exact_views(Augmentation(turns=True), (4, 6, 3))
