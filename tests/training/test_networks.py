import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from linegate_bundle.errors import ConfigError, DataError
from linegate_training.networks.base import (
    IMAGE,
    LOGITS,
    NORMALIZATION,
    PROBABILITIES,
    build_model,
    cut_model,
)
from linegate_training.networks.names import NETWORKS
from linegate_training.networks.registry import load_network

SHAPE = (32, 32, 3)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("labels", "outputs"), [(2, 1), (3, 3)])
def test_every_network_keeps_the_contract_with_the_exporter(
    name: str, labels: int, outputs: int
) -> None:
    network = load_network(name)
    model = build_model(network, SHAPE, labels)
    assert model.input.name == IMAGE
    assert model.input.dtype == "float32"
    assert isinstance(model.layers[1], keras.layers.Rescaling)
    assert model.layers[1].name == NORMALIZATION
    assert model.layers[-1].name == PROBABILITIES
    assert isinstance(model.layers[-1], keras.layers.Activation)
    assert model.layers[-1].input is model.get_layer(LOGITS).output
    assert model.get_layer(LOGITS).output.shape == (None, outputs)
    assert all(layer.__module__.startswith("keras.") for layer in model.layers)
    assert not any(isinstance(layer, (keras.Model, keras.layers.Lambda)) for layer in model.layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_probabilities_of_raw_pixels(name: str) -> None:
    model = build_model(load_network(name), SHAPE, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype(np.float32)
    probabilities = np.asarray(model(pixels))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    logits = np.asarray(cut_model(model, IMAGE, LOGITS)(pixels))
    exponentials = np.exp(logits)
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_cuts_are_layers_in_the_order_of_the_data_flow(name: str) -> None:
    network = load_network(name)
    model = build_model(network, SHAPE, 2)
    sizes = [len(cut_model(model, IMAGE, cut).layers) for cut in network.cuts]
    assert sizes == sorted(sizes)
    for cut in network.cuts:
        assert cut_model(model, cut, LOGITS).count_params() < model.count_params()
    assert network.fine_tune_after in (*network.cuts, None)


def test_parameters_of_the_basic_cnn() -> None:
    model = build_model(load_network("basic_cnn"), (64, 64, 3), 2)
    convolutions = (3 * 3 * 3 + 1) * 32 + (3 * 3 * 32 + 1) * 64
    assert model.count_params() == convolutions + (14 * 14 * 64 + 1) * 128 + (128 + 1)


def test_parameters_of_efficientnet_lite0_are_the_published_ones() -> None:
    model = build_model(load_network("efficientnet_lite0"), (224, 224, 3), 1000)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable == 4_652_008


def test_unknown_network_lists_the_names() -> None:
    with pytest.raises(ConfigError, match="valid are: basic_cnn, efficientnet_lite0"):
        load_network("resnet5000")


def test_image_too_small_for_the_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 32 pixels a side, got 64 x 16"):
        build_model(load_network("efficientnet_lite0"), (16, 64, 3), 2)
    build_model(load_network("basic_cnn"), (10, 10, 1), 2)


def test_saved_model_loads_in_safe_mode_where_linegate_is_not_installed(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model = build_model(load_network("efficientnet_lite0"), SHAPE, 2)
    model.save(path)
    expected = float(np.asarray(model(np.full((1, *SHAPE), 50, np.float32)))[0, 0])
    program = (
        "import sys\n"
        "sys.modules.update(linegate_training=None, linegate_bundle=None)\n"
        "import keras, numpy\n"
        f"model = keras.models.load_model({str(path)!r}, safe_mode=True)\n"
        f"print(float(model(numpy.full((1, *{SHAPE}), 50, 'float32'))[0, 0]))\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert float(printed) == pytest.approx(expected, abs=1e-6)


def test_message_names_a_weights_file_of_another_network(tmp_path: Path) -> None:
    from linegate_training.weights.load import load_weights

    network = load_network("efficientnet_lite0")
    other = tmp_path / "other.keras"
    build_model(load_network("basic_cnn"), SHAPE, 2).save(other)
    with pytest.raises(DataError, match="for the layer stem_conv, got none"):
        load_weights(network, build_model(network, SHAPE, 2), str(other))
