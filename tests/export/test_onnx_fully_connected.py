"""tf2onnx must not lose the bias of a dense layer that flattens a map of one pixel."""

import gc
from pathlib import Path

import keras
import numpy as np
from tf2onnx.handler import tfl_op
from tf2onnx.tflite_handlers.tfl_math import TflFullyConnectedOp

from linegate_bundle.decide import dequantize
from linegate_bundle.manifest import LOGITS
from linegate_bundle.preprocess import UInt8Array, encode
from linegate_export import onnx_float32, onnx_int8, tflite_float32
from linegate_export.conversion import Artifact
from linegate_export.graph import Deployable, Normalization
from linegate_export.saved_model import write_saved_model
from linegate_runtime.backends import BACKENDS
from tests.export import nets

SIDE = 8


def flattening() -> Deployable:
    """A net whose map has one pixel before it is flattened, with large biases."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3), name="image")
    normalized = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Conv2D(6, SIDE, activation="relu")(normalized)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(5, activation="relu", bias_initializer="ones")(x)
    output = keras.layers.Dense(2, bias_initializer="ones", name=LOGITS)(x)
    return Deployable(
        whole=None,
        raw=keras.Model(image, {LOGITS: output}),
        core=keras.Model(normalized, {LOGITS: output}),
        normalization=Normalization(scale=1 / 255, offset=0.0),
        shape=(SIDE, SIDE, 3),
        logits=2,
        outputs={LOGITS: (1, 2)},
    )


def logits(artifact: Artifact, pictures: UInt8Array) -> np.ndarray:
    entry = artifact.entry
    backend = BACKENDS.load(entry.format.value)(entry, artifact.content)
    quantization = entry.output(LOGITS).quantization
    given = [backend.invoke(encode(picture, entry.input.dtype))[LOGITS] for picture in pictures]
    return np.stack([dequantize(values, quantization) for values in given])


def test_both_onnx_models_keep_the_bias(tmp_path: Path) -> None:
    collector = (gc.get_threshold(), gc.get_freeze_count())
    model = flattening()
    pictures = np.random.default_rng(0).integers(0, 256, (16, SIDE, SIDE, 3), np.uint8)
    write_saved_model(model, tmp_path)
    tflite = tflite_float32.convert(model, tmp_path)
    float32 = onnx_float32.convert(model, tflite)
    int8 = nets.to_int8(model, tflite, pictures)
    expected = np.asarray(model.raw(pictures.astype(np.float32))[LOGITS])
    np.testing.assert_allclose(logits(float32, pictures), expected, atol=1e-4)
    np.testing.assert_allclose(
        logits(onnx_int8.convert(model, int8), pictures), logits(int8, pictures), atol=0.05
    )
    assert (gc.get_threshold(), gc.get_freeze_count()) == collector


def test_tf2onnx_is_left_as_it_was() -> None:
    handler, _ = tfl_op.create_tfl_to_tf_mapping()["TFL_FULLY_CONNECTED"]
    assert handler == TflFullyConnectedOp.to_tf
