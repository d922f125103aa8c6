"""ONNX models, run by onnxruntime on the CPU."""

import importlib.util
from collections.abc import Sequence
from typing import Any, ClassVar

from linegate_bundle.errors import EngineError
from linegate_bundle.manifest import Engine, ModelEntry, ModelFormat
from linegate_runtime.backends.base import Backend, Tensor
from linegate_runtime.backends.checks import check_signature, check_tensor

_NUMPY_NAMES = {"tensor(int8)": "int8", "tensor(uint8)": "uint8", "tensor(float)": "float32"}
_ERRORS_ONLY = 3


class OnnxBackend(Backend):
    """An ``.onnx`` model in onnxruntime's CPU provider."""

    format: ClassVar[ModelFormat | None] = ModelFormat.ONNX

    def __init__(self, entry: ModelEntry, content: bytes, threads: int = 1) -> None:
        try:
            import onnxruntime  # noqa: PLC0415 - the vendor's library is loaded by its plug-in only
        except ModuleNotFoundError as error:
            raise EngineError(
                "the engine onnx needs onnxruntime: pip install 'linegate-runtime[onnx]'"
            ) from error
        self._entry = entry
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # On x86 without VNNI the fast int8 kernels add in 16 bits and saturate: other logits,
        # other decisions. This makes them exact there and changes nothing elsewhere.
        options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own classes share no base but Exception
            raise EngineError(
                f"onnxruntime refuses {entry.file}: {error}; run `linegate verify`"
            ) from error
        check_signature(entry, _shapes(session.get_inputs()), _shapes(session.get_outputs()))
        self._session: Any = session
        self._outputs = [tensor.name for tensor in entry.outputs]
        self._engine = Engine(name="onnxruntime", version=onnxruntime.__version__, kernel="cpu")

    @classmethod
    def installed(cls) -> bool:
        """See :meth:`Backend.installed`."""
        return importlib.util.find_spec("onnxruntime") is not None

    @property
    def engine(self) -> Engine:
        """Always the CPU provider."""
        return self._engine

    def invoke(self, tensor: Tensor, outputs: Sequence[str] | None = None) -> dict[str, Tensor]:
        """See :meth:`Backend.invoke`."""
        check_tensor(tensor, self._entry.input)
        if self._session is None:
            raise EngineError(f"{self._entry.file} is closed")
        try:
            names = self._outputs if outputs is None else outputs
            values = self._session.run(names, {self._entry.input.name: tensor})
        except Exception as error:  # its own classes share no base but Exception
            raise EngineError(f"{self._entry.file} failed: {error}") from error
        return dict(zip(names, values, strict=True))

    def close(self) -> None:
        """See :meth:`Backend.close`."""
        self._session = None


def _shapes(tensors: list[Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {
        tensor.name: (_NUMPY_NAMES.get(tensor.type, tensor.type), tuple(tensor.shape))
        for tensor in tensors
    }
