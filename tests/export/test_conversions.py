"""Each conversion keeps its promise, and a converter that breaks it is caught."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from linegate_bundle.decide import dequantize
from linegate_bundle.manifest import LOGITS, Activation, DType, Precision
from linegate_bundle.preprocess import UInt8Array, encode
from linegate_export import (
    graph,
    onnx_float32,
    onnx_graph,
    onnx_int8,
    reference,
    tflite_float32,
    tflite_int8,
)
from linegate_export.conversion import Artifact, ConversionError, RequirementError, converting
from linegate_export.evaluate import evaluate
from linegate_export.graph import Deployable, Normalization
from linegate_export.saved_model import write_saved_model
from linegate_export.tflite_file import read_tflite
from linegate_runtime.backends import BACKENDS
from tests.export import nets
from tests.export.nets import Example


def noise(count: int, seed: int = 0) -> UInt8Array:
    """Pictures that never reach 0 or 255, so that the span has to be forced."""
    rng = np.random.default_rng(seed)
    return rng.integers(30, 200, (count, nets.SIDE, nets.SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def tflite(deployable: Deployable, float_tflite: bytes) -> Artifact:
    return nets.to_int8(deployable, float_tflite, noise(16))


@pytest.fixture(scope="module")
def onnx_artifact(deployable: Deployable, tflite: Artifact) -> Artifact:
    return onnx_int8.convert(deployable, tflite)


@pytest.fixture(scope="module")
def dense(three: Example) -> Deployable:
    return graph.cut(graph.load_model(three.run.model), three.run.read_record())


@pytest.fixture(scope="module")
def float32(deployable: Deployable, float_tflite: bytes) -> Artifact:
    return onnx_float32.convert(deployable, float_tflite)


def untrained(image: Any, normalized: Any, output: Any) -> Deployable:
    """Cut a net that no run folder holds; it has no probabilities."""
    return Deployable(
        whole=None,
        raw=keras.Model(image, {LOGITS: output}),
        core=keras.Model(normalized, {LOGITS: output}),
        normalization=Normalization(scale=1 / 255, offset=0.0),
        shape=(nets.SIDE, nets.SIDE, 3),
        logits=1,
        outputs={LOGITS: (1, 1)},
    )


def to_int8(model: Deployable, folder: Path, pictures: UInt8Array) -> Artifact:
    write_saved_model(model, folder)
    return nets.to_int8(model, tflite_float32.convert(model, folder), pictures)


def logits(artifact: Artifact, pictures: UInt8Array) -> np.ndarray:
    entry = artifact.entry
    backend = BACKENDS.load(entry.format.value)(entry, artifact.content)
    quantization = entry.output(LOGITS).quantization
    return np.stack(
        [
            dequantize(backend.invoke(encode(picture, entry.input.dtype))[LOGITS], quantization)
            for picture in pictures
        ]
    )


def test_int8_tflite_has_no_float_and_takes_pixel_minus_128(tflite: Artifact) -> None:
    file = read_tflite(tflite.content)
    assert [operator.name for operator in file.operators][:2] == ["CONV_2D", "CONV_2D"]
    assert {"DEPTHWISE_CONV_2D", "ADD", "MEAN"} <= {op.name for op in file.operators}
    assert {t.dtype for op in file.operators for t in (*op.inputs, *op.outputs)} == {
        "int8",
        "int32",
    }
    quantization = tflite.entry.input.quantization
    assert quantization is not None
    assert (quantization.scale, quantization.zero_point) == (1 / 128, -1)
    assert tflite.entry.input.shape == (1, nets.SIDE, nets.SIDE, 3)
    assert file.outputs.keys() == {"logits", "class_map"}


def test_int8_tflite_of_a_dense_net_is_integer_throughout(
    dense: Deployable, tmp_path: Path
) -> None:
    artifact = to_int8(dense, tmp_path, noise(8))
    quantization = artifact.entry.input.quantization
    assert quantization is not None
    assert quantization.zero_point == -128
    assert quantization.scale == pytest.approx(1 / 255, rel=1e-5)
    assert artifact.entry.output(LOGITS).shape == (1, 3)


def test_float_onnx_has_the_same_bytes_again(
    deployable: Deployable, float_tflite: bytes, float32: Artifact
) -> None:
    """The int8 models' bytes are compared between processes by the test of the whole export."""
    assert onnx_float32.convert(deployable, float_tflite).content == float32.content


