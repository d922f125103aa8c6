"""Networks given as ``module:attribute``."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Colour
from linegate_training.networks.base import LOGIT_MAP, LOGITS, NORMALIZATION, build_model
from linegate_training.networks.block_outputs import block_outputs
from linegate_training.networks.registry import load_network
from linegate_training.options import Head
from linegate_training.weights.load import load_weights

OWN = "tests.training.own_network"
SHAPE = (32, 32, 3)


def test_a_map_of_features_gets_a_class_map() -> None:
    model = build_model(load_network(f"{OWN}:build"), SHAPE, 3)
    assert model.get_layer(LOGIT_MAP).output.shape == (None, 6, 6, 3)
    assert model.get_layer(NORMALIZATION).scale == 1 / 255
    probabilities = np.asarray(model(np.full((1, *SHAPE), 99, np.float32)))
    assert probabilities.sum() == pytest.approx(1)


def test_flat_features_get_a_dense_layer_and_cannot_be_pooled() -> None:
    network = load_network(f"{OWN}:build_flat")
    model = build_model(network, SHAPE, 2)
    assert isinstance(model.get_layer(LOGITS), keras.layers.Dense)
    with pytest.raises(ConfigError, match="needs a map of them; choose --head published"):
        build_model(network, SHAPE, 2, Head.POOLED)


def test_a_network_object_is_taken_as_it_is() -> None:
    network = load_network(f"{OWN}:NETWORK")
    assert (network.name, network.size, network.colour) == ("mine", 20, Colour.GRAY)
    build_model(network, (20, 20, 1), 2)


def test_the_current_folder_counts_for_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net_of_mine.py").write_text(
        "from keras import layers\ndef build(x): return layers.Conv2D(4, 3)(x)\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    try:
        network = load_network("net_of_mine:build")
    finally:
        sys.modules.pop("net_of_mine", None)
    assert sys.path == before
    assert build_model(network, SHAPE, 2).name == "net_of_mine.build"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_module:build", "module 'no_such_module' cannot be imported from"),
        (f"{OWN}:no_such_function", "has no 'no_such_function', only .*build"),
        (f"{OWN}:NUMBER", "expected a function or a Network, got 3"),
        (f"{OWN}:", "has no ''"),
        (":build", "cannot be imported"),
    ],
)
def test_what_is_no_network_is_refused(reference: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_network(reference)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("with_own_layer", "holds 'doubled', a Doubled; expected plain layers of Keras"),
        ("with_lambda", "holds 'twice', a Lambda"),
        ("with_nested_model", "holds 'inner', a Sequential"),
        ("with_reserved_name", "names a layer 'logits', which linegate does itself"),
        ("returning_nothing", "expected a symbolic Keras tensor .*, got NoneType"),
        ("returning_three_dimensions", r"expected features of the shape .*, got \(None, 1024, 3\)"),
        ("returning_something_else", "expected features that follow from the given tensor"),
        ("raising", "RuntimeError: no luck today"),
    ],
)
def test_a_function_that_gives_no_exportable_network_is_refused(
    function: str, message: str
) -> None:
    network = load_network(f"{OWN}:{function}")
    with pytest.raises(ConfigError, match=message):
        build_model(network, SHAPE, 2)


def test_weights_of_another_run_find_layers_that_keras_has_numbered(tmp_path: Path) -> None:
    network = load_network(f"{OWN}:build")
    source, target = (build_model(network, SHAPE, labels) for labels in (2, 3))
    source.save(tmp_path / "run.keras")
    load_weights(network, target, str(tmp_path / "run.keras"))
    convolutions = [
        [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        for model in (source, target)
    ]
    for one, other in zip(*convolutions, strict=True):
        if other.name != LOGIT_MAP:
            assert one.name != other.name
            np.testing.assert_array_equal(one.kernel, other.kernel)


def test_an_application_knows_its_size_and_where_its_blocks_end() -> None:
    network = load_network("keras.applications:EfficientNetB0")
    assert (network.size, network.colour) == (224, Colour.RGB)
    assert network.cuts[0] == "block2b_add"
    assert network.fine_tune_after in network.cuts
    with keras.StatelessScope(initialize_variables=False):
        model = build_model(network, SHAPE, 2)
    for cut in network.cuts:
        model.get_layer(cut)


def test_an_application_takes_alpha_where_it_has_one() -> None:
    network = load_network("keras.applications:MobileNet", 0.25)
    with keras.StatelessScope(initialize_variables=False):
        model = build_model(network, SHAPE, 2)
    assert model.get_layer("conv1").filters == 8
    with pytest.raises(ConfigError, match="no width multiplier"):
        load_network("keras.applications:VGG16", 0.5)


def test_an_application_refuses_small_pictures_in_its_own_words() -> None:
    network = load_network("keras.applications:Xception")
    with pytest.raises(ConfigError, match=r"Xception with images .*at least 71x71"):
        build_model(network, SHAPE, 2)


def test_layers_that_keras_numbers_are_no_place_to_start_fine_tuning() -> None:
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3)(image)
    x = keras.layers.MaxPooling2D(2, name="halved")(x)
    y = keras.layers.Conv2D(4, 1)(x)
    x = keras.layers.Add()([x, y])
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(x))
    assert block_outputs(model) == ("halved",)
