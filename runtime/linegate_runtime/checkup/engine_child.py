"""Runs a tiny int8 model and prints, as JSON, the engine that ran it.

``python -m linegate_runtime.checkup.engine_child`` may crash natively, so it is a process of its
own; :mod:`linegate_runtime.checkup.engine` starts it.
"""

import sys
from pathlib import Path

import msgspec
import numpy as np

from linegate_bundle.errors import LinegateError
from linegate_bundle.manifest import (
    LOGITS,
    DType,
    Engine,
    ModelEntry,
    ModelFormat,
    Precision,
    TensorSpec,
)
from linegate_runtime.backends import BACKENDS

TINY = Path(__file__).with_name("tiny.int8.tflite")
"""A convolution, pooling and a dense layer; ``python -m tests.export.make_checkup_model``."""

_ENTRY = ModelEntry(
    file=TINY.name,
    format=ModelFormat.TFLITE,
    precision=Precision.INT8,
    engine=Engine(name="ai-edge-litert", version="any", kernel="xnnpack"),
    input=TensorSpec(name="image", shape=(1, 8, 8, 3), dtype=DType.INT8, quantization=None),
    outputs=(TensorSpec(name=LOGITS, shape=(1, 2), dtype=DType.INT8, quantization=None),),
)


def run_tiny(model: Path = TINY) -> Engine:
    """Run the tiny model once.

    Raises:
        EngineError: the engine is not installed or refuses the model.
    """
    backend = BACKENDS.load(ModelFormat.TFLITE.value)(_ENTRY, model.read_bytes())
    backend.invoke(np.zeros(_ENTRY.input.shape, np.int8))
    return backend.engine


def _main() -> int:
    try:
        engine = run_tiny()
    except LinegateError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.buffer.write(msgspec.json.encode(engine))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
