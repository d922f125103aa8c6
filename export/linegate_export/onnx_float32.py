"""Float32 TFLite to float32 ONNX: raw pixels in, logits out; what int8 is measured against."""

from linegate_bundle.manifest import LOGITS, ModelFormat, Precision
from linegate_export.conversion import INPUT, Artifact, ConversionError, converting, describe
from linegate_export.graph import Deployable
from linegate_export.onnx_graph import (
    prepend_normalization,
    signature,
    tflite_to_onnx,
    to_bytes,
)


def convert(model: Deployable, tflite: bytes) -> Artifact:
    """Convert to float32 ONNX with the normalization inside.

    The way leads through TFLite because its converter folds batch norm into every
    convolution; a direct conversion leaves it after depthwise ones.

    Requires: the model from :func:`linegate_export.tflite_float32.convert`.
    Ensures: float32 ``image`` of raw pixels 0..255 to float32 ``logits``; the graph
    passes ONNX's checker; the same bytes every time.

    Raises:
        ConversionError: that is not so.
    """
    with converting("the conversion to float32 ONNX"):
        graph = tflite_to_onnx(tflite)
        prepend_normalization(graph, model.normalization.scale, model.normalization.offset)
    got = signature(graph)
    expected = {INPUT: ("float32", (1, *model.shape)), LOGITS: ("float32", (1, model.logits))}
    if got != expected:
        raise ConversionError(f"expected an ONNX graph with {expected}, got {got}")
    entry = describe(
        ModelFormat.ONNX,
        Precision.FLOAT32,
        shape=model.shape,
        logits=model.logits,
        input_quantization=None,
        output_quantization=None,
    )
    return Artifact(entry, to_bytes(graph))
