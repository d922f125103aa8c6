"""Keras to SavedModel: where the TFLite conversions of one model start."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from linegate_bundle.manifest import LOGITS
from linegate_export.conversion import INPUT, converting
from linegate_export.graph import Deployable


def write_saved_model(model: Deployable, folder: Path) -> None:
    """Write ``model.core`` as a SavedModel with ``image``, ``logits`` and a batch of one.

    The conversions start from a SavedModel because only there both names of the
    signature are ours to give. The batch is fixed: with an open one, models that
    flatten get int32 operators that compute the shape.

    Requires: an empty or missing folder.
    Ensures: float32 ``(1, height, width, channels)``, normalized, to float32 ``(1, logits)``.

    Raises:
        ConversionError: Keras cannot write it.
    """
    signature = [tf.TensorSpec((1, *model.shape), tf.float32, name=INPUT)]

    def serve(image: Any) -> dict[str, Any]:
        return {LOGITS: model.core(image, training=False)[LOGITS]}

    with converting("writing the SavedModel"):
        archive = keras.export.ExportArchive()
        archive.track(model.core)
        archive.add_endpoint("serve", serve, input_signature=signature)
        archive.write_out(folder, verbose=False)
