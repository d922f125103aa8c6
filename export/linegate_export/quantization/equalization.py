"""Cross-layer equalization: channels of one tensor get like ranges, and the function stays.

int8 has one scale for all channels of a tensor. Where one channel reaches to 1,000 and another
to 0.01, the second is lost. Behind a convolution without activation or with ReLU, a channel can
be divided by any positive number if the next layer multiplies by it: what the model computes is
the same, and the channels can be made alike. Where results are added up, as in residual networks,
all that are added must be divided alike, and all that read the sums multiply.

Method: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
ICCV 2019, section 4.1; with the observed range of the activation in place of that of the weights
that make it, which have a scale a channel here.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from linegate_bundle.manifest import LOGITS
from linegate_bundle.preprocess import UInt8Array
from linegate_export.graph import Normalization
from linegate_export.quantization.probe import Probe, evenly
from linegate_export.tflite_edit import constants, with_constants
from linegate_export.tflite_file import (
    BIAS,
    DEPTHWISE,
    LAYERS,
    WEIGHTS,
    Fused,
    Operator,
    Tensor,
    TfliteFile,
    read_tflite,
)

Float32Array = npt.NDArray[np.float32]

PICTURES = 64
"""The largest value of a channel has many positions to show itself, but behind a pooling."""

_SWEEPS = 8
"""A chain of layers needs several until nothing changes."""

_SETTLED = 0.02
"""Largest change of a channel that is not worth another sweep."""

_SUMS = frozenset({"ADD", "SUB"})
_POSITIONS = frozenset({"MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD"})
"""Operators that combine positions of one channel."""

_ROUNDING = 1e-3
"""Of the largest logit; factors that lie far apart cost float32 some digits."""

_TINY = np.float32(1e-30)


@dataclasses.dataclass(frozen=True)
class Stream:
    """Tensors that share their channels, so that all are scaled alike or none.

    Attributes:
        tensors: results of the writers, of sums of them, and of what only passes channels on.
        writers: layers whose results they are.
        readers: layers that read them.
    """

    tensors: tuple[Tensor, ...]
    writers: tuple[Operator, ...]
    readers: tuple[Operator, ...]


def equalize(content: bytes, pictures: UInt8Array, normalization: Normalization) -> bytes | None:
    """Return the same function with like channels, or None if it cannot be had.

    Args:
        content: float32 TFLite.
        pictures: representative raw pixels, uint8 ``(n, height, width, channels)``.
        normalization: turns the raw pixels into the model's input.
    """
    streams = find_streams(read_tflite(content))
    if not streams:
        return None
    chosen = evenly(pictures, PICTURES)
    tensors = [tensor for stream in streams for tensor in stream.tensors]
    largest = largest_by_channel(content, tensors, chosen, normalization)
    values = constants(content)
    for _ in range(_SWEEPS):
        change = max(_balance(stream, largest, values) for stream in streams)
        if change < _SETTLED:
            break
    equal = with_constants(content, values)
    return equal if _same(content, equal, chosen, normalization) else None


def _same(content: bytes, other: bytes, pictures: UInt8Array, normalization: Normalization) -> bool:
    """Tell whether two graphs give the same logits but for rounding."""
    output = read_tflite(content).outputs[LOGITS]
    given = []
    for probe in (Probe(one, normalization) for one in (content, other)):
        logits = []
        for picture in pictures:
            probe.run(picture)
            logits.append(probe.values(output).copy())
        given.append(np.concatenate(logits))
    largest = max(1.0, float(np.abs(given[0]).max()))
    return bool(np.abs(given[1] - given[0]).max() <= _ROUNDING * largest)


def find_streams(file: TfliteFile) -> list[Stream]:
    """Return what can be equalized, in the order in which it runs.

    A residual network's sums tie the results of many layers together.
    """
    tied = _tie(file)
    given = {tensor.index for tensor in (*file.inputs.values(), *file.outputs.values())}
    uses = Counter(tensor.buffer for one in file.operators for tensor in one.inputs)
    streams = []
    for tensors in tied:
        inside = {tensor.index for tensor in tensors}
        writers = tuple(
            one
            for one in file.operators
            if one.outputs[0].index in inside and not _keeps_channels(one)
        )
        # A layer in a residual branch may read and write one stream; it is both then.
        readers = tuple(
            one
            for one in file.operators
            if not _keeps_channels(one) and any(tensor.index in inside for tensor in one.inputs)
        )
        channels = {tensor.shape[-1] for tensor in tensors}
        if (
            writers
            and readers
            and len(channels) == 1
            and not inside & given
            and all(_can_write(one, uses) for one in writers)
            and all(_can_read(one, uses, inside) for one in readers)
        ):
            streams.append(Stream(tuple(tensors), writers, readers))
    return streams


def _tie(file: TfliteFile) -> list[list[Tensor]]:
    """Return the results of all operators, those together that must be scaled alike."""
    groups = {tensor.index: [tensor] for tensor in file.inputs.values()}
    for operator in file.operators:
        (result,) = operator.outputs[:1]
        groups[result.index] = [result]
        if not _keeps_channels(operator):
            continue
        for tensor in operator.inputs:
            other = groups.get(tensor.index)
            if other is not None and other is not groups[result.index]:
                other += groups[result.index]
                for one in other:
                    groups[one.index] = other
    return [group for index, group in groups.items() if group[0].index == index]


def _keeps_channels(operator: Operator) -> bool:
    """Tell whether a result scales with all that is read, channel by channel.

    What is added must not be a constant, and a mean goes over positions.
    """
    given, result = operator.inputs[0], operator.outputs[0]
    if operator.activation is not Fused.NONE or given.shape[-1] != result.shape[-1]:
        return False
    if operator.name in _SUMS:
        return not any(tensor.constant for tensor in operator.inputs)
    if operator.name == "MEAN":
        return result.shape in {(1, given.shape[-1]), (1, 1, 1, given.shape[-1])}
    return operator.name in _POSITIONS


def _can_write(operator: Operator, uses: Counter[int]) -> bool:
    scales = operator.activation in {Fused.NONE, Fused.RELU}
    return operator.name in LAYERS and scales and _owns(operator.inputs[WEIGHTS:], uses)


def _can_read(operator: Operator, uses: Counter[int], inside: set[int]) -> bool:
    """Tell whether a layer can take the scales back.

    A depthwise layer that makes several channels of one has them interleaved, and a flattened
    picture has more values than channels.
    """
    return (
        operator.name in LAYERS
        and operator.inputs[0].index in inside
        and _owns(operator.inputs[WEIGHTS:], uses)
        and operator.inputs[WEIGHTS].shape[-1] == operator.inputs[0].shape[-1]
    )


def _owns(tensors: Sequence[Tensor], uses: Counter[int]) -> bool:
    return all(tensor.constant and uses[tensor.buffer] == 1 for tensor in tensors)


def _balance(
    stream: Stream, largest: dict[int, Float32Array], values: dict[str, Float32Array]
) -> float:
    """Move the scale of each channel from writers to readers; return the largest change."""
    # Each tensor has a scale of its own, so what counts is a channel's share of it.
    ranges = np.max(
        [largest[one.index] / max(largest[one.index].max(), _TINY) for one in stream.tensors],
        axis=0,
    )
    weights = [values[one.inputs[WEIGHTS].name] for one in stream.readers]
    if all(one.name == DEPTHWISE for one in stream.readers):
        # Their weights have a scale a channel, so that only the activation matters.
        reading = np.where(ranges > 0, 1 / np.maximum(ranges, _TINY), 0)
    else:
        reading = np.max(
            [_reading(one, each) for one, each in zip(weights, stream.readers, strict=True)], axis=0
        )
    alive = (ranges > 0) & (reading > 0)
    factors = np.ones_like(ranges)
    factors[alive] = np.sqrt(ranges[alive] / reading[alive])
    # In the mean nothing grows or shrinks.
    factors[alive] /= _middle(factors[alive])
    # A channel that was always 0 must not take the range of its readers' weights from others.
    silent = (ranges <= 0) & (reading > 0)
    factors[silent] = _middle(reading[alive] * factors[alive]) / reading[silent]
    for writer in stream.writers:
        scale_output(writer, np.float32(1) / factors, values)
    for reader in stream.readers:
        values[reader.inputs[WEIGHTS].name] *= factors
    for tensor in stream.tensors:
        largest[tensor.index] = largest[tensor.index] / factors
    return float(np.abs(np.log(factors)).max(initial=0))


def _middle(values: Float32Array) -> float:
    """Return the geometric mean; 1 of nothing."""
    return float(np.exp(np.log(values).mean())) if len(values) else 1.0


def _reading(weights: Float32Array, operator: Operator) -> Float32Array:
    """Return how much of the range of its weights an operator uses for each channel it reads."""
    if operator.name == DEPTHWISE:
        return np.full(weights.shape[-1], _TINY, np.float32)
    sizes = np.abs(weights).reshape(weights.shape[0], -1, weights.shape[-1])
    whole = np.maximum(sizes.max(axis=(1, 2), keepdims=True), _TINY)
    result: Float32Array = (sizes / whole).max(axis=(0, 1))
    return result


def scale_output(
    operator: Operator, factors: Float32Array, values: dict[str, Float32Array]
) -> None:
    """Multiply each channel that a layer writes, in place."""
    weights = values[operator.inputs[WEIGHTS].name]
    # A depthwise layer has its channels last, the others have theirs first.
    depthwise = operator.name == DEPTHWISE
    weights *= factors if depthwise else factors.reshape(-1, *[1] * (weights.ndim - 1))
    if len(operator.inputs) > BIAS:
        values[operator.inputs[BIAS].name] *= factors


def largest_by_channel(
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
