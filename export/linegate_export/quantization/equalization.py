"""Cross-layer equalization: channels of one tensor get like ranges, and the function stays.

int8 has one scale for all channels of a tensor. Where one channel reaches to 1,000 and another
to 0.01, the second is lost. Behind a convolution without activation or with ReLU, a channel can
be divided by any positive number if the next layer multiplies by it: what the model computes is
the same, and the channels can be made alike. Method: Nagel et al., "Data-Free Quantization
Through Weight Equalization and Bias Correction", ICCV 2019, section 4.1; with the observed range
of the activation in place of that of the weights that make it, which have a scale a channel here.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from linegate_bundle.preprocess import UInt8Array
from linegate_export.graph import Normalization
from linegate_export.quantization.probe import Probe
from linegate_export.tflite_edit import constants, with_constants
from linegate_export.tflite_file import Fused, Operator, Tensor, TfliteFile, read_tflite

Float32Array = npt.NDArray[np.float32]

PICTURES = 16
"""The largest value of a channel has many positions to show itself."""

_SWEEPS = 8
"""A chain of layers needs several until nothing changes."""

_SETTLED = 0.02
"""Largest change of a channel that is not worth another sweep."""

_WEIGHTS, _BIAS = 1, 2
_DEPTHWISE = "DEPTHWISE_CONV_2D"
_LINEAR = frozenset({"CONV_2D", _DEPTHWISE, "FULLY_CONNECTED"})
_PASSES_CHANNELS = frozenset({"MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "PAD"})
"""Operators that scale with their input, channel by channel."""


@dataclasses.dataclass(frozen=True)
class _Pair:
    """A layer whose channels only the next layer reads."""

    first: Operator
    second: Operator


def equalize(content: bytes, pictures: UInt8Array, normalization: Normalization) -> bytes | None:
    """Return the same function with like channels, or None if no two layers allow it.

    Args:
        content: float32 TFLite.
        pictures: representative raw pixels, uint8 ``(n, height, width, channels)``.
        normalization: turns the raw pixels into the model's input.
    """
    pairs = list(_pairs(read_tflite(content)))
    if not pairs:
        return None
    chosen = pictures[np.unique(np.linspace(0, len(pictures) - 1, PICTURES).round().astype(int))]
    largest = _largest_by_channel(
        content, [pair.first.outputs[0] for pair in pairs], chosen, normalization
    )
    values = constants(content)
    for _ in range(_SWEEPS):
        change = max(_balance(pair, largest, values) for pair in pairs)
        if change < _SETTLED:
            break
    return with_constants(content, values)


def _pairs(file: TfliteFile) -> Iterator[_Pair]:
    """Yield the pairs in the order in which they run."""
    readers: dict[int, list[Operator]] = {}
    uses: Counter[int] = Counter()
    for operator in file.operators:
        for tensor in operator.inputs:
            readers.setdefault(tensor.index, []).append(operator)
            uses[tensor.buffer] += 1
    given = {tensor.index for tensor in file.outputs.values()}
    for first in file.operators:
        if first.name not in _LINEAR or first.activation not in {Fused.NONE, Fused.RELU}:
            continue
        second = _only_reader(first.outputs[0], readers, given)
        if second is None or second.name not in _LINEAR:
            continue
        constant = [*first.inputs[_WEIGHTS:], *second.inputs[_WEIGHTS:]]
        own = all(tensor.constant and uses[tensor.buffer] == 1 for tensor in constant)
        # A depthwise layer that makes several channels of one has them interleaved, and a
        # flattened picture has more values than channels.
        channels = first.outputs[0].shape[-1]
        if own and second.inputs[_WEIGHTS].shape[-1] == second.inputs[0].shape[-1] == channels:
            yield _Pair(first, second)


def _only_reader(
    tensor: Tensor, readers: Mapping[int, list[Operator]], given: set[int]
) -> Operator | None:
    """Follow a tensor through what keeps its channels apart to the only layer that reads it."""
    while tensor.index not in given and len(readers.get(tensor.index, [])) == 1:
        (reader,) = readers[tensor.index]
        if reader.name not in _PASSES_CHANNELS or reader.activation is not Fused.NONE:
            return reader
        tensor = reader.outputs[0]
    return None


def _balance(
    pair: _Pair, largest: dict[int, Float32Array], values: dict[str, Float32Array]
) -> float:
    """Move the scale of each channel from one layer to the next; return the largest change."""
    output = pair.first.outputs[0].index
    weights = values[pair.second.inputs[_WEIGHTS].name]
    ranges, reading = largest[output], _reading(weights, pair.second)
    alive = (ranges > 0) & (reading > 0)
    factors = np.ones_like(ranges)
    # The largest range stays what it is; only the channels' share of it changes.
    factors[alive] = np.sqrt(ranges[alive] / reading[alive])
    factors[alive] *= (ranges[alive] / factors[alive]).max(initial=0) / ranges.max(initial=1e-30)
    if pair.second.name == _DEPTHWISE:
        factors[alive] = ranges[alive] / ranges.max(initial=1e-30)
    _scale_output(pair.first, np.float32(1) / factors, values)
    weights *= factors
    largest[output] = ranges / factors
    return float(np.abs(np.log(factors)).max(initial=0))


def _reading(weights: Float32Array, operator: Operator) -> Float32Array:
    """Return how much of the range of its weights an operator uses for each channel it reads."""
    if operator.name == _DEPTHWISE:
        return np.ones(weights.shape[-1], np.float32)
    sizes = np.abs(weights).reshape(weights.shape[0], -1, weights.shape[-1])
    whole = np.maximum(sizes.max(axis=(1, 2), keepdims=True), np.float32(1e-30))
    result: Float32Array = (sizes / whole).max(axis=(0, 1))
    return result


def _scale_output(
    operator: Operator, factors: Float32Array, values: dict[str, Float32Array]
) -> None:
    weights = values[operator.inputs[_WEIGHTS].name]
    # A depthwise layer has its channels last, the others have theirs first.
    depthwise = operator.name == _DEPTHWISE
    weights *= factors if depthwise else factors.reshape(-1, *[1] * (weights.ndim - 1))
    if len(operator.inputs) > _BIAS:
        values[operator.inputs[_BIAS].name] *= factors


def _largest_by_channel(
    content: bytes, tensors: list[Tensor], pictures: UInt8Array, normalization: Normalization
) -> dict[int, Float32Array]:
    """Return the largest absolute value of each channel of some tensors, by their place."""
    probe = Probe(content, normalization)
    largest = {tensor.index: np.zeros(tensor.shape[-1], np.float32) for tensor in tensors}
    for picture in pictures:
        probe.run(picture)
        for tensor in tensors:
            values = np.abs(probe.values(tensor)).reshape(-1, tensor.shape[-1]).max(axis=0)
            largest[tensor.index] = np.maximum(largest[tensor.index], values)
    return largest
