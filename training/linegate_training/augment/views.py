"""The eight exact views of an image: as it is, turned by quarters, and each mirrored."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import ConfigError
from linegate_training.augment.augmentation import Augmentation

_MIRRORED = 4
"""From this view on they are mirrored."""

Array = TypeVar("Array", bound=npt.NDArray[Any])


def exact_views(augmentation: Augmentation, shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the numbers of the views that an augmentation may use; the first is 0.

    Args:
        augmentation: what may be done.
        shape: ``(height, width, channels)`` of the images.

    Raises:
        ConfigError: quarter turns are asked for, but the image is not square.
    """
    square = shape[0] == shape[1]
    turns = square if augmentation.turns is None else augmentation.turns
    if turns and not square:
        raise ConfigError(
            f"quarter turns need a square image, got {shape[1]} x {shape[0]} pixels; leave them "
            "out with --no-turns, or choose a square --size"
        )
    # Mirrored both ways is turned by half.
    if augmentation.flips:
        return tuple(range(2 * _MIRRORED)) if turns else (0, 2, _MIRRORED, _MIRRORED + 2)
    return tuple(range(_MIRRORED)) if turns else (0,)


def view(image: Array, number: int) -> Array:
    """Return a view (no copy) of an image ``(height, width, channels)``.

    Args:
        image: any dtype.
        number: quarter turns, plus four if mirrored left to right afterwards.
    """
    turned = np.rot90(image, number % 4)
    result: Array = turned[:, ::-1] if number >= _MIRRORED else turned
    return result
