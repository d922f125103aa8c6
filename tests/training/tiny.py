"""A network of the size that a test can wait for, with places to cut it."""

from pathlib import Path

import keras
from keras import layers

from linegate_bundle.manifest import Colour
from linegate_training.networks.base import Network, Tensor, build_model

SHAPE = (16, 16, 3)


def _body(x: Tensor) -> Tensor:
    for number, filters in enumerate((8, 12, 16)):
        x = layers.Conv2D(filters, 3, 2, "same", use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(name=f"bn{number}")(x)
        x = layers.ReLU(6.0, name=f"relu{number}")(x)
    return x


TINY = Network(
    name="tiny",
    size=16,
    smallest_size=8,
    colour=Colour.RGB,
    scale=1 / 128,
    offset=-127 / 128,
    body=_body,
    dropout=0.1,
    cuts=("relu0", "relu1", "relu2"),
    fine_tune_after="relu1",
)


def pretrained(path: Path) -> keras.Model:
    """Write a model of the tiny network with random weights, and return it."""
    keras.utils.set_random_seed(7)
    model = build_model(TINY, SHAPE, 2)
    model.save(path)
    return model
