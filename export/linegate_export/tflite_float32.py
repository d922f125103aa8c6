"""SavedModel to float32 TFLite: no artifact, but what float32 ONNX and the bias correction use."""

from pathlib import Path

import tensorflow as tf

from linegate_bundle.manifest import LOGITS
from linegate_export.conversion import INPUT, ConversionError, converting
from linegate_export.graph import Deployable
from linegate_export.tflite_file import read_tflite


def convert(model: Deployable, saved: Path) -> bytes:
    """Convert ``model.core`` to float32 TFLite with batch norm folded.

    Requires: the SavedModel of the model.
    Ensures: float32 ``image`` of normalized pixels to float32 ``logits``; the same
    bytes every time.

    Raises:
        ConversionError: that is not so.
    """
    with converting("the conversion to float32 TFLite"):
        content: bytes = tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert()
    file = read_tflite(content)
    got = {
        name: (tensor.dtype, tensor.shape)
        for name, tensor in (*file.inputs.items(), *file.outputs.items())
    }
    expected = {INPUT: ("float32", (1, *model.shape)), LOGITS: ("float32", (1, model.logits))}
    if got != expected:
        raise ConversionError(f"expected a float32 TFLite model with {expected}, got {got}")
    return content
