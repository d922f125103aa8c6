"""int8 TFLite to a file for other programs: uint8 pixels in, probabilities out, labels inside.

Every number of the proven model stays. What is added are a change of type at both ends, the
activation, and TensorFlow Lite's metadata (the schema of ``metadata_schema.fbs``, which MediaPipe
and Android's tools read).
"""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from linegate_bundle.manifest import LOGITS, Activation, Label
from linegate_bundle.preprocess import UInt8Array
from linegate_export.conversion import (
    INPUT,
    Artifact,
    ConversionError,
    RequirementError,
    converting,
)
from linegate_export.evaluate import evaluate
from linegate_export.flat_table import Byte, Table, write_table
from linegate_export.tflite_edit import read_model, write_model
from linegate_export.tflite_file import Tensor, read_tflite

PROBABILITIES = "probabilities"
LABELS_FILE = "labels.txt"

_STEP = 1 / 256
"""Of the probabilities; TensorFlow Lite's int8 softmax has no other."""

_COLOURS = 3
_TOLERATED = 3 * _STEP
_ZERO_POINT = -128
_METADATA = "TFLITE_METADATA"
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip can tell; the same bytes every time."""


def convert(
    artifact: Artifact,
    labels: Sequence[Label],
    activation: Activation,
    pictures: UInt8Array,
) -> bytes:
    """Convert int8 TFLite to uint8 TFLite with its activation, labels and metadata.

    Requires: an artifact of :func:`linegate_export.tflite_int8.convert` that takes colour, for
    MediaPipe opens no other; labels without line breaks.
    Ensures: uint8 ``image`` of raw pixels to uint8 ``probabilities``, one a label, which are
    those of the artifact within three steps of 1/256; the same bytes every time.

    Args:
        artifact: the model.
        labels: in order.
        activation: turns the model's logits into probabilities.
        pictures: raw pixels to compare on, uint8 ``(n, height, width, channels)``.

    Raises:
        RequirementError: the first is not so.
        ConversionError: the second is not so.
    """
    names = [label.name for label in labels]
    if any(len(name.splitlines()) != 1 for name in names):
        raise RequirementError(f"expected labels of one line each, got {names}")
    if artifact.entry.input.shape[-1] != _COLOURS:
        raise RequirementError(
            f"expected a model that takes colour, its input is {artifact.entry.input.shape}"
        )
    with converting("the conversion to TFLite for other programs"):
        model = read_model(artifact.content)
        _take_unsigned(model, read_tflite(artifact.content))
        _give_probabilities(model, read_tflite(artifact.content), activation)
        _describe(model, _metadata())
        content = write_model(model)
    _ensure_same(content, artifact, activation, pictures)
    packed = io.BytesIO()
    packed.write(content)
    with zipfile.ZipFile(packed, "a") as archive:
        listed = "".join(f"{name}\n" for name in names)
        archive.writestr(zipfile.ZipInfo(LABELS_FILE, _EARLIEST), listed)
    return packed.getvalue()


def _take_unsigned(model: Any, file: Any) -> None:
    """Put a change from uint8 to int8 before the input."""
    graph = model.subgraphs[0]
    entry: Tensor = file.inputs[INPUT]
    place = _add_tensor(graph, INPUT, entry, unsigned=True)
    _add_operator(model, "QUANTIZE", [place], [entry.index], first=True)
    graph.inputs = np.array([place], np.int32)
    (signature,) = model.signatureDefs
    (signature.inputs[0].tensorIndex,) = graph.inputs.tolist()


def _give_probabilities(model: Any, file: Any, activation: Activation) -> None:
    """Put the activation and a change from int8 to uint8 behind the logits; drop other outputs."""
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only its schema

    graph = model.subgraphs[0]
    logits: Tensor = file.outputs[LOGITS]
    place = logits.index
    if activation is Activation.SIGMOID:
        # The two-label softmax of (0, logit): the same function, and one value a label.
        zero = _add_tensor(graph, "zero", logits)
        graph.tensors[zero].buffer = _add_buffer(model, np.array([_zero_point(logits)], np.int8))
        both = _add_tensor(graph, "both", logits, shape=(1, 2))
        options = schema.ConcatenationOptionsT()
        options.axis = 1
        _add_operator(model, "CONCATENATION", [zero, place], [both], options)
        place = both
    count = 2 if activation is Activation.SIGMOID else logits.shape[-1]
    softmax = _add_tensor(graph, "softmax", logits, shape=(1, count), quantization=_PROBABILITY)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    _add_operator(model, "SOFTMAX", [place], [softmax], options)
    last = _add_tensor(
        graph, PROBABILITIES, logits, shape=(1, count), quantization=_PROBABILITY, unsigned=True
    )
    _add_operator(model, "QUANTIZE", [softmax], [last])
    graph.outputs = np.array([last], np.int32)
    (signature,) = model.signatureDefs
    signature.outputs = signature.outputs[:1]
    signature.outputs[0].name, signature.outputs[0].tensorIndex = PROBABILITIES, last


_PROBABILITY = (_STEP, _ZERO_POINT)


def _add_tensor(
    graph: Any,
    name: str,
    like: Tensor,
    *,
    shape: tuple[int, ...] | None = None,
    quantization: tuple[float, int] | None = None,
    unsigned: bool = False,
) -> int:
    """Append a tensor and return its place; int8, or uint8 with its zero point 128 higher."""
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only its schema

    scale, zero_point = (
        (like.scales[0], like.zero_points[0]) if quantization is None else quantization
    )
    tensor = schema.TensorT()
    tensor.name = name
    tensor.shape = np.array(like.shape if shape is None else shape, np.int32)
    tensor.type = schema.TensorType.UINT8 if unsigned else schema.TensorType.INT8
    tensor.buffer = 0
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = np.array([scale], np.float32)
    tensor.quantization.zeroPoint = np.array([zero_point + 128 * unsigned], np.int64)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _add_buffer(model: Any, values: npt.NDArray[np.int8]) -> int:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only its schema

    buffer = schema.BufferT()
    buffer.data = values.view(np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _add_operator(
    model: Any,
    name: str,
    inputs: list[int],
    outputs: list[int],
    options: Any = None,
    *,
    first: bool = False,
) -> None:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only its schema

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = _VERSIONS[name]
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = (np.array(one, np.int32) for one in (inputs, outputs))
    if options is not None:
        kind = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = options
    operators = model.subgraphs[0].operators
    operators.insert(0 if first else len(operators), operator)


_VERSIONS = {"QUANTIZE": 1, "CONCATENATION": 2, "SOFTMAX": 2}
"""Of the operators: the first that take int8."""


def _zero_point(tensor: Tensor) -> int:
    return tensor.zero_points[0]


def _describe(model: Any, metadata: bytes) -> None:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only its schema

    entry = schema.MetadataT()
    entry.name = _METADATA
    entry.buffer = _add_buffer(model, np.frombuffer(metadata, np.int8))
    model.metadata = [*(model.metadata or []), entry]


def _metadata() -> bytes:
    """Return the metadata: pixels as they are, and where the labels stand.

    Numbers are those of the fields in ``metadata_schema.fbs``.
    """
    image: Table = {
        0: INPUT,
        3: {0: Byte(2), 1: {0: Byte(1)}},  # ImageProperties: RGB
        4: [{0: Byte(1), 1: {0: [0.0], 1: [1.0]}}],  # NormalizationOptions: mean, deviation
        5: {0: [255.0], 1: [0.0]},  # Stats: largest, least
    }
    probability: Table = {
        0: PROBABILITIES,
        3: {0: Byte(1), 1: {}},  # FeatureProperties
        5: {0: [1.0], 1: [0.0]},
        6: [{0: LABELS_FILE, 2: Byte(2)}],  # AssociatedFile: TENSOR_AXIS_LABELS
    }
    return write_table({3: [{2: [image], 3: [probability]}], 7: "1.0.0"}, b"M001")


def _ensure_same(
    content: bytes, artifact: Artifact, activation: Activation, pictures: UInt8Array
) -> None:
    """Raise :class:`ConversionError` unless probabilities are those of the artifact."""
    from ai_edge_litert import interpreter as litert  # noqa: PLC0415 - not needed for the help

    expected = evaluate(artifact, pictures, activation, "int8 TFLite").probabilities
    with converting("running TFLite for other programs"):
        runner = litert.Interpreter(model_content=content).get_signature_runner()
        given = np.concatenate(
            [runner(**{INPUT: picture[np.newaxis]})[PROBABILITIES] for picture in pictures]
        )
    difference = float(np.abs(given * _STEP - expected).max())
    if not difference <= _TOLERATED:
        raise ConversionError(
            f"expected the probabilities of int8 TFLite within {_TOLERATED:.3f}, they differ "
            f"by {difference:.3f}"
        )
