"""Keras to SavedModel: where the TFLite conversions of one model start."""

from pathlib import Path

import tensorflow as tf

from linegate_export.conversion import INPUT, converting
from linegate_export.graph import Deployable


def write_saved_model(model: Deployable, folder: Path, *, raw: bool = False) -> None:
    """Write ``model.core``, or ``model.raw``, as a SavedModel with names and a batch of one.

    The conversions start from a SavedModel because only there the names of the
    signature are ours to give. The batch is fixed: with an open one, models that
    flatten get int32 operators that compute the shape.

    Requires: an empty or missing folder.
    Ensures: float32 ``(1, height, width, channels)``, normalized or raw, to ``model.outputs``,
    float32.

    Raises:
        ConversionError: TensorFlow cannot write it.
    """
    core = model.raw if raw else model.core
    serve = tf.function(
        lambda image: dict(core(image, training=False)),
        input_signature=[tf.TensorSpec((1, *model.shape), tf.float32, name=INPUT)],
        autograph=False,
    )
    with converting("writing the SavedModel"):
        # Only what the function reads: Keras' own export also traces every layer, which
        # takes several times as long.
        module = tf.Module()
        module.weights = [variable.value for variable in core.variables]
        tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
