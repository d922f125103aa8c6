"""Running frozen layers fast: as a float32 TFLite model in XNNPACK's kernels.

On a processor the same layers take a fifth of the time that TensorFlow's own
kernels need, with outputs equal to about 1e-5 of their range. On a GPU, under any other
Keras backend than TensorFlow, and in half precision the layers run in Keras.
"""

import concurrent.futures
import contextlib
import io
import os
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from linegate_bundle.native_log import captured_native_log
from linegate_training.fitting.backend import has_gpu
from linegate_training.fitting.sources import Float32Array

RunFrozen = Callable[[Float32Array], list[Float32Array]]
"""Takes images of shape ``(batch, h, w, c)``, returns each output with its batch."""


def freeze(model: keras.Model) -> RunFrozen:
    """Return the fastest way to run a model whose weights will not change any more."""
    plain = all(layer.compute_dtype == "float32" for layer in model.layers)
    if keras.backend.backend() != "tensorflow" or has_gpu() or not plain:
        return lambda images: _in_keras(model, images)
    return _Interpreters(_convert(model), len(os.sched_getaffinity(0))).run


def _in_keras(model: keras.Model, images: Float32Array) -> list[Float32Array]:
    outputs = model.predict_on_batch(images)
    if not isinstance(outputs, list):  # as Keras gives a single output, whatever was asked for
        outputs = [outputs]
    return [np.asarray(output, np.float32) for output in outputs]


class _Interpreters:
    """One interpreter a thread, each with its share of a batch."""

    def __init__(self, content: bytes, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - slow to import

        with captured_native_log():
            self._interpreters = [
                Interpreter(model_content=content, num_threads=1) for _ in range(threads)
            ]
            details = _details(self._interpreters[0])
            for interpreter in self._interpreters:
                interpreter.allocate_tensors()
        self._input, self._outputs = details
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)

    def run(self, images: Float32Array) -> list[Float32Array]:
        """Run a batch and return every output with the batch as first dimension."""
        shares = np.array_split(np.arange(len(images)), len(self._interpreters))
        futures = [
            self._pool.submit(self._run_share, interpreter, images[share])
            for interpreter, share in zip(self._interpreters, shares, strict=True)
            if len(share)
        ]
        parts = [future.result() for future in futures]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _run_share(self, interpreter: Any, images: Float32Array) -> list[Float32Array]:
        results: list[list[npt.NDArray[np.float32]]] = [[] for _ in self._outputs]
        for image in images:
            interpreter.set_tensor(self._input, image[np.newaxis])
            interpreter.invoke()
            for kept, index in zip(results, self._outputs, strict=True):
                kept.append(interpreter.get_tensor(index))
        return [np.concatenate(kept) for kept in results]


def _details(interpreter: Any) -> tuple[int, list[int]]:
    """Return the index of the input, and of the outputs in the model's order."""
    runner = interpreter.get_signature_runner()
    (input_detail,) = runner.get_input_details().values()
    outputs = runner.get_output_details()
    # The converter names them output_0, output_1, ... in the order of the Keras model.
    ordered = sorted(outputs, key=lambda name: int(name.rpartition("_")[2]))
    return input_detail["index"], [outputs[name]["index"] for name in ordered]


def _convert(model: keras.Model) -> bytes:
    import tensorflow as tf  # noqa: PLC0415 - only where TensorFlow is the backend

    # The converter goes through a Keras export, which prints every variable to stdout.
    quiet = contextlib.redirect_stdout(io.StringIO())
    with warnings.catch_warnings(), captured_native_log(), quiet:
        warnings.simplefilter("ignore")
        content: bytes = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return content