def test_a_float_model_is_caught_with_operator_and_layer(
    deployable: Deployable, float_tflite: bytes
) -> None:
    with pytest.raises(
        ConversionError, match=r"the operator CONV_2D of the layer 're_lu\w*' has the float32"
    ):
        tflite_int8.ensure_integer(read_tflite(float_tflite), deployable)


def test_a_dynamic_range_model_is_not_taken_for_int8(deployable: Deployable, saved: Path) -> None:
    with converting("a dynamic range conversion"):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        content = converter.convert()
    with pytest.raises(ConversionError, match="float32 tensor"):
        tflite_int8.ensure_integer(read_tflite(content), deployable)


def test_another_input_quantization_than_pixel_minus_128_is_caught(
    deployable: Deployable, tflite: Artifact
) -> None:
    other = Normalization(scale=1 / 128, offset=-100 / 128).quantization
    with pytest.raises(ConversionError, match="so that a byte is pixel - 128"):
        tflite_int8.ensure_signature(read_tflite(tflite.content), deployable, other)


def test_int8_onnx_keeps_names_and_scales_and_counts_from_0(
    tflite: Artifact, onnx_artifact: Artifact
) -> None:
    entry = onnx_artifact.entry
    for here, there in (
        (entry.input, tflite.entry.input),
        (entry.output(LOGITS), tflite.entry.output(LOGITS)),
    ):
        assert (here.name, here.shape, here.dtype) == (there.name, there.shape, DType.UINT8)
        assert here.quantization is not None
        assert there.quantization is not None
        assert here.quantization.scale == there.quantization.scale
        assert here.quantization.zero_point == there.quantization.zero_point + 128
    assert entry.precision is Precision.INT8
    model = onnx.load_from_string(onnx_artifact.content)
    assert onnx_graph.signature(model) == {
        "image": ("uint8", (1, nets.SIDE, nets.SIDE, 3)),
        "class_map": ("uint8", (1, 6, 6, 1)),
        "logits": ("uint8", (1, 1)),
    }
    weights = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 4]
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.INT8}


