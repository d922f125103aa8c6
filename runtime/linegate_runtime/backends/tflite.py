"""TensorFlow Lite models, run by ai-edge-litert or else by tflite-runtime."""

import functools
import importlib
import importlib.util
import logging
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from linegate_bundle.errors import EngineError
from linegate_bundle.manifest import Engine, ModelEntry, ModelFormat, Precision
from linegate_bundle.native_log import NativeLog, captured_native_log
from linegate_runtime.backends.base import Backend, Tensor
from linegate_runtime.backends.checks import check_signature, check_tensor
from linegate_runtime.distributions import find_versions

_log = logging.getLogger(__name__)

_PACKAGES = ("ai-edge-litert", "tflite-runtime")
"""Distributions that hold an interpreter, the better first."""


class TfliteBackend(Backend):
    """A ``.tflite`` model in the interpreter of ai-edge-litert or tflite-runtime."""

    format: ClassVar[ModelFormat | None] = ModelFormat.TFLITE

    def __init__(self, entry: ModelEntry, content: bytes, threads: int = 1) -> None:
        self._entry = entry
        package, module = _import_interpreter()
        if package == "tflite-runtime" and entry.precision is Precision.INT8:
            _log.warning(
                "tflite-runtime runs int8 without its fast kernels (about 20 times slower than "
                "ai-edge-litert on x86); install ai-edge-litert where the system has it"
            )
        log = NativeLog()
        try:
            with captured_native_log() as log:
                # From memory: a file that is replaced while it is mapped kills the process.
                interpreter = module.Interpreter(model_content=content, num_threads=threads)
                inputs, outputs = _signature(interpreter)
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise EngineError(
                " ".join(f"{package} refuses {entry.file}: {error} {log.text}".split())
                + "; run `linegate verify`"
            ) from error
        _log.debug("%s: %s", package, log.text)
        check_signature(entry, _shapes(inputs), _shapes(outputs))
        self._interpreter: Any = interpreter
        self._open_more = functools.partial(
            module.Interpreter, model_content=content, num_threads=threads
        )
        self._batched: tuple[int, Any] = (0, None)
        self._input_index = inputs[entry.input.name]["index"]
        self._output_indices = {
            tensor.name: outputs[tensor.name]["index"] for tensor in entry.outputs
        }
        self._engine = Engine(
            name=package,
            version=find_versions([package]).get(package, "unknown"),
            kernel="xnnpack" if _has_delegate(interpreter) else "builtin",
        )

    @classmethod
    def installed(cls) -> bool:
        """See :meth:`Backend.installed`."""
        modules = [package.replace("-", "_") for package in _PACKAGES]
        return any(importlib.util.find_spec(module) is not None for module in modules)

    @property
    def engine(self) -> Engine:
        """The kernel is ``xnnpack`` or ``builtin``, as the interpreter itself reports."""
        return self._engine

    def invoke(self, tensor: Tensor, outputs: Sequence[str] | None = None) -> dict[str, Tensor]:
        """See :meth:`Backend.invoke`."""
        check_tensor(tensor, self._entry.input)
        interpreter = self._interpreter
        if interpreter is None:
            raise EngineError(f"{self._entry.file} is closed")
        try:
            interpreter.set_tensor(self._input_index, tensor)
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"{self._entry.file} failed: {error}") from error
        names = self._output_indices if outputs is None else outputs
        return {name: interpreter.get_tensor(self._output_indices[name]) for name in names}

    def invoke_batch(self, tensors: Tensor, outputs: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`Backend.invoke_batch`; in one pass where the graph can be resized."""
        if self._interpreter is None:
            raise EngineError(f"{self._entry.file} is closed")
        if self._batched[0] != len(tensors):
            self._batched = (len(tensors), self._resized(tensors.shape))
        interpreter = self._batched[1]
        if interpreter is None:
            return super().invoke_batch(tensors, outputs)
        check_tensor(tensors[:1], self._entry.input)
        try:
            interpreter.set_tensor(self._input_index, tensors)
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"{self._entry.file} failed: {error}") from error
        return {name: interpreter.get_tensor(self._output_indices[name]) for name in outputs}

    def _resized(self, shape: tuple[int, ...]) -> Any:
        """Return an interpreter for a whole batch; None if the graph has its shape fixed."""
        try:
            with captured_native_log():
                interpreter = self._open_more()
                interpreter.resize_tensor_input(self._input_index, shape, strict=False)
                interpreter.allocate_tensors()
                interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            _log.info("%s takes its inputs one by one: %s", self._entry.file, error)
            return None
        batches = {
            interpreter.get_tensor(index).shape[0] for index in self._output_indices.values()
        }
        return interpreter if batches == {shape[0]} else None

    def close(self) -> None:
        """See :meth:`Backend.close`."""
        self._interpreter = None
        self._batched = (0, None)


def _import_interpreter() -> tuple[str, Any]:
    for package in _PACKAGES:
        try:
            return package, importlib.import_module(package.replace("-", "_") + ".interpreter")
        except ImportError as error:
            reason = error
            # A package that is there but broken must not be passed over in silence.
            if not isinstance(error, ModuleNotFoundError):
                raise EngineError(f"{package} is installed but cannot start: {error}") from error
    raise EngineError(
        "the engine tflite needs ai-edge-litert (pip install 'linegate-runtime[litert]') or, on "
        f"older systems, tflite-runtime (pip install 'linegate-runtime[tflite-runtime]'): {reason}"
    ) from reason


def _signature(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        raise ValueError(f"expected a model with one signature, got {sorted(signatures)}.")
    # The runner lets go of its tensors only when it is gone, so it must not outlive this call.
    runner = interpreter.get_signature_runner(next(iter(signatures)))
    return dict(runner.get_input_details()), dict(runner.get_output_details())


def _shapes(details: dict[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {
        name: (np.dtype(tensor["dtype"]).name, tuple(int(size) for size in tensor["shape"]))
        for name, tensor in details.items()
    }


def _has_delegate(interpreter: Any) -> bool:
    # The only way to ask: no public call tells whether the XNNPACK delegate took the graph.
    return any(operator["op_name"] == "DELEGATE" for operator in interpreter._get_ops_details())  # noqa: SLF001
