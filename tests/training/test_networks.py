import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from linegate_bundle.errors import ConfigError, DataError
from linegate_export.graph import Normalization
from linegate_training.networks.base import (
    IMAGE,
    LOGIT_MAP,
    LOGITS,
    NORMALIZATION,
    PROBABILITIES,
    Network,
    build_model,
    cut_model,
    fingerprint,
)
from linegate_training.networks.block_outputs import bottlenecks
from linegate_training.networks.names import NETWORKS
from linegate_training.networks.registry import load_network
from linegate_training.options import Head

SHAPE = (32, 32, 3)
DIFFERENT = tuple(name for name in NETWORKS if name not in {"resnet101", "resnet152", "vgg19"})
"""Networks that are not just deeper than another; the others only are slow to fill with weights."""


def smallest(network: Network, channels: int = 3) -> tuple[int, int, int]:
    """Return the smallest shape that a network takes."""
    side = max(network.smallest_size, 16)
    return (side, side, channels)


def without_weights(
    network: Network, shape: tuple[int, int, int], labels: int, head: Head = Head.PUBLISHED
) -> keras.Model:
    """Build a model whose weights have shapes and no values, which is quick."""
    with keras.StatelessScope(initialize_variables=False):
        return build_model(network, shape, labels, head)


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.parametrize("head", Head)
@pytest.mark.parametrize(("labels", "outputs", "channels"), [(2, 1, 1), (3, 3, 3)])
def test_every_network_keeps_the_contract_with_the_exporter(
    name: str, head: Head, labels: int, outputs: int, channels: int
) -> None:
    network = load_network(name)
    model = without_weights(network, smallest(network, channels), labels, head)
    assert model.input.name == IMAGE
    assert model.input.dtype == "float32"
    assert isinstance(model.layers[1], keras.layers.Rescaling)
    assert model.layers[1].name == NORMALIZATION
    normalization = Normalization(model.layers[1].scale, model.layers[1].offset)
    assert -128 <= normalization.quantization.zero_point <= 127
    assert model.layers[-1].name == PROBABILITIES
    assert isinstance(model.layers[-1], keras.layers.Activation)
    assert model.layers[-1].input is model.get_layer(LOGITS).output
    assert model.get_layer(LOGITS).output.shape == (None, outputs)
    assert all(type(part).__module__.startswith("keras.") for part in model.operations)
    assert not any(isinstance(layer, (keras.Model, keras.layers.Lambda)) for layer in model.layers)
    if head is Head.POOLED:
        assert isinstance(model.get_layer(LOGIT_MAP), keras.layers.Conv2D)


@pytest.mark.parametrize("name", DIFFERENT)
def test_probabilities_of_raw_pixels(name: str) -> None:
    network = load_network(name)
    shape = smallest(network)
    model = build_model(network, shape, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.float32)
    probabilities = np.asarray(model(pixels))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    logits = np.asarray(cut_model(model, IMAGE, LOGITS)(pixels))
    exponentials = np.exp(logits)
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_all_data_flows_through_each_cut_in_order(name: str) -> None:
    network = load_network(name)
    model = without_weights(network, smallest(network), 2)
    passed = [operation.name for operation in bottlenecks(model)]
    places = [passed.index(cut) for cut in network.cuts]
    assert places == sorted(places)
    assert network.fine_tune_after in network.cuts
    for cut in {network.cuts[0], network.fine_tune_after, network.cuts[-1]}:
        assert cut_model(model, cut, LOGITS).count_params() < model.count_params()


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # Convolutions, dense layers and biases as in Krizhevsky 2012, section 3.5.
        ("alexnet", 60_965_224),
        # Keras' own figures: keras.io/api/applications and `summary()` of the application.
        ("vgg16", 138_357_544),
        ("vgg19", 143_667_240),
        ("resnet50", 25_636_712),
        ("resnet101", 44_707_176),
        ("resnet152", 60_419_944),
        ("mobilenet_v2", 3_538_984),
        ("mobilenet_v3_small", 2_554_968),
        ("mobilenet_v3_large", 5_507_432),
    ],
)
def test_parameters_are_the_published_ones(name: str, published: int) -> None:
    network = load_network(name)
    model = without_weights(network, (network.size, network.size, 3), 1000)
    assert model.count_params() == published


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # docs.pytorch.org/vision/main/models.html
        ("mobilenet_v2", 3_504_872),
        ("mobilenet_v3_small", 2_542_856),
        ("mobilenet_v3_large", 5_483_032),
        # github.com/rwightman/gen-efficientnet-pytorch: 4.65 million
        ("efficientnet_lite0", 4_652_008),
    ],
)
def test_trainable_parameters_are_the_published_ones(name: str, published: int) -> None:
    network = load_network(name)
    assert trainable(without_weights(network, (224, 224, 3), 1000)) == published


