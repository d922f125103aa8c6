"""Networks by name; a network's module is imported when it is asked for."""

import importlib

from linegate_bundle.errors import ConfigError
from linegate_training.networks.base import Network
from linegate_training.networks.names import MODULES, NETWORKS


def load_network(name: str) -> Network:
    """Return the network called ``name``.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in MODULES:
        raise ConfigError(f"unknown network {name!r}; valid are: {', '.join(NETWORKS)}")
    network = importlib.import_module(MODULES[name]).NETWORK
    if not isinstance(network, Network):
        raise TypeError(f"{MODULES[name]}.NETWORK: expected a Network, got {network!r}")
    return network
