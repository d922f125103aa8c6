"""What the training must know about the library under Keras and about the hardware."""

import contextlib
from collections.abc import Iterator
from typing import Literal

import keras

from linegate_training.options import Precision


def jit_compile() -> bool | Literal["auto"]:
    """Return what to give as ``jit_compile`` to ``keras.Model.compile``.

    TensorFlow's XLA has no good convolutions for processors: EfficientNet-Lite0 ran
    ten times slower through it.
    """
    on_processor = keras.backend.backend() == "tensorflow" and not has_gpu()
    return False if on_processor else "auto"


def has_gpu() -> bool:
    """Return whether Keras computes on a GPU."""
    return any("gpu" in device or "cuda" in device for device in map(str.lower, _devices()))


@contextlib.contextmanager
def arithmetic(precision: Precision) -> Iterator[None]:
    """Build layers inside that compute as asked; their weights are float32 all the same."""
    mixed = precision is Precision.MIXED or (precision is Precision.AUTO and has_gpu())
    if not mixed:
        yield
        return
    before = keras.config.dtype_policy()
    # Unlike float16 it has the range of float32, so no gradient needs to be scaled.
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _devices() -> list[str]:
    return list(keras.distribution.list_devices())
