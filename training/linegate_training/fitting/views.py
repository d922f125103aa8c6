"""The eight exact views of an image: as it is, turned by quarters, and each mirrored."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import ConfigError
from linegate_training.options import Augmentation

_MIRRORED = 4
"""From this view on they are mirrored."""

Array = TypeVar("Array", bound=npt.NDArray[Any])

_VIEWS: dict[Augmentation, tuple[int, ...]] = {
    Augmentation.NONE: (0,),
    Augmentation.FLIPS: (0, 2, _MIRRORED, _MIRRORED + 2),
    Augmentation.FLIPS_AND_TURNS: tuple(range(2 * _MIRRORED)),
}


def view_numbers(augmentation: Augmentation | None, shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the views that an augmentation may use; None takes all that keep the shape.

    Args:
        augmentation: what may be done.
        shape: ``(height, width, channels)`` of the images.

    Raises:
        ConfigError: quarter turns are asked for, but the image is not square.
    """
    square = shape[0] == shape[1]
    if augmentation is None:
        augmentation = Augmentation.FLIPS_AND_TURNS if square else Augmentation.FLIPS
    if augmentation is Augmentation.FLIPS_AND_TURNS and not square:
        raise ConfigError(
            f"quarter turns need a square image, got {shape[1]} x {shape[0]} pixels; choose "
            f"the augmentation {Augmentation.FLIPS}, or a square --size"
        )
    return _VIEWS[augmentation]


def view(image: Array, number: int) -> Array:
    """Return a view (no copy) of an image ``(height, width, channels)``.

    Args:
        image: any dtype.
        number: quarter turns, plus four if mirrored left to right afterwards.
    """
    turned = np.rot90(image, number % 4)
    result: Array = turned[:, ::-1] if number >= _MIRRORED else turned
    return result
