"""What a network is, and how it becomes a Keras model.

Every model is flat (no nested model), functional and made of Keras' own layers, so
it loads with ``keras.models.load_model(..., safe_mode=True)`` where linegate is not
installed. The exporter relies on three layer names: :data:`NORMALIZATION` is the
first layer after the input, :data:`LOGITS` the last before the activation, and
:data:`PROBABILITIES` the activation.
"""

import dataclasses
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Activation, Colour

IMAGE = "image"
NORMALIZATION = "normalization"
LOGIT_MAP = "logit_map"
LOGITS = "logits"
PROBABILITIES = "probabilities"

_BINARY = 2
"""Two labels share one logit."""

Tensor = Any
"""A symbolic Keras tensor; Keras has no public type for it that mypy understands."""


class HeadKind(enum.Enum):
    """How features become logits.

    ``CLASS_MAP`` is a 1x1 convolution and then global average pooling: the same
    function as pooling before a dense layer, but the map before the pooling shows
    where in the image the evidence is. ``DENSE`` is for networks that flatten.
    """

    CLASS_MAP = "class_map"
    DENSE = "dense"


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that can be trained.

    Attributes:
        name: what ``--network`` calls it.
        size: default width and height of the input, in pixels.
        smallest_size: below it the body has no pixels left.
        colour: default channels of the input.
        scale: with ``offset`` the normalization ``pixel * scale + offset``.
        offset: see ``scale``.
        body: from normalized images ``(batch, height, width, channels)`` to features.
        head: what follows the features.
        dropout: share of the features that the head's training drops.
        cuts: names of layers where fine-tuning can start, in the order of the data
            flow; the layers after a cut are trained, those up to it stay. Empty if the
            network is always trained as a whole.
        fine_tune_after: the cut that is taken if nothing is said.
        load_imagenet: reads the published ImageNet weights into a model's body, from
            the given file or, if None, from where they are installed; absent if there
            are none.
    """

    name: str
    size: int
    smallest_size: int
    colour: Colour
    scale: float
    offset: float
    body: Callable[[Tensor], Tensor]
    head: HeadKind
    dropout: float
    cuts: tuple[str, ...] = ()
    fine_tune_after: str | None = None
    load_imagenet: Callable[[keras.Model, Path | None], None] | None = None


def build_model(network: Network, shape: tuple[int, int, int], labels: int) -> keras.Model:
    """Build a network with a fresh head.

    Args:
        network: which one.
        shape: ``(height, width, channels)`` of the input.
        labels: number of classes; two share one logit, which speaks for the second.

    Returns:
        A model from float32 pixels 0..255 of shape ``(batch, *shape)`` to probabilities
        of shape ``(batch, 1)`` for two labels, ``(batch, labels)`` for more.

    Raises:
        ConfigError: the image is too small for the network.
    """
    if min(shape[:2]) < network.smallest_size:
        raise ConfigError(
            f"{network.name} needs images of at least {network.smallest_size} pixels a side, got "
            f"{shape[1]} x {shape[0]}; give a larger --size"
        )
    image = keras.Input(shape, name=IMAGE)
    x = keras.layers.Rescaling(network.scale, network.offset, name=NORMALIZATION)(image)
    x = _head(network, network.body(x), logits=1 if labels == _BINARY else labels)
    activation = activation_for(labels)
    x = keras.layers.Activation(activation.value, name=PROBABILITIES)(x)
    return keras.Model(image, x, name=network.name)


def activation_for(labels: int) -> Activation:
    """Return how the logits of that many labels become probabilities."""
    return Activation.SIGMOID if labels == _BINARY else Activation.SOFTMAX


def cut_model(model: keras.Model, first: str, last: str) -> keras.Model:
    """Return the part from the output of layer ``first`` to the output of layer ``last``.

    The part shares its layers, and so its weights, with ``model``.
    """
    return keras.Model(model.get_layer(first).output, model.get_layer(last).output)


def logit_layer(model: keras.Model) -> keras.layers.Layer:
    """Return the layer whose kernel makes logits out of features."""
    names = {layer.name for layer in model.layers}
    return model.get_layer(LOGIT_MAP if LOGIT_MAP in names else LOGITS)


def _head(network: Network, features: Tensor, logits: int) -> Tensor:
    if network.head is HeadKind.DENSE:
        if network.dropout:
            features = keras.layers.Dropout(network.dropout, name="dropout")(features)
        return keras.layers.Dense(logits, name=LOGITS)(features)
    if network.dropout:
        # Whole channels, so that it equals dropping features after the pooling.
        features = keras.layers.SpatialDropout2D(network.dropout, name="dropout")(features)
    class_map = keras.layers.Conv2D(logits, 1, name=LOGIT_MAP)(features)
    return keras.layers.GlobalAveragePooling2D(name=LOGITS)(class_map)
