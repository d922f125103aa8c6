"""Reading what is really inside a ``.tflite`` file: operators, tensors, signature.

The file says it itself (a FlatBuffer); nothing is run.
"""

import dataclasses
import enum
from collections.abc import Iterator
from typing import Any

from linegate_bundle.manifest import Quantization
from linegate_export.conversion import ConversionError


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor of a graph.

    Attributes:
        index: its place in the graph, the one that an interpreter takes.
        name: as the converter called it.
        dtype: element type in lower case, such as ``int8``.
        shape: of all dimensions.
        scales: of the quantization; one a channel, or one, or none.
        zero_points: as many as scales.
        axis: the dimension that the channels run along.
        constant: its values are in the file.
        buffer: number of the buffer that holds them.
    """

    index: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    constant: bool
    buffer: int

    @property
    def quantization(self) -> Quantization | None:
        """The quantization if it is one for the whole tensor."""
        if len(self.scales) != 1:
            return None
        return Quantization(scale=self.scales[0], zero_point=self.zero_points[0])


DEPTHWISE = "DEPTHWISE_CONV_2D"
LAYERS = frozenset({"CONV_2D", DEPTHWISE, "FULLY_CONNECTED"})
"""Operators with weights, one scale a channel in int8."""

WEIGHTS, BIAS = 1, 2
"""Places of their inputs; a bias may be absent."""


class Fused(enum.StrEnum):
    """The activation that an operator applies to its result."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    OTHER = "other"


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        name: of the schema, such as ``CONV_2D``.
        inputs: the tensors that it reads; absent optional ones are left out.
        outputs: the tensors that it writes.
        options: the schema's own object with strides, padding and the like, or None.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Any = dataclasses.field(compare=False)

    @property
    def activation(self) -> Fused:
        """What is fused into it."""
        code = getattr(self.options, "fusedActivationFunction", 0)
        return _FUSED.get(code, Fused.OTHER)


_FUSED = {0: Fused.NONE, 1: Fused.RELU, 3: Fused.RELU6}
"""By the schema's number, ``ActivationFunctionType``."""


@dataclasses.dataclass(frozen=True)
class TfliteFile:
    """The only graph of a file, and its signature by name; outputs in the graph's own order."""

    operators: tuple[Operator, ...]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def quantized_layers(
    exact: TfliteFile, quantized: TfliteFile
) -> Iterator[tuple[Operator, Operator]]:
    """Return each layer of a float graph with the one of the int8 graph that was made from it.

    Layers that are in float there too are left out.
    """
    results = {one.outputs[0].name: one for one in quantized.operators}
    for layer in exact.operators:
        other = results.get(layer.outputs[0].name)
        if layer.name in LAYERS and other is not None and other.inputs[WEIGHTS].dtype == "int8":
            yield layer, other


def read_tflite(content: bytes) -> TfliteFile:
    """Read a file with one graph and one signature.

    Raises:
        ConversionError: it has more or less than one of either.
    """
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only its schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    signatures = model.signatureDefs or []
    if len(model.subgraphs) != 1 or len(signatures) != 1:
        raise ConversionError(
            "expected a TFLite model with one graph and one signature, "
            f"got {len(model.subgraphs)} and {len(signatures)}"
        )
    graph = model.subgraphs[0]
    types = _names(schema.TensorType)
    operators = _names(schema.BuiltinOperator)
    tensors = [
        _tensor(index, tensor, types, model.buffers) for index, tensor in enumerate(graph.tensors)
    ]

    places = {index: place for place, index in enumerate(graph.outputs)}

    def pick(indices: Any) -> tuple[Tensor, ...]:
        return tuple(tensors[index] for index in indices if index >= 0)

    def named(maps: Any) -> dict[str, Tensor]:
        return {entry.name.decode(): tensors[entry.tensorIndex] for entry in maps}

    return TfliteFile(
        operators=tuple(
            Operator(
                name=_operator_name(model.operatorCodes[operator.opcodeIndex], operators),
                inputs=pick(operator.inputs),
                outputs=pick(operator.outputs),
                options=operator.builtinOptions,
            )
            for operator in graph.operators
        ),
        inputs=named(signatures[0].inputs),
        outputs=named(sorted(signatures[0].outputs, key=lambda entry: places[entry.tensorIndex])),
    )


def _names(constants: type[Any]) -> dict[int, str]:
    return {value: name for name, value in vars(constants).items() if isinstance(value, int)}


def _operator_name(code: Any, names: dict[int, str]) -> str:
    if code.customCode:
        return str(code.customCode.decode())
    # Files for old readers keep small codes in a field of one byte.
    return names[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _tensor(index: int, tensor: Any, types: dict[int, str], buffers: Any) -> Tensor:
    quantization = tensor.quantization
    has_scales = quantization is not None and quantization.scale is not None
    data = buffers[tensor.buffer].data
    return Tensor(
        index=index,
        name=tensor.name.decode(),
        dtype=types[tensor.type].lower(),
        shape=tuple(int(size) for size in ([] if tensor.shape is None else tensor.shape)),
        scales=tuple(float(scale) for scale in quantization.scale) if has_scales else (),
        zero_points=tuple(int(zero) for zero in quantization.zeroPoint) if has_scales else (),
        axis=int(quantization.quantizedDimension) if has_scales else 0,
        constant=data is not None and len(data) > 0,
        buffer=int(tensor.buffer),
    )
