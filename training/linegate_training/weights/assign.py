"""Putting pretrained weights into the layers of a model, its first one adapted to raw pixels."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from linegate_bundle.errors import ConfigError, DataError
from linegate_training.networks.base import NORMALIZATION
from linegate_training.weights.pixels import Array, PixelMap, adapt_kernel


@dataclasses.dataclass(frozen=True)
class LayerWeights:
    """Weights for one layer.

    Attributes:
        layer: gets them.
        arrays: in Keras' order and layout.
        origin: what the file calls them, for messages.
    """

    layer: keras.layers.Layer
    arrays: Sequence[Array]
    origin: str


def assign(
    model: keras.Model, weights: Sequence[LayerWeights], pixels: PixelMap, source: str
) -> None:
    """Set the weights of layers; nothing is set if one of them does not fit.

    Args:
        model: built by :func:`linegate_training.networks.base.build_model`.
        weights: of its layers, the first convolution with three input channels.
        pixels: what they were trained on.
        source: the file or the name of the weights, for messages.

    Raises:
        ConfigError: the model's first layer cannot be adapted.
        DataError: shapes differ; the weights are those of another network.
    """
    first, normalization, bias = _first_convolution(model)
    scale, offset = float(normalization.scale), float(normalization.offset)
    fitting, shift = [], None
    for given in weights:
        arrays = list(given.arrays)
        if given.layer is first and arrays and arrays[0].ndim == first.kernel.ndim:
            channels = int(first.kernel.shape[2])
            if arrays[0].shape[2] == len(pixels.offset):
                arrays[0], shift = adapt_kernel(arrays[0], pixels, scale, offset, channels)
        expected = [tuple(weight.shape) for weight in given.layer.weights]
        got = [array.shape for array in arrays]
        if expected != got:
            raise DataError(
                f"{source}: expected the weights of {model.name}, but {given.origin} fits the "
                f"shapes {got}, not {expected}"
            )
        fitting.append((given.layer, arrays))
    for layer, arrays in fitting:
        layer.set_weights(arrays)
    if shift is not None:
        _add(bias, shift)


def _first_convolution(model: keras.Model) -> tuple[Any, Any, Any]:
    """Return the first convolution, the normalization before it and the layer with its bias."""
    normalization = model.get_layer(NORMALIZATION)
    convolution = _reader(model, normalization)
    if isinstance(convolution, layers.ZeroPadding2D):
        convolution = _reader(model, convolution)
    if isinstance(convolution, layers.Conv2D):
        bias = convolution if convolution.use_bias else _reader(model, convolution)
        if bias is convolution or isinstance(bias, layers.BatchNormalization):
            return convolution, normalization, bias
    raise ConfigError(
        f"{model.name}: expected a convolution with a bias or batch normalization as the first "
        "layer, got another; pretrained weights cannot be adapted to raw pixels, choose --weights "
        "none"
    )


def _reader(model: keras.Model, layer: keras.layers.Layer) -> Any:
    """Return the layer that takes the output of ``layer``; None if there is not exactly one."""
    readers = [other for other in model.layers if getattr(other, "input", None) is layer.output]
    return readers[0] if len(readers) == 1 else None


def _add(bias: Any, shift: Array) -> None:
    if isinstance(bias, layers.BatchNormalization):
        # It subtracts the mean that the convolution's outputs had.
        bias.moving_mean.assign(np.asarray(bias.moving_mean) - shift)
    else:
        bias.bias.assign(np.asarray(bias.bias) + shift)
