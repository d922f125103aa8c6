"""Inference engines by name."""

from linegate_runtime.backends.base import Backend
from linegate_runtime.registry import Registry

BACKENDS = Registry(
    "backend",
    Backend,
    {
        "tflite": "linegate_runtime.backends.tflite:TfliteBackend",
        "onnx": "linegate_runtime.backends.onnx:OnnxBackend",
        "fake": "linegate_runtime.backends.fake:FakeBackend",
    },
)

__all__ = ["BACKENDS", "Backend"]
