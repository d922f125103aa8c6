"""PyTorch's weights for the layers of a Keras model."""

from collections.abc import Callable, Mapping, Sequence

import keras
from keras import layers

from linegate_bundle.errors import DataError
from linegate_training.weights.assign import LayerWeights
from linegate_training.weights.pixels import Array

BATCH_NORMALIZATION = ("weight", "bias", "running_mean", "running_var")
"""PyTorch's names of what Keras calls gamma, beta, moving mean and moving variance."""

_KERNEL_DIMENSIONS = 4


def torch_weights(
    model: keras.Model,
    arrays: Mapping[str, Array],
    name_of: Callable[[keras.layers.Layer], str | None],
    source: str,
) -> Sequence[LayerWeights]:
    """Find the weights of a model's layers among those of a PyTorch model.

    Args:
        model: convolutions without bias, batch normalization, and layers without weights.
        arrays: the weights by name.
        name_of: PyTorch's name of a layer; None for one that the file does not hold.
        source: the file, for messages.

    Raises:
        DataError: some are missing.
    """
    found = []
    for layer in model.layers:
        prefix = name_of(layer) if layer.weights else None
        if prefix is None:
            continue
        is_norm = isinstance(layer, layers.BatchNormalization)
        names = [f"{prefix}.{part}" for part in (BATCH_NORMALIZATION if is_norm else ("weight",))]
        missing = [name for name in names if name not in arrays]
        if missing:
            raise DataError(
                f"{source}: expected the weights of {model.name}, {missing} are missing"
            )
        in_keras_layout = [_to_keras_layout(layer, arrays[name]) for name in names]
        found.append(LayerWeights(layer, in_keras_layout, names[0]))
    return found


def _to_keras_layout(layer: keras.layers.Layer, array: Array) -> Array:
    """Bring a kernel from (out, in, height, width) to Keras' order."""
    if array.ndim != _KERNEL_DIMENSIONS:
        return array
    if isinstance(layer, layers.DepthwiseConv2D):
        return array.transpose(2, 3, 0, 1)
    return array.transpose(2, 3, 1, 0)
