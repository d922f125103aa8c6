"""Networks by name; a network's module is imported when it is asked for."""

import importlib

from linegate_bundle.errors import ConfigError
from linegate_training.networks.base import Network
from linegate_training.networks.foreign import load_foreign
from linegate_training.networks.names import NETWORKS, PLACES


def load_network(name: str, alpha: float | None = None) -> Network:
    """Return a network.

    Args:
        name: one of :data:`NETWORKS`, or ``module:attribute``, see
            :func:`linegate_training.networks.foreign.load_foreign`.
        alpha: width multiplier; None for the network as published.

    Raises:
        ConfigError: there is none of that name, or it has no width multiplier.
    """
    if ":" in name:
        network = load_foreign(name)
    elif name in PLACES:
        network = _builtin(PLACES[name])
    else:
        raise ConfigError(
            f"unknown network {name!r}; valid are: {', '.join(NETWORKS)}, or MODULE:FUNCTION, such "
            "as keras.applications:EfficientNetB0"
        )
    if alpha is None:
        return network
    if network.with_alpha is None:
        raise ConfigError(
            f"{name} has no width multiplier, got alpha {alpha:g}; leave --alpha out, or choose "
            "mobilenet_v2"
        )
    return network.with_alpha(alpha)


def _builtin(place: str) -> Network:
    module, _, attribute = place.partition(":")
    network = getattr(importlib.import_module(module), attribute)
    if not isinstance(network, Network):
        raise TypeError(f"{place}: expected a Network, got {network!r}")
    return network
