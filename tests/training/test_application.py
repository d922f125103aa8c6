"""Pretrained weights of ``keras.applications`` behind our own normalization."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from linegate_bundle.errors import ConfigError, DataError
from linegate_training.networks.base import IMAGE, LOGIT_MAP, build_model, logit_layer
from linegate_training.networks.registry import load_network
from linegate_training.options import IMAGENET, Head
from linegate_training.weights.load import load_weights

SIDE = 64


def pictures(channels: int = 3) -> Any:
    squares = np.random.default_rng(0).integers(0, 256, (4, 8, 8, channels))
    return squares.repeat(8, axis=1).repeat(8, axis=2).astype(np.float32)


def pretrained(build: Callable[..., Any], preprocess: Callable[[Any], Any], path: Path) -> Any:
    """Make weights without top, their normalization fitted to pictures, and return the model."""
    keras.utils.set_random_seed(3)
    model = build(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(preprocess(pictures()), training=True)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.use_bias:
            layer.bias.assign(np.random.default_rng(1).normal(0, 0.1, layer.bias.shape))
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:  # the older format, in which Keras publishes
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return model


def features(network_name: str, path: Path | str, channels: int = 3) -> tuple[Any, Any]:
    """Return what our model with these weights gives before its head, and the model."""
    network = load_network(network_name)
    model = build_model(network, (SIDE, SIDE, channels), 2, Head.POOLED)
    load_weights(network, model, str(path))
    body = keras.Model(model.get_layer(IMAGE).output, logit_layer(model).input)
    return np.asarray(body(pictures(channels))), model


@pytest.mark.parametrize(
    ("name", "build", "module"),
    [
        ("mobilenet_v3_small", keras.applications.MobileNetV3Small, "mobilenet_v3"),
        ("keras.applications:MobileNetV2", keras.applications.MobileNetV2, "mobilenet_v2"),
        ("keras.applications:ResNet50V2", keras.applications.ResNet50V2, "resnet_v2"),
    ],
)
def test_features_are_those_of_the_original(
    name: str, build: Callable[..., Any], module: str, tmp_path: Path
) -> None:
    """These map pixels to -1..1; a half of a grey value is all that zeros at the rim differ by."""
    preprocess = getattr(keras.applications, module).preprocess_input
    path = tmp_path / "weights_notop.weights.h5"
    expected = np.asarray(pretrained(build, preprocess, path)(preprocess(pictures())))
    got, _ = features(name, path)
    assert expected.std(axis=0).max() > 0.1  # the features do say something about the picture
    difference = np.sqrt(np.mean((got - expected) ** 2)) / expected.std()
    assert difference < 0.15


@pytest.mark.parametrize(
    ("name", "build", "first", "last"),
    [
        ("vgg16", keras.applications.VGG16, "block1_conv1", "block5_conv3"),
        ("resnet50", keras.applications.ResNet50, "conv1_bn", "conv5_block3_3_conv"),
    ],
)
def test_weights_for_blue_green_red_give_the_same_inside_the_picture(
    name: str, build: Callable[..., Any], first: str, last: str, tmp_path: Path
) -> None:
    preprocess = keras.applications.vgg16.preprocess_input
    path = tmp_path / "published_notop.h5"
    source = pretrained(build, preprocess, path)
    _, model = features(name, path)
    original = keras.Model(source.input, source.get_layer(first).output)
    ours = keras.Model(model.input, model.get_layer(first).output)
    expected = np.asarray(original(preprocess(pictures())))
    got = np.asarray(ours(pictures()))
    np.testing.assert_allclose(
        got[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=2e-5 * np.abs(expected).max()
    )
    np.testing.assert_array_equal(
        model.get_layer(last).get_weights()[0], source.get_layer(last).get_weights()[0]
    )


@pytest.mark.slow
def test_preprocessing_inside_the_network_moves_into_its_first_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras builds the original around a download, which is a file of random weights here."""
    path = tmp_path / "published.weights.h5"
    build = keras.applications.EfficientNetB0
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: str(path))
    shape = (SIDE, SIDE, 3)
    untrained = build(include_top=False, weights=None, input_shape=shape)
    adapted = next(x for x in untrained.layers if isinstance(x, keras.layers.Normalization))
    mean, variance = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    adapted.set_weights([mean, variance, np.array(0)])
    untrained.save_weights(path)
    source = build(include_top=False, weights="imagenet", input_shape=shape)
    _, model = features("keras.applications:EfficientNetB0", IMAGENET)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(keras.layers.Rescaling) == 1
    assert keras.layers.Normalization not in kinds
    original = keras.Model(source.input, source.get_layer("stem_bn").output)
    ours = keras.Model(model.input, model.get_layer("stem_bn").output)
    expected = np.asarray(original(pictures()))[:, 1:-1, 1:-1]
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(np.asarray(ours(pictures()))[:, 1:-1, 1:-1], expected, atol=1e-4)


