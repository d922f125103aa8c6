"""Keras to TFLite: what the int8 and the float conversion share."""

import tempfile
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from linegate_bundle.manifest import LOGITS
from linegate_export.conversion import INPUT

Configure = Callable[[Any], None]
"""Sets the options of a ``tf.lite.TFLiteConverter``."""


def to_tflite(model: Any, shape: tuple[int, int, int], configure: Configure) -> bytes:
    """Convert a Keras model with the output ``logits`` to TFLite with a batch of one.

    The way leads through a SavedModel because only there both names of the
    signature, ``image`` and ``logits``, are ours to give. The batch is fixed: with
    an open one, models that flatten get int32 operators that compute the shape.

    Args:
        model: from float32 ``(n, height, width, channels)`` to ``{"logits": ...}``.
        shape: ``(height, width, channels)``.
        configure: sets the converter's options.
    """
    signature = [tf.TensorSpec((1, *shape), tf.float32, name=INPUT)]

    def serve(image: Any) -> dict[str, Any]:
        return {LOGITS: model(image, training=False)[LOGITS]}

    with tempfile.TemporaryDirectory(prefix="linegate-") as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", serve, input_signature=signature)
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        configure(converter)
        content: bytes = converter.convert()
        return content
