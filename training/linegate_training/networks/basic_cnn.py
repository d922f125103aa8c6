"""The beginner's network: two convolutions, two poolings, one hidden layer."""

from keras import layers

from linegate_bundle.manifest import Colour
from linegate_training.networks.base import HeadKind, Network, Tensor


def _body(x: Tensor) -> Tensor:
    x = layers.Conv2D(32, 3, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Flatten(name="flatten")(x)
    return layers.Dense(128, activation="relu", name="hidden")(x)


NETWORK = Network(
    name="basic_cnn",
    size=64,
    smallest_size=10,
    colour=Colour.RGB,
    scale=1 / 255,
    offset=0.0,
    body=_body,
    head=HeadKind.DENSE,
    dropout=0.0,
)
