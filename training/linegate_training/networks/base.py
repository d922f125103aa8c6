"""What a network is, and how it becomes a Keras model.

Every model is flat (no nested model), functional and made of Keras' own layers, so
it loads with ``keras.models.load_model(..., safe_mode=True)`` where linegate is not
installed. The exporter relies on three layer names: :data:`NORMALIZATION` is the
first layer after the input, :data:`LOGITS` the last before the activation, and
:data:`PROBABILITIES` the activation.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Activation, Colour
from linegate_training.options import Head

IMAGE = "image"
NORMALIZATION = "normalization"
LOGIT_MAP = "logit_map"
LOGITS = "logits"
PROBABILITIES = "probabilities"

_MAP_RANK = 4
"""Batch, height, width, channels."""

_BATCH_NORM_MOMENTUM = 0.9
"""With Keras' 0.99, and the 0.999 of its MobileNets, a net that has learned for a few hundred
steps says something else in use than in training."""

_BINARY = 2
"""Two labels share one logit."""

Tensor = Any
"""A symbolic Keras tensor; Keras has no public type for it that mypy understands."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that can be trained.

    Attributes:
        name: what ``--network`` calls it.
        size: default width and height of the input, in pixels.
        smallest_size: below it some layer has no pixels left.
        colour: default channels of the input.
        scale: with ``offset`` the normalization ``pixel * scale + offset``.
        offset: see ``scale``; for export ``offset / scale`` must be a whole number from
            -255 to 0.
        body: from normalized images ``(batch, height, width, channels)`` to a map of
            features of the same rank, or to features ``(batch, features)`` if it
            flattens or pools by itself.
        hidden: what the publication has between that map and the logits, from the map to
            features ``(batch, features)``; None if it pools and is followed by logits.
        dropout: share of the features that the training drops before pooling.
        cuts: names of layers where fine-tuning can start, in the order of the data
            flow; the layers after a cut are trained, those up to it stay. Empty if the
            network is always trained as a whole.
        fine_tune_after: the cut that is taken if nothing is said.
        learning_rate: highest rate of a training from random weights.
        load_imagenet: reads pretrained weights into a model's body, from the given file
            or, if None, the ImageNet weights from where they are published or installed;
            absent if there are none.
        with_alpha: returns the network with another width; absent if it has no multiplier.
    """

    name: str
    size: int
    smallest_size: int
    colour: Colour
    scale: float
    offset: float
    body: Callable[[Tensor], Tensor]
    hidden: Callable[[Tensor], Tensor] | None = None
    dropout: float = 0.0
    cuts: tuple[str, ...] = ()
    fine_tune_after: str | None = None
    learning_rate: float = 1e-3
    load_imagenet: Callable[[keras.Model, Path | None], None] | None = None
    with_alpha: Callable[[float], "Network"] | None = None


def build_model(
    network: Network, shape: tuple[int, int, int], labels: int, head: Head = Head.PUBLISHED
) -> keras.Model:
    """Build a network with a fresh head.

    Args:
        network: which one.
        shape: ``(height, width, channels)`` of the input.
        labels: number of classes; two share one logit, which speaks for the second.
        head: what stands between the last map of features and the logits.

    Returns:
        A model from float32 pixels 0..255 of shape ``(batch, *shape)`` to probabilities
        of shape ``(batch, 1)`` for two labels, ``(batch, labels)`` for more.

    Raises:
        ConfigError: the image is too small for the network, or it has no map to pool.
    """
    if min(shape[:2]) < network.smallest_size:
        raise ConfigError(
            f"{network.name} needs images of at least {network.smallest_size} pixels a side, got "
            f"{shape[1]} x {shape[0]}; give a larger --size"
        )
    image = keras.Input(shape, name=IMAGE)
    x = keras.layers.Rescaling(network.scale, network.offset, name=NORMALIZATION)(image)
    x = network.body(x)
    if head is Head.PUBLISHED and network.hidden is not None:
        x = network.hidden(x)
    x = _logits(network, x, count=1 if labels == _BINARY else labels, head=head)
    activation = activation_for(labels)
    x = keras.layers.Activation(activation.value, name=PROBABILITIES)(x)
    # A colon may not stand in TensorFlow's names.
    model = keras.Model(image, x, name=network.name.replace(":", "."))
    _set_momentum(model)
    return model


def activation_for(labels: int) -> Activation:
    """Return how the logits of that many labels become probabilities."""
    return Activation.SIGMOID if labels == _BINARY else Activation.SOFTMAX


def fingerprint(model: keras.Model) -> str:
    """Return a hash over layers, their settings and how they are joined.

    Names do not count, for those that Keras gives go on from one model to the next.
    """
    text = json.dumps(model.get_config()["layers"], sort_keys=True, default=str)
    for number, layer in enumerate(model.layers):
        text = text.replace(f'"{layer.name}"', f'"layer {number}"')
    return hashlib.sha256(text.encode()).hexdigest()


def cut_model(model: keras.Model, first: str, last: str) -> keras.Model:
    """Return the part from the output of layer ``first`` to the output of layer ``last``.

    The part shares its layers, and so its weights, with ``model``.
    """
    return keras.Model(model.get_layer(first).output, model.get_layer(last).output)


def logit_layer(model: keras.Model) -> keras.layers.Layer:
    """Return the layer whose kernel makes logits out of features."""
    names = {layer.name for layer in model.layers}
    return model.get_layer(LOGIT_MAP if LOGIT_MAP in names else LOGITS)


def _set_momentum(model: keras.Model) -> None:
    """Let the statistics of batch normalization follow within tens of steps, not thousands."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _BATCH_NORM_MOMENTUM


def _logits(network: Network, features: Tensor, count: int, head: Head) -> Tensor:
    if len(features.shape) == _MAP_RANK:
        if network.dropout:
            # Whole channels, so that it equals dropping features after the pooling.
            drop = keras.layers.SpatialDropout2D(network.dropout, name="head_dropout")
            features = drop(features)
        class_map = keras.layers.Conv2D(count, 1, name=LOGIT_MAP)(features)
        return keras.layers.GlobalAveragePooling2D(name=LOGITS)(class_map)
    if head is Head.POOLED:
        raise ConfigError(
            f"{network.name} gives features of the shape {features.shape}, and the head 'pooled' "
            "needs a map of them; choose --head published"
        )
    return keras.layers.Dense(count, name=LOGITS)(features)
