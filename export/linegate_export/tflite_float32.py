"""SavedModel to float32 TFLite: the graph that all other conversions start from."""

import re
from pathlib import Path

import tensorflow as tf

from linegate_export.conversion import ConversionError, RequirementError, converting
from linegate_export.entry import float_signature
from linegate_export.graph import Deployable
from linegate_export.layers import layers_in
from linegate_export.tflite_edit import with_own_constants
from linegate_export.tflite_file import read_tflite

_UNKNOWN_OPERATOR = re.compile(
    r"""fused\["(\w+):", "([^"@]+)@.*is neither a custom op""", re.DOTALL
)


def convert(model: Deployable, saved: Path) -> bytes:
    """Convert ``model.core`` to float32 TFLite with batch norm folded.

    Requires: the SavedModel of the model.
    Ensures: float32 ``image`` of normalized pixels to float32 ``model.outputs``; no two layers
    share a constant; the same bytes every time.

    Raises:
        RequirementError: a layer computes what TFLite has no operator for; it is named.
        ConversionError: the second is not so.
    """
    try:
        with converting("the conversion to float32 TFLite"):
            content: bytes = tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert()
    except ConversionError as error:
        unknown = _UNKNOWN_OPERATOR.search(str(error))
        if unknown is None:
            raise
        operator, path = unknown.groups()
        names = [name for candidates in layers_in(path) for name in candidates]
        layer = next((name for name in names if name in model.layers), path)
        raise RequirementError(
            f"the layer {layer!r} computes {operator}, and TFLite has no operator for that; use "
            "another layer there"
        ) from error
    content = with_own_constants(content)
    file = read_tflite(content)
    got = {
        name: (tensor.dtype, tensor.shape)
        for name, tensor in (*file.inputs.items(), *file.outputs.items())
    }
    expected = float_signature(model)
    if got != expected:
        raise ConversionError(f"expected a float32 TFLite model with {expected}, got {got}")
    return content
