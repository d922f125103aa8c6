"""Putting pretrained weights into a fresh model."""

import json
import logging
import re
import zipfile
from collections import Counter
from pathlib import Path

import keras

from linegate_bundle.errors import ConfigError, DataError
from linegate_training.networks.base import LOGIT_MAP, Network, logit_layer
from linegate_training.options import IMAGENET, NO_WEIGHTS, Head

_LOG = logging.getLogger(__name__)
_KERAS_SUFFIX = ".keras"


def default_weights(network: Network) -> str:
    """Return what a network starts from if nothing is said."""
    return NO_WEIGHTS if network.load_imagenet is None else IMAGENET


def default_head(network: Network, weights: str) -> Head:
    """Return the head that suits the weights if nothing is said.

    Published weights come without top, and a small head learns best from few photographs;
    the ``.keras`` file of another run has one of the two heads already.

    Raises:
        DataError: the ``.keras`` file is damaged.
    """
    if network.hidden is None or weights == NO_WEIGHTS:
        return Head.PUBLISHED
    if weights.endswith(_KERAS_SUFFIX) and Path(weights).is_file():
        return Head.POOLED if LOGIT_MAP in _layer_names(Path(weights)) else Head.PUBLISHED
    return Head.POOLED


def _layer_names(path: Path) -> set[str]:
    """Return the names of the layers in a ``.keras`` file without building them."""
    try:
        with zipfile.ZipFile(path) as archive:
            model = json.loads(archive.read("config.json"))
        return {layer["config"]["name"] for layer in model["config"]["layers"]}
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected a Keras model: {error!r}") from error


def load_weights(network: Network, model: keras.Model, weights: str) -> None:
    """Load weights into all layers of a model but its last with weights, the head.

    Args:
        network: what the model was built from.
        model: gets the weights.
        weights: ``imagenet``; ``none`` leaves the model as it is; else the path of a
            file with the network's ImageNet weights without top, in the format in which
            they are published (``.pth`` or ``.h5``), or of a ``.keras`` file with the
            same network, such as the ``model.keras`` of another run.

    Raises:
        ConfigError: there are no such weights, or their package is not installed.
        DataError: the file is damaged or holds another network.
    """
    if weights == NO_WEIGHTS:
        return
    path = None if weights == IMAGENET else Path(weights)
    if path is not None and not path.is_file():
        raise ConfigError(
            f"expected {IMAGENET}, {NO_WEIGHTS} or a file with weights, got {weights!r}, which "
            "is no file"
        )
    if path is not None and path.suffix == _KERAS_SUFFIX:
        _copy(path, model)
    elif network.load_imagenet is not None:
        network.load_imagenet(model, path)
    elif path is None:
        raise ConfigError(
            f"{network.name} has no ImageNet weights; choose --weights {NO_WEIGHTS}, or another "
            "network"
        )
    else:
        raise ConfigError(f"{path}: expected a .keras file for {network.name}")
    _LOG.info("loaded weights: %s", weights)


def _copy(path: Path, model: keras.Model) -> None:
    """Copy weights by the names of their layers, the head left out."""
    try:
        # Safe mode refuses code inside the file.
        source = keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: expected a Keras model: {error}") from error
    given = {key: layer.get_weights() for key, layer in _weighted_layers(source).items()}
    copied = []
    for key, layer in _weighted_layers(model).items():
        if layer is logit_layer(model):
            continue
        expected = [tuple(weight.shape) for weight in layer.weights]
        got = [weight.shape for weight in given.get(key, [])]
        if expected != got:
            raise DataError(
                f"{path}: expected weights of shapes {expected} for the layer {layer.name}, got "
                f"{got or 'none'}; use a model of the same network, size and --head"
            )
        copied.append((layer, given[key]))
    for layer, weights in copied:
        layer.set_weights(weights)


def _weighted_layers(model: keras.Model) -> dict[tuple[str, int], keras.layers.Layer]:
    """Return the layers that have weights, by name without number and place among the same.

    Keras counts layers without a name of their own through the whole process, so that
    ``conv2d_7`` of one model is ``conv2d_2`` of another.
    """
    found: dict[tuple[str, int], keras.layers.Layer] = {}
    places: Counter[str] = Counter()
    for layer in model.layers:
        if layer.weights:
            name = re.sub(r"_\d+$", "", layer.name)
            found[name, places[name]] = layer
            places[name] += 1
    return found
