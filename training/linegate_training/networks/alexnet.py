"""AlexNet: Krizhevsky et al., "ImageNet classification with deep convolutional neural networks".

As published in 2012, with overlapping pooling and with the second, fourth and fifth
convolution in two groups, each of which saw one of two graphics cards' channels. A
group is a convolution of its own here, because TensorFlow cannot train grouped
convolutions on a processor. The local response normalization is left out: it has no
int8 kernel, and Simonyan and Zisserman (2014, section 4.1) found that it does not help.
"""

from keras import layers, ops

from linegate_bundle.manifest import Colour
from linegate_training.networks.base import Network, Tensor

_GROUPS = 2
_DROPOUT = 0.5


def _body(x: Tensor) -> Tensor:
    x = layers.Conv2D(96, 11, 4, activation="relu", name="conv1")(x)
    x = _pool(x, "pool1")
    x = _grouped_convolution(x, 256, 5, "conv2")
    x = _pool(x, "pool2")
    x = layers.Conv2D(384, 3, padding="same", activation="relu", name="conv3")(x)
    x = _grouped_convolution(x, 384, 3, "conv4")
    x = _grouped_convolution(x, 256, 3, "conv5")
    return _pool(x, "pool5")


def _pool(x: Tensor, name: str) -> Tensor:
    return layers.MaxPooling2D(3, 2, name=name)(x)


def _grouped_convolution(x: Tensor, filters: int, size: int, name: str) -> Tensor:
    groups = [
        layers.Conv2D(
            filters // _GROUPS, size, padding="same", activation="relu", name=f"{name}_{number}"
        )(channels)
        for number, channels in enumerate(ops.split(x, _GROUPS, axis=-1))
    ]
    return layers.Concatenate(name=name)(groups)


def _hidden(x: Tensor) -> Tensor:
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
        x = layers.Dropout(_DROPOUT, name=f"{name}_dropout")(x)
    return x


ALEXNET = Network(
    name="alexnet",
    size=227,
    smallest_size=67,
    colour=Colour.RGB,
    scale=1 / 128,
    offset=-127 / 128,
    body=_body,
    hidden=_hidden,
    dropout=_DROPOUT,
    cuts=("pool1", "pool2", "pool5"),
    fine_tune_after="pool2",
    learning_rate=1e-4,
)
