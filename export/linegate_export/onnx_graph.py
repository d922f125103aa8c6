"""An ONNX graph in canonical form: the same model gives the same bytes, and nothing is superfluous.

tf2onnx numbers its tensors by a counter of the process and sorts them in no fixed
order. Here nodes stand in the order in which the outputs need them, tensors are
named by it, and what no output needs is gone.
"""

import contextlib
import gc
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from linegate_bundle.manifest import Quantization
from linegate_export.conversion import INPUT, ConversionError
from linegate_export.onnx_fully_connected import keeping_biases
from linegate_export.tflite_file import read_tflite

OPSET = 17
_PRODUCER = "linegate"
_EARLY = (500, 2, 2)
"""Thresholds of Python's garbage collector, see ``gc.set_threshold``."""


def tflite_to_onnx(content: bytes) -> Any:
    """Convert a TFLite model to a canonical ``onnx.ModelProto`` with the same signature."""
    import tf2onnx  # noqa: PLC0415 - slow, and it sets an environment variable on import

    with tempfile.TemporaryDirectory(prefix="linegate-") as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        with _root_logger_untouched(), keeping_biases(), _collecting_garbage_early():
            model, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET)
    # tf2onnx keeps the order of the outputs, and gives them names of its own.
    return canonical(model, list(read_tflite(content).outputs))


def canonical(model: Any, outputs: Sequence[str]) -> Any:
    """Return an equal model with one input ``image``, the named outputs and canonical names.

    Every dequantized constant has its values, scale and zero point for itself, even
    if another's are the same: onnxruntime turns weights into uint8 where the
    processor needs it, and up to 1.32 at least it fails on a shared tensor.

    Args:
        model: the model.
        outputs: their names, in the order of the model's own.

    Raises:
        ConversionError: more inputs, another number of outputs, or a graph inside a node.
    """
    graph = model.graph
    if len(graph.input) != 1 or len(graph.output) != len(outputs):
        raise ConversionError(
            f"expected an ONNX graph with one input and {len(outputs)} output(s), got "
            f"{len(graph.input)} and {len(graph.output)}"
        )
    builder = _Builder(graph, outputs)
    for node in _needed_nodes(graph):
        builder.add(node)
    result = onnx.helper.make_model(
        onnx.helper.make_graph(
            builder.nodes,
            _PRODUCER,
            [onnx.helper.make_value_info(INPUT, graph.input[0].type)],
            [
                onnx.helper.make_value_info(name, output.type)
                for name, output in sorted(zip(outputs, graph.output, strict=True), key=_by_name)
            ],
            builder.constants,
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=model.ir_version,
        producer_name=_PRODUCER,
    )
    onnx.checker.check_model(result, full_check=True)
    return result


class _Builder:
    """Copies nodes in order and names everything by the node that first meets it."""

    def __init__(self, graph: Any, outputs: Sequence[str]) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._given = {tensor.name: tensor for tensor in graph.initializer}
        self._dequantized = {
            node.output[0]: node
            for node in graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] in self._given
        }
        self._outputs = dict(zip((output.name for output in graph.output), outputs, strict=True))
        self._names = {"": "", graph.input[0].name: INPUT}

    def add(self, node: Any) -> None:
        """Copy a node; those that dequantize a constant are copied at each use instead."""
        if node.output[0] in self._dequantized:
            return
        inputs = [self._input(name) for name in node.input]
        copy = self._copy(node, inputs)
        self._names.update(zip(node.output, copy.output, strict=True))

    def _input(self, name: str) -> str:
        if name in self._dequantized:
            node = self._dequantized[name]
            return str(self._copy(node, [self._constant(part) for part in node.input]).output[0])
        if name not in self._names:
            self._names[name] = self._constant(name)
        return self._names[name]

    def _constant(self, name: str) -> str:
        own = f"constant_{len(self.constants)}"
        values = onnx.numpy_helper.to_array(self._given[name])
        self.constants.append(onnx.numpy_helper.from_array(values, own))
        return own

    def _copy(self, node: Any, inputs: list[str]) -> Any:
        if node.domain not in {"", "ai.onnx"}:
            raise ConversionError(
                f"expected operators of ONNX itself, got {node.op_type} of {node.domain!r}"
            )
        own = f"{node.op_type}_{len(self.nodes)}"
        outputs = [
            self._outputs.get(name, f"{own}_output{place}")
            for place, name in enumerate(node.output)
        ]
        copy = onnx.helper.make_node(node.op_type, inputs, outputs, name=own)
        # Made anew, for tf2onnx sets some default fields explicitly, and not always.
        copy.attribute.extend(sorted(node.attribute, key=lambda attribute: str(attribute.name)))
        self.nodes.append(copy)
        return copy


