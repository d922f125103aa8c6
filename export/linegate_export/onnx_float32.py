"""Float32 TFLite to float32 ONNX: takes raw pixels; what int8 is measured against."""

import re

from linegate_bundle.manifest import ModelFormat, Precision
from linegate_export.conversion import (
    Artifact,
    ConversionError,
    converting,
)
from linegate_export.entry import describe, float_signature
from linegate_export.graph import Deployable
from linegate_export.layers import layer_of
from linegate_export.onnx_graph import (
    prepend_normalization,
    signature,
    tflite_to_onnx,
    to_bytes,
)
from linegate_export.tflite_file import read_tflite


def convert(model: Deployable, tflite: bytes) -> Artifact:
    """Convert to float32 ONNX with the normalization inside.

    The way leads through TFLite because its converter folds batch norm into every
    convolution; a direct conversion leaves it after depthwise ones.

    Requires: the model from :func:`linegate_export.tflite_float32.convert`.
    Ensures: float32 ``image`` of raw pixels 0..255 to float32 ``model.outputs``; the graph
    passes ONNX's checker; the same bytes every time.

    Raises:
        ConversionError: that is not so.
    """
    try:
        with converting("the conversion to float32 ONNX"):
            graph = tflite_to_onnx(tflite)
            prepend_normalization(graph, model.normalization.scale, model.normalization.offset)
    except ConversionError as error:
        raise _name_operator(error, model, tflite) from error
    got = signature(graph)
    expected = float_signature(model)
    if got != expected:
        raise ConversionError(f"expected an ONNX graph with {expected}, got {got}")
    entry = describe(
        ModelFormat.ONNX,
        Precision.FLOAT32,
        shape=model.shape,
        outputs=model.outputs,
        quantizations={},
    )
    return Artifact(entry, to_bytes(graph))


def _name_operator(error: ConversionError, model: Deployable, tflite: bytes) -> ConversionError:
    """Return an error that names the layer, where tf2onnx names an operator that it lacks."""
    file = read_tflite(tflite)
    for operator in file.operators:
        if re.search(rf"\bTFL_{operator.name}\b", str(error)):
            return ConversionError(
                f"{operator.name} of the layer {layer_of(operator, file, model.layers)!r} has no "
                "counterpart in ONNX: use another layer there"
            )
    return error
