"""VGG-16 and VGG-19: Simonyan and Zisserman, "Very deep convolutional networks", 2014.

Configurations D and E of table 1.
"""

import keras
from keras import layers

from linegate_training.networks.application import IMAGENET_MEAN, Application, application_network
from linegate_training.networks.base import Tensor

_DROPOUT = 0.5
_CUTS = ("block1_pool", "block2_pool", "block3_pool", "block4_pool", "block5_pool")
_FINE_TUNE_AFTER = "block4_pool"
_LEARNING_RATE = 1e-4
"""Without batch normalization a higher one leaves deep nets where they start."""


def _hidden(x: Tensor) -> Tensor:
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
        x = layers.Dropout(_DROPOUT, name=f"{name}_dropout")(x)
    return x


VGG16 = application_network(
    "vgg16",
    Application(
        "vgg16",
        keras.applications.VGG16,
        keras.applications.vgg16.preprocess_input,
        IMAGENET_MEAN,
    ),
    hidden=_hidden,
    dropout=_DROPOUT,
    cuts=_CUTS,
    fine_tune_after=_FINE_TUNE_AFTER,
    learning_rate=_LEARNING_RATE,
)

VGG19 = application_network(
    "vgg19",
    Application(
        "vgg19",
        keras.applications.VGG19,
        keras.applications.vgg19.preprocess_input,
        IMAGENET_MEAN,
    ),
    hidden=_hidden,
    dropout=_DROPOUT,
    cuts=_CUTS,
    fine_tune_after=_FINE_TUNE_AFTER,
    learning_rate=_LEARNING_RATE,
)