def test_lenet5_has_the_60000_trainable_parameters_of_its_paper_before_the_output() -> None:
    model = without_weights(load_network("lenet5"), (32, 32, 1), 10)
    assert trainable(cut_model(model, IMAGE, "f6")) == 60_000
    assert trainable(cut_model(model, "s2", "c3")) == 1_516


def test_parameters_of_the_basic_cnn() -> None:
    model = without_weights(load_network("basic_cnn"), (64, 64, 3), 2)
    convolutions = (3 * 3 * 3 + 1) * 32 + (3 * 3 * 32 + 1) * 64
    assert model.count_params() == convolutions + (14 * 14 * 64 + 1) * 128 + (128 + 1)


def test_alpha_makes_mobilenet_v2_narrower() -> None:
    network = load_network("mobilenet_v2", 0.35)
    model = without_weights(network, (96, 96, 3), 1000)
    with keras.StatelessScope(initialize_variables=False):
        original = keras.applications.MobileNetV2(weights=None, alpha=0.35)
    assert model.count_params() == original.count_params()
    for cut in network.cuts:
        model.get_layer(cut)
    assert load_network("mobilenet_v2", 1.0) is load_network("mobilenet_v2")


def test_alpha_is_refused_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match=r"vgg16 has no width multiplier, got alpha 0\.5"):
        load_network("vgg16", 0.5)


def test_unknown_network_lists_the_names() -> None:
    with pytest.raises(ConfigError, match=r"valid are: alexnet, basic_cnn, .*MODULE:FUNCTION"):
        load_network("resnet5000")


def test_image_too_small_for_the_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 32 pixels a side, got 64 x 16"):
        build_model(load_network("efficientnet_lite0"), (16, 64, 3), 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_smallest_size_is_enough_and_one_pixel_less_is_refused(name: str) -> None:
    network = load_network(name)
    side = network.smallest_size
    without_weights(network, (side, side, 1), 2)
    with pytest.raises(ConfigError, match=rf"{name} needs images of at least {side} pixels"):
        without_weights(network, (side, side - 1, 1), 2)


def test_saved_models_load_in_safe_mode_where_linegate_is_not_installed(tmp_path: Path) -> None:
    """LeNet-5 holds a split of channels, MobileNetV3 plain arithmetic between its layers."""
    expected = []
    for name in ("lenet5", "mobilenet_v3_small"):
        model = build_model(load_network(name), SHAPE, 2)
        model.save(tmp_path / f"{name}.keras")
        expected.append(float(np.asarray(model(np.full((1, *SHAPE), 50, np.float32)))[0, 0]))
    program = (
        "import pathlib, sys\n"
        "sys.modules.update(linegate_training=None, linegate_bundle=None)\n"
        "import keras, numpy\n"
        f"for path in sorted(pathlib.Path({str(tmp_path)!r}).iterdir()):\n"
        "    model = keras.models.load_model(path, safe_mode=True)\n"
        f"    print(float(model(numpy.full((1, *{SHAPE}), 50, 'float32'))[0, 0]))\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert [float(line) for line in printed.split()] == pytest.approx(expected, abs=1e-6)


def test_message_names_a_weights_file_of_another_network(tmp_path: Path) -> None:
    from linegate_training.weights.load import load_weights

    network = load_network("efficientnet_lite0")
    other = tmp_path / "other.keras"
    build_model(load_network("basic_cnn"), SHAPE, 2).save(other)
    with pytest.raises(DataError, match="for the layer stem_conv, got none"):
        load_weights(network, build_model(network, SHAPE, 2), str(other))


def test_the_same_layers_have_one_fingerprint_and_others_another() -> None:
    """Names that Keras counts up do not matter; settings and connections do."""

    def of(kernel: int = 3, activation: str = "relu", *, shortcut: bool = True) -> str:
        image = keras.Input((8, 8, 4))
        x = keras.layers.Conv2D(4, kernel, padding="same", activation=activation)(image)
        y = keras.layers.Conv2D(4, 3, padding="same")(x)
        return fingerprint(keras.Model(image, keras.layers.Add()([y, x if shortcut else y])))

    assert of() == of()
    assert len({of(), of(kernel=1), of(activation="tanh"), of(shortcut=False)}) == 4
