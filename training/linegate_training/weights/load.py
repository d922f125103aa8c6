"""Putting pretrained weights into a fresh model."""

import logging
from pathlib import Path

import keras

from linegate_bundle.errors import ConfigError, DataError
from linegate_training.networks.base import Network, logit_layer
from linegate_training.options import IMAGENET, NO_WEIGHTS

_LOG = logging.getLogger(__name__)


def default_weights(network: Network) -> str:
    """Return what a network starts from if nothing is said."""
    return NO_WEIGHTS if network.load_imagenet is None else IMAGENET


def load_weights(network: Network, model: keras.Model, weights: str) -> None:
    """Load weights into all layers of a model but its last with weights, the head.

    Args:
        network: what the model was built from.
        model: gets the weights.
        weights: ``imagenet``; ``none`` leaves the model as it is; else the path of a
            ``.pth`` file with the network's ImageNet weights, or of a ``.keras`` file
            with the same network, such as the ``model.keras`` of another run.

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
    if path is not None and path.suffix == ".keras":
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
    given = {layer.name: layer.get_weights() for layer in source.layers}
    for layer in model.layers:
        if layer is logit_layer(model) or not layer.weights:
            continue
        expected = [tuple(weight.shape) for weight in layer.weights]
        got = [weight.shape for weight in given.get(layer.name, [])]
        if expected != got:
            raise DataError(
                f"{path}: expected weights of shapes {expected} for the layer {layer.name}, got "
                f"{got or 'none'}; use a model of the same network and size"
            )
        layer.set_weights(given[layer.name])