def test_onnxruntime_computes_int8_onnx_in_integers_and_moves_no_pixels(
    onnx_artifact: Artifact, tmp_path: Path
) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(onnx_artifact.content, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
    operators = [node.op_type for node in nodes]
    assert operators[0] == "QLinearConv"
    assert {"Conv", "Add", "Gemm", "MatMul", "QuantizeLinear"}.isdisjoint(operators)


def test_int8_onnx_answers_as_int8_tflite_within_two_steps(
    tflite: Artifact, onnx_artifact: Artifact
) -> None:
    pictures = noise(50, seed=1)
    step = tflite.entry.output(LOGITS).quantization
    assert step is not None
    difference = np.abs(logits(tflite, pictures) - logits(onnx_artifact, pictures))
    assert difference.max() <= 2.01 * step.scale


def test_int8_onnx_does_not_saturate_where_sums_are_large(tmp_path: Path) -> None:
    """On x86 without VNNI onnxruntime's fast kernels add pairs of products in 16 bits."""
    image = keras.Input((nets.SIDE, nets.SIDE, 3))
    normalized = x = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    for strides in (2, 1, 1):
        x = keras.layers.Conv2D(8, 3, strides, activation="relu", kernel_initializer="ones")(x)
    x = keras.layers.Conv2D(1, 1, kernel_initializer="ones")(x)
    model = untrained(image, normalized, keras.layers.GlobalAveragePooling2D()(x))
    rng = np.random.default_rng(0)
    pictures = rng.integers(100, 256, (20, nets.SIDE, nets.SIDE, 3), np.uint8)
    tflite = to_int8(model, tmp_path, pictures)
    step = tflite.entry.output(LOGITS).quantization
    assert step is not None
    converted = onnx_int8.convert(model, tflite)
    difference = np.abs(logits(tflite, pictures) - logits(converted, pictures))
    assert difference.max() <= 2.01 * step.scale


def test_no_two_dequantized_constants_share_anything(onnx_artifact: Artifact) -> None:
    """Onnxruntime fails to open a model that does, on processors where it converts weights."""
    model = onnx.load_from_string(onnx_artifact.content)
    constants = {tensor.name for tensor in model.graph.initializer}
    dequantizing = [
        node
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in constants
    ]
    parts = [name for node in dequantizing for name in node.input]
    assert len(parts) == len(set(parts)) > 0
    results = {node.output[0] for node in dequantizing}
    uses = [name for node in model.graph.node for name in node.input if name in results]
    assert sorted(uses) == sorted(results)


def test_float_onnx_gives_the_logits_of_keras(deployable: Deployable, float32: Artifact) -> None:
    pictures = noise(20)
    evaluation = evaluate(float32, pictures, Activation.SIGMOID, "float32")
    assert reference.ensure_same(deployable, evaluation, pictures) < 1e-4
    assert float32.entry.input.dtype is DType.FLOAT32
    assert float32.entry.output(LOGITS).quantization is None


def test_batch_norm_is_folded_in_float_onnx(float32: Artifact) -> None:
    model = onnx.load_from_string(float32.content)
    operators = {node.op_type for node in model.graph.node}
    assert operators == {
        "Transpose",
        "Mul",
        "Add",
        "Conv",
        "Clip",
        "GlobalAveragePool",
        "Squeeze",
        "Reshape",
    }


def test_a_float_onnx_that_is_another_model_is_caught(
    deployable: Deployable, float32: Artifact
) -> None:
    pictures = noise(4)
    evaluation = evaluate(float32, pictures, Activation.SIGMOID, "float32")
    other = dataclasses.replace(deployable, raw=keras.models.clone_model(deployable.raw))
    with pytest.raises(ConversionError, match="to give the logits of Keras within"):
        reference.ensure_same(other, evaluation, pictures)


def test_probabilities_that_do_not_follow_from_the_logits_are_caught(
    deployable: Deployable, float32: Artifact
) -> None:
    pictures = noise(4)
    evaluation = evaluate(float32, pictures, Activation.SIGMOID, "float32")
    other = keras.Model(deployable.whole.inputs[0], 1 - deployable.whole.outputs[0])
    with pytest.raises(ConversionError, match="own probabilities to follow from its logits"):
        reference.ensure_same(dataclasses.replace(deployable, whole=other), evaluation, pictures)


def test_a_converter_that_fails_is_told_with_what_it_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        os.write(2, b"the reason in native code\n")
        raise RuntimeError("it broke")

    reason = r"(?s)the step failed: .*it broke.*the reason in"
    with pytest.raises(ConversionError, match=reason), converting("the step"):
        fail()
    assert "reason" not in capfd.readouterr().err


def test_an_operator_without_int8_kernel_is_named(tmp_path: Path) -> None:
    image = keras.Input((nets.SIDE, nets.SIDE, 3))
    normalized = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Flatten()(keras.layers.Activation(keras.ops.sin, name="wave")(normalized))
    model = untrained(image, normalized, keras.layers.Dense(1, name="logits")(x))
    with pytest.raises(ConversionError, match=r"(?i)the operator SIN of the layer 'wave' has"):
        to_int8(model, tmp_path, noise(2))


def test_what_onnx_has_no_operator_for_is_named_with_its_layer(tmp_path: Path) -> None:
    image = keras.Input((nets.SIDE, nets.SIDE, 3))
    normalized = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Flatten()(keras.layers.Activation("gelu", name="bend")(normalized))
    model = untrained(image, normalized, keras.layers.Dense(1, name="logits")(x))
    write_saved_model(model, tmp_path)
    with pytest.raises(ConversionError, match=r"^GELU of the layer 'bend' has no counterpart"):
        onnx_float32.convert(model, tflite_float32.convert(model, tmp_path))


def test_what_tflite_has_no_operator_for_is_named_with_its_layer(tmp_path: Path) -> None:
    image = keras.Input((nets.SIDE, nets.SIDE, 3))
    normalized = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Flatten()(keras.layers.Activation(keras.ops.erf, name="bell")(normalized))
    model = untrained(image, normalized, keras.layers.Dense(1, name="logits")(x))
    with pytest.raises(RequirementError, match=r"the layer 'bell' computes Erf, and TFLite has no"):
        to_int8(model, tmp_path, noise(2))
