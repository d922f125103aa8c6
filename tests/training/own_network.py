"""Networks of a user, for ``--network tests.training.own_network:NAME``."""

from typing import Any

import keras
from keras import layers

from linegate_bundle.manifest import Colour
from linegate_training.networks.base import Network, Tensor


def build(x: Tensor) -> Tensor:
    """Return a map of features; the unnamed layers get names from Keras."""
    for filters in (8, 16):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    return layers.Dropout(0.1)(x)


def build_flat(x: Tensor) -> Tensor:
    """Return features without a map."""
    return layers.Dense(12, activation="relu")(layers.Flatten()(build(x)))


NETWORK = Network(
    name="mine",
    size=20,
    smallest_size=10,
    colour=Colour.GRAY,
    scale=1 / 255,
    offset=0.0,
    body=build,
)

NUMBER = 3


class Doubled(keras.layers.Layer):  # type: ignore[misc]
    """A layer that Keras does not bring along."""

    def call(self, x: Any) -> Any:
        """Double."""
        return x * 2


def with_own_layer(x: Tensor) -> Tensor:
    """Use a layer that cannot be exported."""
    return Doubled(name="doubled")(build(x))


def with_lambda(x: Tensor) -> Tensor:
    """Use code of its own."""
    return layers.Lambda(lambda y: y * 2, name="twice")(build(x))


def with_nested_model(x: Tensor) -> Tensor:
    """Use a model as a layer."""
    return keras.Sequential([layers.Conv2D(4, 3)], name="inner")(x)


def with_reserved_name(x: Tensor) -> Tensor:
    """Take a name that linegate gives."""
    return layers.Conv2D(4, 3, name="logits")(x)


def returning_nothing(_: Tensor) -> None:
    """Forget to return."""


def returning_three_dimensions(x: Tensor) -> Tensor:
    """Return neither a map nor features."""
    return layers.Reshape((-1, 3))(x)


def returning_something_else(x: Tensor) -> Tensor:
    """Return features that do not follow from the given tensor."""
    return layers.Conv2D(4, 3)(keras.Input(x.shape[1:]))


def raising(_: Tensor) -> Tensor:
    """Fail."""
    raise RuntimeError("no luck today")
