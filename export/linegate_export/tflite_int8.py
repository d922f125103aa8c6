"""Float TFLite with a range for each tensor to full-integer TFLite: int8 in, int8 out."""

import math
from collections.abc import Collection

import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from linegate_bundle.manifest import ModelFormat, Precision, Quantization
from linegate_export.conversion import INPUT, Artifact, ConversionError, converting
from linegate_export.entry import describe
from linegate_export.graph import Deployable
from linegate_export.layers import layer_of
from linegate_export.quantization.ranges import Ranges
from linegate_export.tflite_edit import with_ranges
from linegate_export.tflite_file import LAYERS, WEIGHTS, Operator, TfliteFile, read_tflite

_SCALE_TOLERANCE = 1e-5
"""The quantizer computes the input scale in float32 from the range."""

_AT_THE_BORDER = frozenset({"QUANTIZE", "DEQUANTIZE"})


def convert(
    model: Deployable, tflite: bytes, ranges: Ranges, exempt: Collection[str] = ()
) -> Artifact:
    """Convert to int8 TFLite, weights per channel, with TensorFlow's own quantizer.

    The converter would observe the ranges itself, but cannot be told them. What it does
    afterwards is a function of its own, which its QuantizationDebugger calls too: given the
    ranges that it would have observed, the model is the same.

    Requires: a range for every tensor, the input's so that a step is one of the pixel.
    Ensures: every tensor is int8 (biases int32), one scale a channel in every
    convolution, the input is exactly pixel - 128, the outputs are the model's, the
    batch is one. No operator computes in float32 but those that write a tensor in ``exempt``
    (one that only moves values may stay in int8). The same model and ranges give the same bytes.

    Args:
        model: the trained model.
        tflite: its float graph, see :func:`linegate_export.tflite_float32.convert`.
        ranges: by the name of the tensor.
        exempt: names of tensors whose operators stay in float.

    Raises:
        RequirementError: int8 cannot take over the model's normalization.
        ConversionError: the second is not so.
    """
    quantization = model.normalization.quantization
    edges = {name: (edge.low, edge.high) for name, edge in ranges.items()}
    with converting("the conversion to int8 TFLite"):
        content: bytes = mlir_quantize(
            with_ranges(tflite, edges),
            fully_quantize=True,
            input_data_type=tf.int8,
            output_data_type=tf.int8,
            denylisted_nodes=sorted(exempt) or None,
        )
    file = read_tflite(content)
    ensure_integer(file, model, exempt)
    ensure_signature(file, model, quantization)
    tensors = {**file.inputs, **file.outputs}
    entry = describe(
        ModelFormat.TFLITE,
        Precision.INT8,
        shape=model.shape,
        outputs=model.outputs,
        quantizations={name: tensor.quantization for name, tensor in tensors.items()},
    )
    return Artifact(entry, content)


def ensure_integer(file: TfliteFile, model: Deployable, exempt: Collection[str] = ()) -> None:
    """Check that every operator is int8 throughout, but those that are exempt.

    Raises:
        ConversionError: one is not; it is named, with the layer of the trained model.
    """
    # What stands at the border of an operator is not to blame for it, so it comes last.
    for operator in sorted(file.operators, key=lambda one: one.name in _AT_THE_BORDER):
        written = [tensor.name for tensor in operator.outputs]
        at_the_border = exempt and operator.name in _AT_THE_BORDER
        if at_the_border or any(name in exempt for name in written):
            continue
        for tensor in (*operator.inputs, *operator.outputs):
            bias_or_shape = tensor.dtype == "int32" and tensor.constant
            if tensor.dtype != "int8" and not bias_or_shape:
                raise ConversionError(
                    f"expected int8 throughout, the operator {operator.name} of the layer "
                    f"{layer_of(operator, file, model.layers)!r} has the {tensor.dtype} tensor "
                    f"{tensor.name!r}; it has no int8 kernel: use another layer there"
                )
        _ensure_per_channel(operator)


def ensure_signature(file: TfliteFile, model: Deployable, required: Quantization) -> None:
    """Raise :class:`ConversionError` unless input and output are those that the device expects."""
    inputs = {name: (tensor.dtype, tensor.shape) for name, tensor in file.inputs.items()}
    outputs = {name: (tensor.dtype, tensor.shape) for name, tensor in file.outputs.items()}
    expected_inputs = {INPUT: ("int8", (1, *model.shape))}
    expected_outputs = {name: ("int8", shape) for name, shape in model.outputs.items()}
    if inputs != expected_inputs or outputs != expected_outputs:
        raise ConversionError(
            f"expected the signature {expected_inputs} to {expected_outputs}, "
            f"got {inputs} to {outputs}"
        )
    got = file.inputs[INPUT].quantization
    if (
        got is None
        or got.zero_point != required.zero_point
        or not math.isclose(got.scale, required.scale, rel_tol=_SCALE_TOLERANCE)
    ):
        raise ConversionError(
            f"expected the input quantization {required}, so that a byte is pixel - 128, got {got}"
        )


def _ensure_per_channel(operator: Operator) -> None:
    if operator.name not in LAYERS:
        return
    weights = operator.inputs[WEIGHTS]
    if len(weights.scales) != weights.shape[weights.axis]:
        raise ConversionError(
            f"expected one scale a channel for {weights.name!r} of {operator.name} "
            f"{weights.shape}, got {len(weights.scales)}"
        )
