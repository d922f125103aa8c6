"""Where the training takes its inputs from: pixels, or activations computed once."""

import abc
from typing import Any

import numpy as np
import numpy.typing as npt

from linegate_bundle.preprocess import UInt8Array
from linegate_training.augment.augmenter import Augmenter

IntArray = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]
Inputs = npt.NDArray[Any]


class Source(abc.ABC):
    """Inputs of the layers that are trained, each image in several variants.

    Attributes:
        images: number of images.
        shape: of one input, without the batch.
        dtype: of the inputs; small ones are cheap to move, the model makes them float32.
    """

    images: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abc.abstractmethod
    def batch(self, indices: IntArray, draws: IntArray | None) -> Inputs:
        """Return inputs of shape ``(len(indices), *shape)``.

        Args:
            indices: which images.
            draws: which variant of each, any numbers from 0; None takes all as they are.
        """


class PixelSource(Source):
    """Preprocessed images, augmented when they are asked for.

    Args:
        array: uint8 of shape ``(rows, height, width, channels)``, may be memory-mapped.
        rows: row of each image.
        augmenter: makes the variants.
    """

    def __init__(self, array: UInt8Array, rows: IntArray, augmenter: Augmenter) -> None:
        self.images = len(rows)
        self.shape = array.shape[1:]
        self.dtype = np.dtype(np.uint8)
        self.augmenter = augmenter
        self._array = array
        self._rows = rows

    def batch(self, indices: IntArray, draws: IntArray | None) -> Inputs:
        """See :meth:`Source.batch`; values 0..255."""
        inputs = np.empty((len(indices), *self.shape), np.uint8)
        if draws is None:
            np.take(self._array, self._rows[indices], axis=0, out=inputs)
            return inputs
        for out, index, draw in zip(inputs, indices, draws, strict=True):
            out[:] = self.augmenter(self._array[self._rows[index]], int(index), int(draw))
        return inputs


class ActivationSource(Source):
    """What the frozen layers gave for a few variants of each image.

    Args:
        array: of shape ``(images, variants, ...)``.
    """

    def __init__(self, array: Inputs) -> None:
        self.images, self._variants = array.shape[:2]
        self.shape = array.shape[2:]
        self.dtype = array.dtype
        self._array = array

    def batch(self, indices: IntArray, draws: IntArray | None) -> Inputs:
        """See :meth:`Source.batch`; the draws go round the variants that were kept."""
        variants = np.zeros_like(indices) if draws is None else draws % self._variants
        taken: Inputs = self._array[indices, variants]
        return taken
