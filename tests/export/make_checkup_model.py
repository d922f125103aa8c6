"""Makes ``runtime/linegate_runtime/checkup/tiny.int8.tflite`` anew: what `linegate doctor` runs.

Run it after a change of the net: ``python -m tests.export.make_checkup_model``. The net
recognizes nothing. It has what most int8 nets are made of, so that an engine that takes it with
its fast kernels will do so with others: a convolution, pooling and a dense layer.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[2] / "runtime/linegate_runtime/checkup/tiny.int8.tflite"
LARGEST_BYTES = 3_072

_SIDE = 8
_CHANNELS = 4
_LOGITS = 2


def make() -> bytes:
    """Return the model file; the same bytes every time."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    module = tf.Module()
    module.kernel = tf.constant(_waves((3, 3, 3, _CHANNELS)))
    module.weights = tf.constant(_waves((_CHANNELS, _LOGITS)))

    def serve(image: Any) -> dict[str, Any]:
        maps = tf.nn.relu6(tf.nn.conv2d(image / 255.0, module.kernel, 2, "SAME"))
        return {"logits": tf.matmul(tf.reduce_mean(maps, (1, 2)), module.weights)}

    signature = [tf.TensorSpec((1, _SIDE, _SIDE, 3), tf.float32, name="image")]
    function = tf.function(serve, input_signature=signature, autograph=False)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": function})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = _pictures
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        content: bytes = converter.convert()
    return content


def _waves(shape: tuple[int, ...]) -> Any:
    """Return weights from -1 to 1 that no version of a random generator can change."""
    import numpy as np

    count = int(np.prod(shape))
    return np.sin(np.arange(1, count + 1)).reshape(shape).astype(np.float32)


def _pictures() -> Iterator[list[Any]]:
    """Give pictures that span 0..255, so that a byte of the input is pixel - 128."""
    import numpy as np

    ramp = np.linspace(0, 255, _SIDE * _SIDE * 3).reshape(1, _SIDE, _SIDE, 3).astype(np.float32)
    yield [ramp]
    yield [255 - ramp]


def main() -> None:
    """Make the model and put it in its place."""
    content = make()
    if len(content) > LARGEST_BYTES:
        raise SystemExit(f"expected at most {LARGEST_BYTES} bytes, got {len(content)}")
    TARGET.write_bytes(content)
    sys.stderr.write(f"{TARGET}: {len(content)} bytes\n")


if __name__ == "__main__":
    main()
