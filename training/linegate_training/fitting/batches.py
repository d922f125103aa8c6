"""Batches for Keras: every epoch all images in new order, each in a variant drawn anew."""

import math
from collections.abc import Iterator

import keras
import numpy as np
import numpy.typing as npt

from linegate_training.fitting.sources import Float32Array, Inputs, IntArray, Source

_DRAWS = 1 << 30
_QUEUE = 4
"""Batches that are made ready while the model works."""


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled batches with targets and weights.

    Order and variants follow from seed and epoch alone, so a training that goes on
    after an interruption sees what it would have seen.

    Args:
        source: the inputs.
        targets: float32 of shape ``(images, outputs)``.
        weights: float32 of shape ``(images,)``.
        batch_size: most images a batch. All batches are of one size, for which a graph is
            compiled: the largest that divides the images with the fewest repeated to fill
            the last.
        seed: of order and variants.
        chances: float64 of shape ``(images,)``: how likely each image is to be drawn;
            None shows each once an epoch.
        epoch: the first one.
    """

    def __init__(
        self,
        source: Source,
        targets: Float32Array,
        weights: Float32Array,
        batch_size: int,
        seed: int,
        *,
        chances: npt.NDArray[np.float64] | None = None,
        epoch: int = 0,
    ) -> None:
        # One thread prepares batches while the model works on another.
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=_QUEUE)
        self._source = source
        self._targets = targets
        self._weights = weights
        self._batches = math.ceil(source.images / batch_size)
        self._batch_size = math.ceil(source.images / self._batches)
        self._seed = seed
        self._chances = chances
        self._epoch = epoch
        self._draw()

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, number: int) -> tuple[Inputs, Float32Array, Float32Array]:
        chosen = slice(number * self._batch_size, (number + 1) * self._batch_size)
        indices = self._order[chosen]
        inputs = self._source.batch(indices, self._draws[chosen])
        return inputs, self._targets[indices], self._weights[indices]

    def on_epoch_end(self) -> None:
        """Draw a new order and new variants."""
        self._epoch += 1
        self._draw()

    def _draw(self) -> None:
        images, shown = self._source.images, self._batches * self._batch_size
        random = np.random.default_rng([self._seed, self._epoch])
        self._order: IntArray = (
            np.resize(random.permutation(images), shown)
            if self._chances is None
            else random.choice(images, shown, p=self._chances / self._chances.sum())
        )
        self._draws: IntArray = random.integers(_DRAWS, size=shown)


def plain_batches(source: Source, batch_size: int) -> Iterator[Inputs]:
    """Yield all images once, in order, as they are."""
    for number in range(math.ceil(source.images / batch_size)):
        start = number * batch_size
        yield source.batch(np.arange(start, min(start + batch_size, source.images)), None)
