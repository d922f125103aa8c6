"""int8 TFLite to int8 ONNX: the same weights, scales and zero points in the other format.

Going through the TFLite file, not through Keras again, is what makes the two
agree: nothing is calibrated or rounded a second time.
"""

from linegate_bundle.manifest import LOGITS, ModelFormat, Precision
from linegate_export.conversion import INPUT, Artifact, ConversionError, converting, describe
from linegate_export.graph import Deployable
from linegate_export.onnx_graph import edge_quantization, signature, tflite_to_onnx, to_bytes


def convert(model: Deployable, tflite: Artifact) -> Artifact:
    """Convert an int8 TFLite model to ONNX with QuantizeLinear and DequantizeLinear.

    Requires: an artifact of :func:`linegate_export.tflite_int8.convert`.
    Ensures: input and output are the same int8 tensors, with the same names and
    quantization; the graph passes ONNX's checker; the same bytes every time.

    Raises:
        ConversionError: the second is not so.
    """
    with converting("the conversion to int8 ONNX"):
        graph = tflite_to_onnx(tflite.content)
    got = signature(graph)
    expected = {INPUT: ("int8", (1, *model.shape)), LOGITS: ("int8", (1, model.logits))}
    if got != expected:
        raise ConversionError(f"expected an ONNX graph with {expected}, got {got}")
    for tensor in (tflite.entry.input, *tflite.entry.outputs):
        quantization = edge_quantization(graph, tensor.name)
        if quantization != tensor.quantization:
            raise ConversionError(
                f"expected {tensor.name!r} to keep its quantization {tensor.quantization}, "
                f"got {quantization}"
            )
    entry = describe(
        ModelFormat.ONNX,
        Precision.INT8,
        shape=model.shape,
        logits=model.logits,
        input_quantization=tflite.entry.input.quantization,
        output_quantization=tflite.entry.output(LOGITS).quantization,
    )
    return Artifact(entry, to_bytes(graph))
