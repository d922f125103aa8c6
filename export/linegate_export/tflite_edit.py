"""Changing a ``.tflite`` file: the ranges of its tensors, and the values of its constants."""

from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from linegate_export.tflite_file import Tensor, TfliteFile, read_tflite

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
