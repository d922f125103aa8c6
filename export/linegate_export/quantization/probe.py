"""Running a TFLite graph while every tensor inside can be read."""

from typing import Any

import numpy as np
import numpy.typing as npt

from linegate_bundle.manifest import DType
from linegate_bundle.preprocess import UInt8Array, encode
from linegate_export.graph import Normalization
from linegate_export.tflite_file import Tensor

Float32Array = npt.NDArray[np.float32]


class Probe:
    """A float32 or int8 TFLite model in the interpreter's own kernels; a delegate keeps no tensors.

    Args:
        content: the model; it takes normalized pixels, or bytes that are pixel - 128.
        normalization: turns raw pixels into the input of a float model.
    """

    def __init__(self, content: bytes, normalization: Normalization) -> None:
        from ai_edge_litert import interpreter as litert  # noqa: PLC0415 - not needed for the help

        self._interpreter = litert.Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._interpreter.allocate_tensors()
        self._normalization = normalization
        (self._input,) = self._interpreter.get_input_details()

    def run(self, picture: UInt8Array) -> None:
        """Run the model on raw pixels, uint8 ``(height, width, channels)``."""
        tensor: npt.NDArray[Any]
        if self._input["dtype"] == np.int8:
            tensor = encode(picture, DType.INT8)
        else:
            tensor = normalized(picture, self._normalization)
        self._interpreter.set_tensor(self._input["index"], tensor)
        self._interpreter.invoke()

    def values(self, tensor: Tensor) -> Float32Array:
        """Return what a tensor holds after the last run, as real numbers."""
        stored = self._interpreter.get_tensor(tensor.index)
        quantization = tensor.quantization
        if quantization is None:
            return np.asarray(stored, np.float32)
        shifted = stored.astype(np.float32) - np.float32(quantization.zero_point)
        return np.asarray(shifted * np.float32(quantization.scale), np.float32)


def evenly(pictures: UInt8Array, count: int) -> UInt8Array:
    """Return so many of the pictures, or all if there are fewer, spread evenly."""
    places = np.linspace(0, len(pictures) - 1, count).round().astype(int)
    result: UInt8Array = pictures[np.unique(places)]
    return result


def normalized(picture: UInt8Array, normalization: Normalization) -> Float32Array:
    """Return raw pixels as the input of a float model, a batch of one."""
    scaled = picture.astype(np.float32)[np.newaxis] * np.float32(normalization.scale)
    result: Float32Array = scaled + np.float32(normalization.offset)
    return result
