"""The beginner's network: two convolutions, two poolings, one hidden layer."""

from keras import layers

from linegate_bundle.manifest import Colour
from linegate_training.networks.base import Network, Tensor


def _body(x: Tensor) -> Tensor:
    x = layers.Conv2D(32, 3, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2")(x)
    return layers.MaxPooling2D(2, name="pool2")(x)


def _hidden(x: Tensor) -> Tensor:
    x = layers.Flatten(name="flatten")(x)
    return layers.Dense(128, activation="relu", name="hidden")(x)


BASIC_CNN = Network(
    name="basic_cnn",
    size=64,
    smallest_size=10,
    colour=Colour.RGB,
    scale=1 / 255,
    offset=0.0,
    body=_body,
    hidden=_hidden,
    cuts=("pool1", "pool2"),
    fine_tune_after="pool1",
)
