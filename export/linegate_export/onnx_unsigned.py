"""Activations of a quantized ONNX graph as uint8: the same numbers, 128 higher.

onnxruntime has fast kernels for uint8 activations and int8 weights. It turns int8 activations
into that form only where it can do so without looking far, and computes the rest in float:
of EfficientNet-Lite0's 60 operators 25, with conversions around each. In this form all are
integer, and give what TFLite's kernels give.
"""

from typing import Any

import numpy as np
import onnx

from linegate_export.conversion import ConversionError

_SHIFT = 128
_ZERO_POINT = 2


def use_unsigned_activations(model: Any) -> None:
    """Turn every int8 activation into uint8; weights and biases stay as they are.

    Requires: a canonical graph (see :mod:`linegate_export.onnx_graph`) in which every
    quantization of an activation has a zero point of its own type.
    Ensures: input and output are uint8, every value is 128 higher, the graph passes
    ONNX's checker.

    Raises:
        ConversionError: that is not so; some operator works on int8 values themselves.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        activation = node.op_type == "QuantizeLinear" or (
            node.op_type == "DequantizeLinear" and node.input[0] not in constants
        )
        if activation:
            _shift(constants[node.input[_ZERO_POINT]])
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    del graph.value_info[:]
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(
            f"expected a graph that computes between DequantizeLinear and QuantizeLinear: {error}"
        ) from error


def _shift(zero_point: Any) -> None:
    values = onnx.numpy_helper.to_array(zero_point)
    if values.dtype == np.int8:  # shared ones are met again
        shifted = (values.astype(np.int16) + _SHIFT).astype(np.uint8)
        zero_point.CopyFrom(onnx.numpy_helper.from_array(shifted, zero_point.name))
