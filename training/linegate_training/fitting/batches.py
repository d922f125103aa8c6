"""Batches for Keras: every epoch all images in new order, each in a view drawn anew."""

import math

import keras
import numpy as np

from linegate_training.fitting.sources import Float32Array, IntArray, Source


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled batches with targets and weights; the same seed gives the same sequence.

    Args:
        source: the inputs.
        targets: float32 of shape ``(images, outputs)``.
        weights: float32 of shape ``(images,)``.
        batch_size: images a batch; the rest that fills none waits for another epoch.
        seed: of order and views.
    """

    def __init__(
        self,
        source: Source,
        targets: Float32Array,
        weights: Float32Array,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self._source = source
        self._targets = targets
        self._weights = weights
        self._batch_size = min(batch_size, source.images)
        self._random = np.random.default_rng(seed)
        self._draw()

    def __len__(self) -> int:
        return self._source.images // self._batch_size

    def __getitem__(self, number: int) -> tuple[Float32Array, Float32Array, Float32Array]:
        chosen = slice(number * self._batch_size, (number + 1) * self._batch_size)
        indices = self._order[chosen]
        inputs = self._source.batch(indices, self._views[chosen])
        return inputs, self._targets[indices], self._weights[indices]

    def on_epoch_end(self) -> None:
        """Draw a new order and new views."""
        self._draw()

    def _draw(self) -> None:
        images = self._source.images
        self._order: IntArray = self._random.permutation(images)
        self._views: IntArray = self._random.integers(self._source.views, size=images)


class PlainBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """All images once, in order, in their first view."""

    def __init__(self, source: Source, targets: Float32Array, batch_size: int) -> None:
        super().__init__()
        self._source = source
        self._targets = targets
        self._batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(self._source.images / self._batch_size)

    def __getitem__(self, number: int) -> tuple[Float32Array, Float32Array]:
        start = number * self._batch_size
        indices = np.arange(start, min(start + self._batch_size, self._source.images))
        inputs = self._source.batch(indices, np.zeros(len(indices), np.int64))
        return inputs, self._targets[indices]
