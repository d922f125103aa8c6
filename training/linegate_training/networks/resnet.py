"""ResNet-50, -101 and -152: He et al., "Deep residual learning for image recognition", 2015."""

import itertools
from collections.abc import Callable
from typing import Any

import keras

from linegate_training.networks.application import IMAGENET_MEAN, Application, application_network
from linegate_training.networks.base import Network


def _resnet(name: str, build: Callable[..., Any], blocks: tuple[int, int, int, int]) -> Network:
    """Return a ResNet with so many blocks in the stages conv2 to conv5 (table 1)."""
    cuts = [
        [f"conv{stage}_block{block}_out" for block in range(1, count + 1)]
        for stage, count in enumerate(blocks, start=2)
    ]
    return application_network(
        name,
        Application(name, build, keras.applications.resnet.preprocess_input, IMAGENET_MEAN),
        cuts=tuple(itertools.chain.from_iterable(cuts)),
        fine_tune_after=cuts[-2][-1],
    )


RESNET50 = _resnet("resnet50", keras.applications.ResNet50, (3, 4, 6, 3))
RESNET101 = _resnet("resnet101", keras.applications.ResNet101, (3, 4, 23, 3))
RESNET152 = _resnet("resnet152", keras.applications.ResNet152, (3, 8, 36, 3))
