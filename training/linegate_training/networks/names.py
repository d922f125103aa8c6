"""The names of all networks; kept apart so that the command line needs no Keras."""

from collections.abc import Mapping

MODULES: Mapping[str, str] = {
    "basic_cnn": "linegate_training.networks.basic_cnn",
    "efficientnet_lite0": "linegate_training.networks.efficientnet_lite0",
}
"""Module of each network by name; its network is called ``NETWORK``."""

NETWORKS = tuple(sorted(MODULES))
