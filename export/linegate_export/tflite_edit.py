"""Changing a ``.tflite`` file: the ranges of its tensors, and the values of its constants."""

import copy
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from linegate_export.tflite_file import BIAS, LAYERS, WEIGHTS, Tensor, TfliteFile, read_tflite

Float32Array = npt.NDArray[np.float32]

_IDENTIFIER = b"TFL3"
_TABLES_BYTES = 1 << 20
"""First guess at what the file holds beside its constants; the builder grows by itself."""


def read_model(content: bytes) -> Any:
    """Return a file as the mutable objects of the schema, ``schema.ModelT``."""
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only its schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def write_model(model: Any) -> bytes:
    """Return the file of mutable objects; the same in, the same out."""
    size = sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    builder = flatbuffers.Builder(size + _TABLES_BYTES)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def with_ranges(content: bytes, ranges: Mapping[str, tuple[float, float]]) -> bytes:
    """Return a float graph that says the least and largest value of its tensors.

    That is how the converter's own calibration tells its quantizer; a tensor that is not
    named gets none, and an operator that needs one stays in float.
    """
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only its schema

    model = read_model(content)
    for tensor in model.subgraphs[0].tensors:
        edges = ranges.get(tensor.name.decode())
        if edges is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.min, tensor.quantization.max = (
                np.array([edge], np.float32) for edge in edges
            )
    return write_model(model)


def with_own_constants(content: bytes) -> bytes:
    """Return the same graph in which no two layers share weights or a bias.

    The converter gives all layers without bias that are as wide one and the same zeros, and
    then a change for one would be one for all. Zeros become values that differ and are too small
    to count, else the quantizer makes them one again.
    """
    model = read_model(content)
    (graph,) = model.subgraphs
    seen: set[int] = set()
    changed = False
    for operator, described in zip(graph.operators, read_tflite(content).operators, strict=True):
        if described.name not in LAYERS:
            continue
        operator.inputs = np.array(operator.inputs)  # what was read cannot be written to
        for place, index in enumerate(operator.inputs[1:].tolist(), start=1):
            data = None if index < 0 else model.buffers[graph.tensors[index].buffer].data
            if data is None:
                continue
            zeros = place == BIAS and not np.any(data)
            if index in seen or zeros:
                values = np.array(data).view("<f4")
                if zeros:
                    values[:] = _TOO_SMALL * (len(graph.tensors) + 1)
                operator.inputs[place] = _add_constant(model, graph.tensors[index], values)
                changed = True
            seen.add(index)
    return write_model(model) if changed else content


def with_twins(content: bytes, weights: Mapping[str, Float32Array]) -> tuple[bytes, dict[str, str]]:
    """Return a float graph in which layers are also computed with other weights.

    A twin reads what its layer reads, and nothing reads its result.

    Args:
        content: the float graph.
        weights: what a layer's twin has instead, by the name of the layer's result.

    Returns:
        The graph, and the name of each twin's result by that of the layer's.
    """
    model = read_model(content)
    (graph,) = model.subgraphs
    operators, twins = [], {}
    for operator, described in zip(graph.operators, read_tflite(content).operators, strict=True):
        operators.append(operator)
        result = described.outputs[0].name
        if result not in weights:
            continue
        twin = copy.copy(operator)
        # What was read cannot be written to.
        twin.inputs, twin.outputs = np.array(operator.inputs), np.array(operator.outputs)
        like = graph.tensors[twin.inputs[WEIGHTS]]
        twin.inputs[WEIGHTS] = _add_constant(model, like, weights[result])
        twin.outputs[0] = _add_tensor(graph, graph.tensors[twin.outputs[0]])
        twins[result] = graph.tensors[-1].name
        operators.append(twin)
    graph.operators = operators
    return write_model(model), twins


def _add_constant(model: Any, like: Any, values: Float32Array) -> int:
    """Append a tensor that is like another, and return its place."""
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only its schema

    buffer = schema.BufferT()
    buffer.data = values.reshape(-1).view(np.uint8)
    model.buffers.append(buffer)
    (graph,) = model.subgraphs
    place = _add_tensor(graph, like)
    graph.tensors[place].buffer = len(model.buffers) - 1
    return place


def _add_tensor(graph: Any, like: Any) -> int:
    """Append a tensor that is like another but for its name, and return its place."""
    tensor = copy.copy(like)
    tensor.name = f"{like.name.decode()}_{len(graph.tensors)}"
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


_TOO_SMALL = np.float32(1e-20)


def constants(content: bytes) -> dict[str, Float32Array]:
    """Return the float32 constants by name, as copies."""
    return {name: view.copy() for name, view in _views(content).items()}


def with_constants(content: bytes, values: Mapping[str, Float32Array]) -> bytes:
    """Return the same graph with other values in some of its float32 constants.

    Args:
        content: a float model.
        values: by name, each of the shape that is there.

    Raises:
        KeyError: there is no such constant.
        ValueError: a shape differs.
    """
    edited = bytearray(content)
    views = _views(edited)
    for name, value in values.items():
        if views[name].shape != value.shape:
            raise ValueError(f"expected {name!r} of shape {views[name].shape}, got {value.shape}")
        views[name][...] = value
    return bytes(edited)


def values_of(content: bytes, tensor: Tensor) -> npt.NDArray[Any]:
    """Return what a constant holds, of its own dtype and shape."""
    stored = buffer_view(content, tensor.buffer)
    return stored.view(np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)


def dequantized(content: bytes, tensor: Tensor) -> Float32Array:
    """Return the real numbers that a constant stands for; it has one scale, or one a channel."""
    shape = [1] * len(tensor.shape)
    shape[tensor.axis] = -1
    scales, zeros = (np.reshape(each, shape) for each in (tensor.scales, tensor.zero_points))
    return np.asarray((values_of(content, tensor) - zeros) * scales, np.float32)


def buffer_view(content: bytes | bytearray, index: int) -> npt.NDArray[np.uint8]:
    """Return the bytes of a buffer inside the file; writable if ``content`` is."""
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only its schema

    view: npt.NDArray[np.uint8] = schema.Model.GetRootAs(content, 0).Buffers(index).DataAsNumpy()
    return view


def _views(content: bytes | bytearray) -> dict[str, Float32Array]:
    file: TfliteFile = read_tflite(bytes(content))
    seen = {
        tensor.name: tensor
        for operator in file.operators
        for tensor in operator.inputs
        if tensor.constant and tensor.dtype == "float32"
    }
    return {
        name: buffer_view(content, tensor.buffer).view("<f4").reshape(tensor.shape)
        for name, tensor in seen.items()
    }
