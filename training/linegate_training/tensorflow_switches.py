"""TensorFlow's switches, which it reads when it is imported."""

import os


def set_switches() -> None:
    """Set the switches that the user has not set; to be called before Keras is imported.

    Messages below a warning are left out. oneDNN's kernels, which TensorFlow otherwise
    only takes where the processor has AVX512, made training a third faster with AVX2.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