def test_a_file_for_a_network_that_keras_builds_differently_for_it_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "efficientnetb0_notop.h5"
    path.touch()
    network = load_network("keras.applications:EfficientNetB0")
    model = build_model(network, (32, 32, 3), 2)
    with pytest.raises(ConfigError, match=r"put the file into .*models, .*--weights imagenet"):
        load_weights(network, model, str(path))


def test_grey_model_sees_a_grey_picture_as_the_colour_model_does(tmp_path: Path) -> None:
    path = tmp_path / "published.weights.h5"
    pretrained(keras.applications.VGG16, keras.applications.vgg16.preprocess_input, path)
    grey, _ = features("vgg16", path, channels=1)
    network = load_network("vgg16")
    colour = build_model(network, (SIDE, SIDE, 3), 2, Head.POOLED)
    load_weights(network, colour, str(path))
    body = keras.Model(colour.input, logit_layer(colour).input)
    expected = np.asarray(body(pictures(1).repeat(3, axis=-1)))
    np.testing.assert_allclose(grey, expected, atol=1e-3 * np.abs(expected).max())


def test_hidden_layers_stay_fresh_and_the_head_too(tmp_path: Path) -> None:
    path = tmp_path / "published.weights.h5"
    source = pretrained(
        keras.applications.MobileNetV3Small, keras.applications.mobilenet_v3.preprocess_input, path
    )
    network = load_network("mobilenet_v3_small")
    model = build_model(network, (SIDE, SIDE, 3), 2)
    before = model.get_layer("conv_2").get_weights()[0]
    load_weights(network, model, str(path))
    np.testing.assert_array_equal(model.get_layer("conv_2").get_weights()[0], before)
    np.testing.assert_array_equal(
        model.get_layer("conv_1").get_weights()[0], source.get_layer("conv_1").get_weights()[0]
    )
    assert LOGIT_MAP not in {layer.name for layer in model.layers}


def test_weights_of_another_network_are_refused_and_nothing_is_set(tmp_path: Path) -> None:
    path = tmp_path / "published.weights.h5"
    pretrained(keras.applications.VGG16, keras.applications.vgg16.preprocess_input, path)
    network = load_network("vgg19")
    model = build_model(network, (SIDE, SIDE, 3), 2, Head.POOLED)
    before = model.get_layer("block1_conv1").get_weights()[0]
    with pytest.raises(DataError, match=r"expected weights of vgg19 without top .*_notop\.h5"):
        load_weights(network, model, str(path))
    np.testing.assert_array_equal(model.get_layer("block1_conv1").get_weights()[0], before)


@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        ("weights.pth", ConfigError, r"expected a \.h5 or \.weights\.h5 file of vgg16"),
        ("weights.h5", DataError, "expected weights of vgg16 without top"),
    ],
)
def test_files_that_are_no_such_weights_are_refused(
    file: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / file
    path.write_bytes(b"no weights")
    network = load_network("vgg16")
    with pytest.raises(error, match=message):
        load_weights(network, build_model(network, (32, 32, 3), 2, Head.POOLED), str(path))


@pytest.mark.parametrize(
    ("name", "alpha", "file"),
    [
        ("vgg16", None, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("mobilenet_v2", 0.35, r"mobilenet_v2_\w+_0.35_96_no_top.h5"),
    ],
)
def test_without_network_a_message_says_what_to_fetch_and_where_to_put_it(
    name: str, alpha: float | None, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(tmp_path))
    network = load_network(name, alpha)
    model = build_model(network, (96, 96, 3), 2, Head.POOLED)
    expected = (
        rf"{file} did not come from storage\.googleapis\.com .*--weights FILE, or put it into "
        rf"{tmp_path}/models; or train from scratch with --weights none"
    )
    with pytest.raises(ConfigError, match=expected):
        load_weights(network, model, "imagenet")


def test_a_width_without_published_weights_is_refused() -> None:
    network = load_network("mobilenet_v2", 0.6)
    model = build_model(network, (32, 32, 3), 2)
    with pytest.raises(ConfigError, match=r"mobilenet_v2 with alpha 0\.6: .*alpha must be one of"):
        load_weights(network, model, "imagenet")