def prepend_normalization(model: Any, scale: float, offset: float) -> None:
    """Put ``scale * image + offset`` before a float model's input; the name stays ``image``."""
    for node in model.graph.node:
        node.input[:] = ["normalized" if name == INPUT else name for name in node.input]
    for name, value in (("scale", scale), ("offset", offset)):
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(value, np.float32), name)
        )
    steps = [
        onnx.helper.make_node("Mul", [INPUT, "scale"], ["scaled"], name="normalize_scale"),
        onnx.helper.make_node("Add", ["scaled", "offset"], ["normalized"], name="normalize_offset"),
    ]
    nodes = [*steps, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)


def to_bytes(model: Any) -> bytes:
    """Serialize a model; the same in, the same out."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def signature(model: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape of every input and output by name."""
    return {
        value.name: (
            np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)).name,
            tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim),
        )
        for value in (*model.graph.input, *model.graph.output)
    }


def edge_quantization(model: Any, name: str) -> Quantization:
    """Return the quantization of the int8 tensor ``name``, an input or output of the graph.

    Raises:
        ConversionError: no QuantizeLinear or DequantizeLinear stands there.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in _path_inwards(model.graph, name):
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            scale, zero_point = (
                onnx.numpy_helper.to_array(constants[tensor]) for tensor in node.input[1:3]
            )
            return Quantization(scale=float(scale), zero_point=int(zero_point))
    raise ConversionError(f"expected the ONNX tensor {name!r} to be quantized, it is not")


_MOVES_VALUES_ONLY = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten"})


def _path_inwards(graph: Any, name: str) -> list[Any]:
    """Return the nodes from an edge of the graph to the first that computes."""
    from_input = name == graph.input[0].name
    path = []
    while True:
        near = [node for node in graph.node if name in (node.input if from_input else node.output)]
        path += near
        if len(near) != 1 or near[0].op_type not in _MOVES_VALUES_ONLY:
            return path
        name = near[0].output[0] if from_input else near[0].input[0]


def _by_name(output: tuple[str, Any]) -> str:
    return output[0]


def _needed_nodes(graph: Any) -> list[Any]:
    """Return the nodes that the output needs, each after those that it needs itself."""
    producer = {name: node for node in graph.node for name in node.output}
    ordered: list[Any] = []
    done: set[str] = set()
    stack = [(output.name, False) for output in graph.output]
    while stack:
        name, inputs_are_done = stack.pop()
        node = producer.get(name)
        if node is None or name in done:
            continue
        if inputs_are_done:
            done.update(node.output)
            ordered.append(node)
            continue
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ConversionError(f"expected no graph inside a node, got one in {node.op_type}")
        stack.append((name, True))
        stack.extend((needed, False) for needed in reversed(node.input))
    return ordered


@contextlib.contextmanager
def _collecting_garbage_early() -> Iterator[None]:
    """Free the graphs that tf2onnx leaves behind while it still makes others.

    It copies the graph with all weights for each of its optimizations, and the copies
    hold each other, so they wait for Python's garbage collector, which sees few objects
    and takes its time. ResNet-50 took 9.1 GB without this and takes 2.3 GB.
    """
    thresholds = gc.get_threshold()
    gc.freeze()  # what is there already need not be looked at
    gc.collect()
    gc.set_threshold(*_EARLY)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@contextlib.contextmanager
def _root_logger_untouched() -> Any:
    """tf2onnx sets up the root logger; the program that calls us has its own."""
    import logging  # noqa: PLC0415

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
