"""The simulation computes what the interpreter computes, for any number of pictures at once."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from linegate_bundle.preprocess import UInt8Array
from linegate_export import graph, tflite_float32
from linegate_export.conversion import RequirementError
from linegate_export.graph import Deployable, Normalization
from linegate_export.quantization.probe import Probe, normalized
from linegate_export.quantization.simulation import Simulation
from linegate_export.saved_model import write_saved_model
from linegate_export.tflite_file import read_tflite
from tests.export import nets
from tests.export.nets import Example

UNITY = Normalization(scale=1 / 255, offset=0.0)


def graph_of(layers: list[keras.layers.Layer], folder: Path) -> bytes:
    """Convert a chain of layers to float TFLite, with a dense layer at its end."""
    keras.utils.set_random_seed(0)
    image = keras.Input((nets.SIDE, nets.SIDE, 3), name="image")
    x = normal = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    for layer in layers:
        x = layer(x)
    output = keras.layers.Dense(2)(keras.layers.Flatten()(x))
    model = Deployable(
        whole=None,
        raw=keras.Model(image, {"logits": output}),
        core=keras.Model(normal, {"logits": output}),
        normalization=UNITY,
        shape=(nets.SIDE, nets.SIDE, 3),
        logits=2,
        outputs={"logits": (1, 2)},
    )
    write_saved_model(model, folder)
    return tflite_float32.convert(model, folder)


def compare(content: bytes, pictures: UInt8Array, normalization: Normalization) -> None:
    probe = Probe(content, normalization)
    images = np.concatenate([normalized(picture, normalization) for picture in pictures])
    given = Simulation(content)(tf.constant(images), {}, lambda _, value: value)
    file = read_tflite(content)
    assert given.keys() == file.outputs.keys()
    for place, picture in enumerate(pictures):
        probe.run(picture)
        for name, tensor in file.outputs.items():
            expected = probe.values(tensor)[0]
            np.testing.assert_allclose(
                given[name][place], expected, atol=1e-4 * max(1.0, np.abs(expected).max())
            )


@pytest.fixture(scope="module")
def pictures() -> UInt8Array:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (3, nets.SIDE, nets.SIDE, 3), np.uint8)


def test_nets_of_all_kinds(
    float_tflite: bytes,
    deployable: Deployable,
    relu_net: tuple[Deployable, bytes],
    edge_net: tuple[Deployable, bytes],
    pictures: UInt8Array,
) -> None:
    for model, content in ((deployable, float_tflite), relu_net, edge_net):
        compare(content, pictures, model.normalization)


def test_a_dense_net(three: Example, pictures: UInt8Array, tmp_path: Path) -> None:
    model = graph.cut(graph.load_model(three.run.model), three.run.read_record())
    write_saved_model(model, tmp_path)
    content = tflite_float32.convert(model, tmp_path)
    compare(content, pictures, model.normalization)


@pytest.mark.parametrize(
    "layers",
    [
        [keras.layers.ZeroPadding2D(((1, 2), (0, 1))), keras.layers.Conv2D(4, 3, 2)],
        [keras.layers.Conv2D(4, 3, dilation_rate=2, padding="same")],
        [keras.layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2)],
        [keras.layers.AveragePooling2D(3, 2, "same")],
        [keras.layers.MaxPooling2D(3, 2, "valid")],
        [keras.layers.Activation("tanh"), keras.layers.Activation("relu6")],
        [keras.layers.Activation("silu"), keras.layers.Activation("hard_silu")],
        [keras.layers.Conv2D(4, 1), keras.layers.Rescaling(2.0, -0.5)],
        [keras.layers.GlobalAveragePooling2D(keepdims=True)],
    ],
    ids=lambda layers: "-".join(layer.name for layer in layers),
)
def test_layers_one_by_one(
    layers: list[keras.layers.Layer], pictures: UInt8Array, tmp_path: Path
) -> None:
    compare(graph_of(layers, tmp_path), pictures, UNITY)


def test_what_has_no_gradient_is_told_before_the_training(tmp_path: Path) -> None:
    layers = [keras.layers.Conv2D(4, 1), keras.layers.Conv2D(4, 3, groups=2)]
    with pytest.raises(RequirementError, match="no gradient on a processor for the CONV_2D"):
        Simulation(graph_of(layers, tmp_path))


def test_what_is_not_simulated_is_named(tmp_path: Path) -> None:
    content = graph_of([keras.layers.UpSampling2D()], tmp_path)
    with pytest.raises(RequirementError, match="operator TILE is not simulated"):
        Simulation(content)
