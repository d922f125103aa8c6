"""Keras to float TFLite for programs that compute in float: float32, or weights in float16."""

import tempfile
from pathlib import Path

import tensorflow as tf

from linegate_bundle.manifest import ModelFormat, Precision
from linegate_export.conversion import Artifact, ConversionError, converting
from linegate_export.entry import describe, float_signature
from linegate_export.graph import Deployable
from linegate_export.saved_model import write_saved_model
from linegate_export.tflite_file import LAYERS, WEIGHTS, read_tflite


def convert(model: Deployable, precision: Precision) -> Artifact:
    """Convert to float TFLite with the normalization inside.

    Requires: nothing beyond the model.
    Ensures: float32 ``image`` of raw pixels 0..255 to float32 ``model.outputs``; with float16
    no weight of the layers is float32; the same bytes every time.

    Args:
        model: the trained model.
        precision: of the weights, float32 or float16.

    Raises:
        ConversionError: that is not so.
    """
    with tempfile.TemporaryDirectory(prefix="linegate-") as folder:
        write_saved_model(model, Path(folder), raw=True)
        with converting(f"the conversion to {precision} TFLite"):
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            if precision is Precision.FLOAT16:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            content: bytes = converter.convert()
    file = read_tflite(content)
    tensors = {**file.inputs, **file.outputs}
    got = {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}
    if got != float_signature(model):
        raise ConversionError(
            f"expected a {precision} TFLite model with {float_signature(model)}, got {got}"
        )
    # Weights in float16 reach their layer through a change of type.
    weights = {
        operator.inputs[place].dtype
        for operator in file.operators
        for place in [0 if operator.name == "DEQUANTIZE" else WEIGHTS]
        if operator.name in {"DEQUANTIZE", *LAYERS} and operator.inputs[place].constant
    }
    if weights - {precision.value}:
        raise ConversionError(f"expected weights of {precision}, got {sorted(weights)}")
    entry = describe(
        ModelFormat.TFLITE, precision, shape=model.shape, outputs=model.outputs, quantizations={}
    )
    return Artifact(entry, content)
