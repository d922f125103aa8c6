"""SavedModel to full-integer TFLite: int8 in, int8 out, int8 all the way."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from linegate_bundle.manifest import LOGITS, ModelFormat, Precision, Quantization
from linegate_bundle.preprocess import UInt8Array
from linegate_export.conversion import (
    INPUT,
    Artifact,
    ConversionError,
    RequirementError,
    converting,
    describe,
)
from linegate_export.graph import Deployable, Normalization
from linegate_export.tflite_file import Operator, TfliteFile, read_tflite

_SCALE_TOLERANCE = 1e-5
"""The converter computes the input scale in float32 from the calibrated range."""

_CHANNEL_AXIS_OPERATORS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_WEIGHTS = 1


def convert(model: Deployable, saved: Path, pictures: UInt8Array) -> Artifact:
    """Convert to int8 TFLite, post-training, weights per channel.

    Requires: the SavedModel of the model, at least one picture, and a normalization
    that int8 can take over.
    Ensures: every tensor is int8 (biases int32), one scale a channel in every
    convolution, the input is exactly pixel - 128, the output is ``logits``, the
    batch is one. The same model and pictures give the same bytes.

    Args:
        model: the trained model.
        saved: folder of its SavedModel.
        pictures: representative pictures that set the ranges of the activations,
            raw pixels, uint8 ``(n, height, width, channels)``.

    Raises:
        RequirementError: the first is not so.
        ConversionError: the second is not so.
    """
    quantization = model.normalization.quantization
    if len(pictures) == 0:
        raise RequirementError("expected at least one picture to calibrate int8 with, got none")

    with converting("the conversion to int8 TFLite"):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _samples(pictures, model.normalization)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        content: bytes = converter.convert()
    file = read_tflite(content)
    ensure_integer(file)
    ensure_signature(file, model, quantization)
    entry = describe(
        ModelFormat.TFLITE,
        Precision.INT8,
        shape=model.shape,
        logits=model.logits,
        input_quantization=file.inputs[INPUT].quantization,
        output_quantization=file.outputs[LOGITS].quantization,
    )
    return Artifact(entry, content)


def ensure_integer(file: TfliteFile) -> None:
    """Raise :class:`ConversionError` for the first operator that is not int8 throughout."""
    for operator in file.operators:
        for tensor in (*operator.inputs, *operator.outputs):
            bias_or_shape = tensor.dtype == "int32" and tensor.constant
            if tensor.dtype != "int8" and not bias_or_shape:
                raise ConversionError(
                    f"expected int8 throughout, the operator {operator.name} has the "
                    f"{tensor.dtype} tensor {tensor.name!r}; it has no int8 kernel, or its "
                    "ranges were not calibrated"
                )
        _ensure_per_channel(operator)


def ensure_signature(file: TfliteFile, model: Deployable, required: Quantization) -> None:
    """Raise :class:`ConversionError` unless input and output are those that the device expects."""
    inputs = {name: (tensor.dtype, tensor.shape) for name, tensor in file.inputs.items()}
    outputs = {name: (tensor.dtype, tensor.shape) for name, tensor in file.outputs.items()}
    expected_inputs = {INPUT: ("int8", (1, *model.shape))}
    expected_outputs = {LOGITS: ("int8", (1, model.logits))}
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
    if operator.name not in _CHANNEL_AXIS_OPERATORS:
        return
    weights = operator.inputs[_WEIGHTS]
    if len(weights.scales) != weights.shape[weights.axis]:
        raise ConversionError(
            f"expected one scale a channel for {weights.name!r} of {operator.name} "
            f"{weights.shape}, got {len(weights.scales)}"
        )


def _samples(
    pictures: UInt8Array, normalization: Normalization
) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
    scale, offset = np.float32(normalization.scale), np.float32(normalization.offset)
    for index, picture in enumerate(pictures):
        pixels = picture.astype(np.float32)[np.newaxis]
        if index == 0:
            # The range must span 0..255, else the input scale is not that of the pixels.
            pixels[0, 0, 0, 0] = 0
            pixels[0, -1, -1, -1] = 255
        yield {INPUT: pixels * scale + offset}
