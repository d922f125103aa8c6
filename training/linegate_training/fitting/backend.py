"""What the training must know about the library under Keras."""

from typing import Literal

import keras


def jit_compile() -> bool | Literal["auto"]:
    """Return what to give as ``jit_compile`` to ``keras.Model.compile``.

    TensorFlow's XLA has no good convolutions for processors: EfficientNet-Lite0 ran
    ten times slower through it.
    """
    return False if keras.backend.backend() == "tensorflow" else "auto"
