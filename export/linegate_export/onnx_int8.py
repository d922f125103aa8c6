"""int8 TFLite to int8 ONNX: the same weights, scales and zero points in the other format.

Going through the TFLite file, not through Keras again, is what makes the two
agree: nothing is calibrated or rounded a second time.
"""

from linegate_bundle.manifest import DType, ModelFormat, Precision, Quantization
from linegate_export.conversion import INPUT, Artifact, ConversionError, converting
from linegate_export.entry import describe
from linegate_export.graph import Deployable
from linegate_export.onnx_graph import edge_quantization, signature, tflite_to_onnx, to_bytes
from linegate_export.onnx_unsigned import use_unsigned_activations


def convert(model: Deployable, tflite: Artifact) -> Artifact:
    """Convert an int8 TFLite model to ONNX with QuantizeLinear and DequantizeLinear.

    Requires: an artifact of :func:`linegate_export.tflite_int8.convert`.
    Ensures: int8 weights; uint8 activations, input and output are those of the TFLite model,
    128 higher, so that the input is the pixel itself; the same names and scales; the graph
    passes ONNX's checker; the same bytes every time.

    Raises:
        ConversionError: the second is not so.
    """
    with converting("the conversion to int8 ONNX"):
        graph = tflite_to_onnx(tflite.content)
        use_unsigned_activations(graph)
    got = signature(graph)
    shapes = {INPUT: (1, *model.shape), **model.outputs}
    expected = {name: ("uint8", shape) for name, shape in shapes.items()}
    if got != expected:
        raise ConversionError(f"expected an ONNX graph with {expected}, got {got}")
    quantizations = {
        tensor.name: _shifted(tensor.quantization)
        for tensor in (tflite.entry.input, *tflite.entry.outputs)
    }
    for name, wanted in quantizations.items():
        quantization = edge_quantization(graph, name)
        if quantization != wanted:
            raise ConversionError(
                f"expected {name!r} to have the quantization {wanted}, got {quantization}"
            )
    entry = describe(
        ModelFormat.ONNX,
        Precision.INT8,
        shape=model.shape,
        outputs=model.outputs,
        quantizations=quantizations,
        quantized=DType.UINT8,
    )
    return Artifact(entry, to_bytes(graph))


def _shifted(quantization: Quantization | None) -> Quantization:
    if quantization is None:
        raise ConversionError("expected an int8 TFLite model, its input or output is float")
    return Quantization(scale=quantization.scale, zero_point=quantization.zero_point + 128)
