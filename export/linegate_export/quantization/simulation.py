"""A TFLite graph as a TensorFlow function that int8 can be simulated in, and gradients taken of.

The graph is the one that the device runs: batch norm is folded, activations are fused, and every
tensor has the name under which the int8 model knows it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from linegate_export.conversion import RequirementError
from linegate_export.tflite_edit import values_of
from linegate_export.tflite_file import Fused, Operator, Tensor, TfliteFile, read_tflite

Value = Any
"""A ``tf.Tensor``."""

_PADDINGS = ("SAME", "VALID")
"""By the schema's number, ``Padding``."""

_FUSED: dict[Fused, Callable[[Value], Value]] = {
    Fused.NONE: tf.identity,
    Fused.RELU: tf.nn.relu,
    Fused.RELU6: tf.nn.relu6,
}


class Simulation:
    """A float graph, computed operator by operator for any number of pictures at once.

    Args:
        content: float32 TFLite with a batch of one.

    Attributes:
        file: what is in it.

    Raises:
        RequirementError: it has an operator that is not simulated; it is named.
    """

    def __init__(self, content: bytes) -> None:
        self.file: TfliteFile = read_tflite(content)
        self._constants = {
            tensor.index: values_of(content, tensor)
            for operator in self.file.operators
            for tensor in operator.inputs
            if tensor.constant
        }
        for operator in self.file.operators:
            if operator.name not in _KERNELS or operator.activation not in _FUSED:
                raise RequirementError(f"the operator {operator.name} is not simulated")
            if not _has_gradient(operator):
                raise RequirementError(
                    f"TensorFlow has no gradient on a processor for the {operator.name} that "
                    f"writes {operator.outputs[0].name!r} (groups, or unequal strides)"
                )

    def __call__(
        self,
        image: Value,
        weights: Mapping[str, Value],
        quantize: Callable[[Tensor, Value], Value],
    ) -> dict[str, Value]:
        """Compute the outputs.

        Args:
            image: normalized pixels, float32 ``(n, height, width, channels)``.
            weights: values that stand in for constants, by name.
            quantize: applied to the result of every operator.

        Returns:
            The outputs by signature name.
        """
        (entry,) = self.file.inputs.values()
        known: dict[int, Value] = {entry.index: quantize(entry, image)}

        def read(tensor: Tensor) -> Value:
            if tensor.index in known:
                return known[tensor.index]
            return weights.get(tensor.name, self._constants[tensor.index])

        for operator in self.file.operators:
            values = [read(tensor) for tensor in operator.inputs]
            result = _FUSED[operator.activation](_KERNELS[operator.name](operator, values))
            (tensor,) = operator.outputs
            known[tensor.index] = quantize(tensor, result)
        return {name: known[tensor.index] for name, tensor in self.file.outputs.items()}


def _has_gradient(operator: Operator) -> bool:
    if operator.name == "CONV_2D":
        return operator.inputs[1].shape[-1] == operator.inputs[0].shape[-1]
    if operator.name == "DEPTHWISE_CONV_2D":
        return bool(operator.options.strideH == operator.options.strideW)
    return True


def _convolution(operator: Operator, values: list[Value]) -> Value:
    options = operator.options
    result = tf.nn.conv2d(
        values[0],
        tf.transpose(values[1], (1, 2, 3, 0)),
        strides=(options.strideH, options.strideW),
        padding=_PADDINGS[options.padding],
        dilations=(options.dilationHFactor, options.dilationWFactor),
    )
    return result + values[2] if len(values) > 2 else result  # noqa: PLR2004 - the bias


def _depthwise(operator: Operator, values: list[Value]) -> Value:
    options = operator.options
    height, width, channels = operator.inputs[1].shape[1:]
    given = operator.inputs[0].shape[-1]
    result = tf.nn.depthwise_conv2d(
        values[0],
        tf.reshape(values[1], (height, width, given, channels // given)),
        strides=(1, options.strideH, options.strideW, 1),
        padding=_PADDINGS[options.padding],
        dilations=(options.dilationHFactor, options.dilationWFactor),
    )
    return result + values[2] if len(values) > 2 else result  # noqa: PLR2004 - the bias


def _fully_connected(operator: Operator, values: list[Value]) -> Value:
    image = values[0]
    if not operator.options.keepNumDims:
        image = tf.reshape(image, (-1, operator.inputs[1].shape[-1]))
    result = tf.linalg.matmul(image, values[1], transpose_b=True)
    return result + values[2] if len(values) > 2 else result  # noqa: PLR2004 - the bias


def _pool(function: Callable[..., Value]) -> Callable[[Operator, list[Value]], Value]:
    def pool(operator: Operator, values: list[Value]) -> Value:
        options = operator.options
        return function(
            values[0],
            ksize=(options.filterHeight, options.filterWidth),
            strides=(options.strideH, options.strideW),
            padding=_PADDINGS[options.padding],
        )

    return pool


def _mean(operator: Operator, values: list[Value]) -> Value:
    return tf.reduce_mean(values[0], axis=values[1].tolist(), keepdims=operator.options.keepDims)


def _reshape(operator: Operator, values: list[Value]) -> Value:
    # The first dimension is the batch, one in the file and any number here.
    return tf.reshape(values[0], (-1, *operator.outputs[0].shape[1:]))


def _concatenation(operator: Operator, values: list[Value]) -> Value:
    return tf.concat(values, axis=operator.options.axis)


def _unary(function: Callable[[Value], Value]) -> Callable[[Operator, list[Value]], Value]:
    return lambda _, values: function(values[0])


def _binary(function: Callable[[Value, Value], Value]) -> Callable[[Operator, list[Value]], Value]:
    return lambda _, values: function(values[0], values[1])


def _hard_swish(image: Value) -> Value:
    return image * tf.nn.relu6(image + 3) / 6


_KERNELS: dict[str, Callable[[Operator, list[Value]], Value]] = {
    "ADD": _binary(tf.add),
    "AVERAGE_POOL_2D": _pool(tf.nn.avg_pool2d),
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _unary(_hard_swish),
    "LOGISTIC": _unary(tf.sigmoid),
    "MAX_POOL_2D": _pool(tf.nn.max_pool2d),
    "MEAN": _mean,
    "MUL": _binary(tf.multiply),
    "PAD": lambda _, values: tf.pad(values[0], values[1]),
    "PADV2": lambda _, values: tf.pad(values[0], values[1], constant_values=values[2].item()),
    "RELU": _unary(tf.nn.relu),
    "RELU6": _unary(tf.nn.relu6),
    "RESHAPE": _reshape,
    "SUB": _binary(tf.subtract),
    "TANH": _unary(tf.tanh),
}
"""What is simulated; RELU and the like stand alone where they could not be fused."""
