"""Where the training takes its inputs from: pixels, or activations computed once."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from linegate_bundle.preprocess import UInt8Array
from linegate_training.fitting.views import view

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class Source(abc.ABC):
    """Inputs of the layers that are trained, in several views an image.

    Attributes:
        images: number of images.
        views: number of views of each.
    """

    images: int
    views: int

    @abc.abstractmethod
    def batch(self, indices: IntArray, views: IntArray) -> Float32Array:
        """Return inputs of shape ``(len(indices), ...)``: of each image the view beside it."""


class PixelSource(Source):
    """Preprocessed images, turned and mirrored when they are asked for.

    Args:
        array: uint8 of shape ``(rows, height, width, channels)``, may be memory-mapped.
        rows: row of each image.
        views: numbers of the views, see :mod:`linegate_training.fitting.views`.
    """

    def __init__(self, array: UInt8Array, rows: IntArray, views: Sequence[int]) -> None:
        self.images = len(rows)
        self.views = len(views)
        self._array = array
        self._rows = rows
        self._views = tuple(views)

    def batch(self, indices: IntArray, views: IntArray) -> Float32Array:
        """See :meth:`Source.batch`; values 0..255."""
        inputs = np.empty((len(indices), *self._array.shape[1:]), np.float32)
        for out, index, number in zip(inputs, indices, views, strict=True):
            out[:] = view(self._array[self._rows[index]], self._views[number])
        return inputs


class ActivationSource(Source):
    """What the frozen layers gave for a few views of each image.

    Args:
        array: float16 of shape ``(images, views, height, width, channels)``.
    """

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.images, self.views = array.shape[:2]
        self._array = array

    def batch(self, indices: IntArray, views: IntArray) -> Float32Array:
        """See :meth:`Source.batch`."""
        return self._array[indices, views].astype(np.float32)
