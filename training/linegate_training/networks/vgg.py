"""VGG-16 and VGG-19: Simonyan and Zisserman, "Very deep convolutional networks", 2014.

Configurations D and E of table 1, with the names of ``keras.applications``. Random
weights are drawn as He et al., "Delving deep into rectifiers", 2015, found for just
these nets: with Glorot's, which Keras takes, a VGG-19 had learned nothing after 40 steps.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from linegate_training.networks.application import (
    IMAGENET_MEAN,
    Application,
    application_network,
)
from linegate_training.networks.base import Network, Tensor

_FILTERS = (64, 128, 256, 512, 512)
_FEATURES = 4096
_DROPOUT = 0.5
_INITIALIZER = "he_normal"


def _body(convolutions: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """Return five blocks with so many convolutions each."""

    def body(x: Tensor) -> Tensor:
        for block, (filters, count) in enumerate(zip(_FILTERS, convolutions, strict=True), 1):
            for number in range(1, count + 1):
                x = layers.Conv2D(
                    filters,
                    3,
                    padding="same",
                    activation="relu",
                    kernel_initializer=_INITIALIZER,
                    name=f"block{block}_conv{number}",
                )(x)
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
        return x

    return body


def _hidden(x: Tensor) -> Tensor:
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(_FEATURES, activation="relu", kernel_initializer=_INITIALIZER, name=name)(
            x
        )
        x = layers.Dropout(_DROPOUT, name=f"{name}_dropout")(x)
    return x


def _vgg(name: str, build: Callable[..., Any], convolutions: tuple[int, ...]) -> Network:
    """Return a VGG; ``build`` is the application whose weights it takes."""
    preprocess = keras.applications.vgg16.preprocess_input  # the same for VGG-19
    network = application_network(
        name,
        Application(name, build, preprocess, IMAGENET_MEAN),
        hidden=_hidden,
        dropout=_DROPOUT,
        cuts=tuple(f"block{block}_pool" for block in range(1, len(_FILTERS) + 1)),
        fine_tune_after="block4_pool",
        learning_rate=1e-4,
    )
    return dataclasses.replace(network, body=_body(convolutions))


VGG16 = _vgg("vgg16", keras.applications.VGG16, (2, 2, 3, 3, 3))
VGG19 = _vgg("vgg19", keras.applications.VGG19, (2, 2, 4, 4, 4))
