"""Where fine-tuning can start in a network that nobody has described."""

import re
from typing import Any

import keras
from keras import layers

_ENDS_OF_BLOCKS = (
    layers.Add,
    layers.Concatenate,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
)
_ACTIVATIONS = (layers.Activation, layers.ReLU)
_MAP_RANK = 4


def block_outputs(model: keras.Model) -> tuple[str, ...]:
    """Return layers that all data flows through, in order: one at the end of each block.

    Sums, concatenations and poolings count as ends of blocks, or activations where there
    are none of these. Layers without a name of their own are left out, because Keras
    numbers them anew whenever a network is built.
    """
    passed = [
        operation
        for operation in bottlenecks(model)
        if len(operation.output.shape) == _MAP_RANK and not _is_numbered(operation)
    ]
    for kinds in (_ENDS_OF_BLOCKS, _ACTIVATIONS):
        names = tuple(str(layer.name) for layer in passed if isinstance(layer, kinds))
        if names:
            return names
    return ()


def _is_numbered(operation: Any) -> bool:
    """Tell whether Keras has made up the name, such as ``max_pooling2d_3``."""
    name = re.sub(r"_\d+$", "", operation.name)
    return name.replace("_", "") == type(operation).__name__.lower()


def bottlenecks(model: keras.Model) -> list[Any]:
    """Return the operations after which nothing before them is read any more, in order."""
    operations = model.operations
    place = {
        id(tensor): index
        for index, operation in enumerate(operations)
        for tensor in keras.tree.flatten(operation.output)
    }
    first_read = [
        min((place[id(tensor)] for tensor in keras.tree.flatten(operation.input)), default=index)
        for index, operation in enumerate(operations)
    ]
    earliest = len(operations)
    found = []
    for index in range(len(operations) - 1, -1, -1):
        if earliest >= index:
            found.append(operations[index])
        if first_read[index] < index:
            earliest = min(earliest, first_read[index])
    return found[::-1]
