"""Keras to float32 ONNX: raw pixels in, logits out; the reference that int8 is measured against."""

from linegate_bundle.manifest import LOGITS, ModelFormat, Precision
from linegate_export.conversion import INPUT, Artifact, ConversionError, converting, describe
from linegate_export.graph import Deployable
from linegate_export.onnx_graph import signature, tflite_to_onnx, to_bytes
from linegate_export.tflite_model import to_tflite


def convert(model: Deployable) -> Artifact:
    """Convert to float32 ONNX with the normalization inside.

    The way leads through a float TFLite file because its converter folds batch
    norm into every convolution; a direct conversion leaves it after depthwise ones.

    Requires: nothing more than a :class:`Deployable`.
    Ensures: float32 ``image`` of raw pixels 0..255 to float32 ``logits``; the graph
    passes ONNX's checker; the same bytes every time.

    Raises:
        ConversionError: that is not so.
    """
    with converting("the conversion to float32 ONNX"):
        graph = tflite_to_onnx(to_tflite(model.raw, model.shape, lambda _: None))
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
