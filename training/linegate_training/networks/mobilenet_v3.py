"""MobileNetV3, small and large: Howard et al., "Searching for MobileNetV3", 2019."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from linegate_training.networks.application import MIDDLE, Application, application_network
from linegate_training.networks.base import Network, Tensor

_DROPOUT = 0.2


def _hidden(features: int) -> Callable[[Tensor], Tensor]:
    """Return what tables 1 and 2 have behind the pooling; there its first layer is a 1x1 conv."""

    def hidden(x: Tensor) -> Tensor:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(features, name="conv_2")(x)
        x = layers.Activation("hard_swish", name="conv_2_hard_swish")(x)
        return layers.Dropout(_DROPOUT, name="conv_2_dropout")(x)

    return hidden


def _mobilenet_v3(
    name: str, build: Callable[..., Any], features: int, without_shortcut: set[int], blocks: int
) -> Network:
    cuts = tuple(
        f"expanded_conv{f'_{number}' if number else ''}_{end}"
        for number, end in enumerate(_ends(without_shortcut, blocks))
    )
    preprocess = keras.applications.mobilenet_v3.preprocess_input
    return application_network(
        name,
        Application(name, build, preprocess, MIDDLE),
        hidden=_hidden(features),
        dropout=_DROPOUT,
        cuts=cuts,
        fine_tune_after=cuts[-4],
    )


def _ends(without_shortcut: set[int], blocks: int) -> list[str]:
    """Name the last layer of each block: a sum where the block has a shortcut."""
    return ["project_bn" if number in without_shortcut else "add" for number in range(blocks)]


MOBILENET_V3_SMALL = _mobilenet_v3(
    "mobilenet_v3_small", keras.applications.MobileNetV3Small, 1024, {0, 1, 3, 6, 8}, 11
)
MOBILENET_V3_LARGE = _mobilenet_v3(
    "mobilenet_v3_large", keras.applications.MobileNetV3Large, 1280, {1, 3, 6, 10, 12}, 15
)
