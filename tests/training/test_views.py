import numpy as np
import pytest

from linegate_bundle.errors import ConfigError
from linegate_training.fitting.views import view, view_numbers
from linegate_training.options import Augmentation

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
        (Augmentation.NONE, (4, 4, 3), (0,)),
        (Augmentation.FLIPS, (4, 4, 3), (0, 2, 4, 6)),
        (None, (4, 4, 3), tuple(range(8))),
        (None, (4, 6, 3), (0, 2, 4, 6)),
    ],
)
def test_views_that_an_augmentation_allows(
    augmentation: Augmentation | None, shape: tuple[int, int, int], numbers: tuple[int, ...]
) -> None:
    assert view_numbers(augmentation, shape) == numbers
    assert {view(np.zeros(shape), number).shape for number in numbers} == {shape}


def test_quarter_turns_of_an_oblong_image_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose the augmentation flips"):
        view_numbers(Augmentation.FLIPS_AND_TURNS, (4, 6, 3))
