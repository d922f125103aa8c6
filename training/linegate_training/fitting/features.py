"""What frozen layers give, computed once, so that an epoch costs only what is trained."""

import dataclasses
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from linegate_bundle.errors import TrainingError
from linegate_training.augment.augmenter import Augmenter
from linegate_training.fitting.frozen import freeze
from linegate_training.fitting.sources import Float32Array, IntArray, Source
from linegate_training.networks.base import Tensor, logit_layer

_BATCH = 8
"""Images a step; more do not fit into a processor's cache and were slower on two cores."""


@dataclasses.dataclass(frozen=True)
class Features:
    """Outputs of frozen layers for a few variants of each image.

    Attributes:
        cut: activations after the layer where fine-tuning starts, float16 of shape
            ``(images, variants, height, width, channels)``; None if they were not asked for.
        head: what the head takes, pooled, float32 of shape ``(images, variants, features)``.
    """

    cut: npt.NDArray[np.float16] | None
    head: Float32Array


def activation_bytes(model: keras.Model, cut: str) -> int:
    """Return the size of one image's activations after a layer, as :class:`Features` keeps them."""
    shape = model.get_layer(cut).output.shape[1:]
    return int(np.prod(shape)) * np.dtype(np.float16).itemsize


def choose_draws(images: int, augmenter: Augmenter, kept: int, seed: int) -> IntArray:
    """Draw the variants of each image that are kept, shape ``(images, variants)``.

    The exact views among them are all different as long as there are enough; where
    nothing else is drawn, there are no more variants than exact views.
    """
    if augmenter.draws is not None:
        kept = min(kept, augmenter.draws)
    random = np.random.default_rng(seed)
    every = np.tile(np.arange(augmenter.views), (images, 1))
    order = random.permuted(every, axis=1)
    places = np.arange(kept)
    draws: IntArray = order[:, places % augmenter.views] + augmenter.views * places
    return draws


class FrozenLayers:
    """The pretrained layers of a model, ready to run; their weights must not change any more.

    Args:
        model: the whole model.
        cut: name of the layer whose activations are kept besides what the head takes.
    """

    def __init__(self, model: keras.Model, cut: str | None) -> None:
        outputs = [_head_input(model)]
        if cut is not None:
            outputs.append(model.get_layer(cut).output)
        self.shapes = [tuple(output.shape[1:]) for output in outputs]
        self.run = freeze(keras.Model(model.inputs, outputs))


def compute_features(
    frozen: FrozenLayers, source: Source, draws: IntArray | None, title: str
) -> Features:
    """Run the pretrained layers over some variants of all images of a source.

    Args:
        frozen: the layers.
        source: the images.
        draws: which variants of each image, shape ``(images, variants)``; None takes each
            image as it is.
        title: for the progress bar.

    Raises:
        TrainingError: the layers give values that are not finite, or that half precision
            cannot hold.
    """
    variants = 1 if draws is None else draws.shape[1]
    images = np.repeat(np.arange(source.images), variants)
    flat_draws = None if draws is None else draws.reshape(-1)
    kept: list[npt.NDArray[Any]] = [
        np.empty((len(images), *shape), dtype)
        for shape, dtype in zip(frozen.shapes, (np.float32, np.float16), strict=False)
    ]
    with tqdm(total=len(images), desc=title, unit=" variants", disable=None) as progress:
        for start in range(0, len(images), _BATCH):
            chosen = slice(start, start + _BATCH)
            some = None if flat_draws is None else flat_draws[chosen]
            results = frozen.run(source.batch(images[chosen], some).astype(np.float32))
            for array, result in zip(kept, results, strict=True):
                array[chosen] = result
            progress.update(len(results[0]))
    if not all(np.isfinite(array).all() for array in kept):
        raise TrainingError(
            "expected finite features from the pretrained layers, got others; the weights are "
            "damaged, or too large for half precision (then try another --fine-tune-after)"
        )
    shaped = [array.reshape(source.images, variants, *array.shape[1:]) for array in kept]
    return Features(head=shaped[0], cut=shaped[1] if len(shaped) > 1 else None)


def _head_input(model: keras.Model) -> Tensor:
    head = logit_layer(model).input
    if len(head.shape) == 4:  # noqa: PLR2004 - a map, which the head would pool later
        head = keras.layers.GlobalAveragePooling2D()(head)
    return head
