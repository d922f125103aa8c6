"""A bundle's model, ready to turn frames into probabilities."""

import dataclasses
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from linegate_bundle.bundle import Bundle
from linegate_bundle.decide import Float64Array, dequantize, probabilities
from linegate_bundle.manifest import (
    CLASS_MAP,
    LOGITS,
    Engine,
    Manifest,
    ModelEntry,
    Precision,
)
from linegate_bundle.preprocess import Preprocessor, UInt8Array, encode
from linegate_runtime.backends import BACKENDS, Backend
from linegate_runtime.backends.base import Tensor

DEFAULT_ENGINE = "tflite"


@dataclasses.dataclass(frozen=True)
class Seen:
    """What one run of the model says about a frame.

    Attributes:
        probabilities: shape ``(labels,)``.
        class_map: the logits at every place, shape ``(height, width, logits)``; None if the
            model has none.
    """

    probabilities: Float64Array
    class_map: Float64Array | None


class Model:
    """Preprocessing, engine and activation of one bundle; not safe to share by threads.

    Attributes:
        manifest: the bundle's manifest.
        entry: the model file in use.
    """

    def __init__(self, manifest: Manifest, entry: ModelEntry, backend: Backend) -> None:
        self.manifest = manifest
        self.entry = entry
        self._backend = backend
        self._preprocess = Preprocessor(manifest.preprocess)
        self._logits = entry.output(LOGITS)

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        engine: str = DEFAULT_ENGINE,
        threads: int = 1,
        precision: Precision = Precision.INT8,
    ) -> Self:
        """Open the bundle's model that ``engine`` runs.

        Args:
            bundle: an open bundle; it may be closed afterwards.
            engine: name of a registered backend.
            threads: threads that one inference may use.
            precision: which of the bundle's models.

        Raises:
            ConfigError: no such engine.
            BundleError: the bundle holds no model for the engine.
            EngineError: the engine is not installed or refuses the model.
        """
        backend_class = BACKENDS.load(engine)
        manifest = bundle.manifest
        entry = (
            manifest.models[0]
            if backend_class.format is None
            else manifest.model(backend_class.format, precision)
        )
        return cls(manifest, entry, backend_class(entry, bundle.read(entry.file), threads))

    @property
    def engine(self) -> Engine:
        """The engine that runs the model."""
        return self._backend.engine

    def logits(self, frame: UInt8Array) -> Float64Array:
        """Return the logits of a BGR uint8 frame, shape ``(1,)`` or ``(labels,)``."""
        return dequantize(self._invoke(frame)[LOGITS], self._logits.quantization)

    def outputs(self, frame: UInt8Array) -> dict[str, Float64Array]:
        """Return all that one run gives for a BGR uint8 frame, as real numbers by name.

        ``logits``, and where the model has them ``class_map``, the logits at every place, shape
        ``(height, width, logits)``, and ``embedding``, the pooled features.
        """
        given = self._invoke(frame)
        return {
            tensor.name: dequantize(given[tensor.name], tensor.quantization)
            for tensor in self.entry.outputs
        }

    def probabilities(self, frame: UInt8Array) -> Float64Array:
        """Return the probabilities of a BGR uint8 frame, shape ``(labels,)``.

        Raises:
            DataError: the frame has another shape or dtype.
            EngineError: the engine failed or gave something that is not finite.
        """
        return probabilities(self.logits(frame), self.manifest.activation)

    def see(self, frame: UInt8Array) -> Seen:
        """Return probabilities and class map of a BGR uint8 frame, see :meth:`probabilities`."""
        given = self.outputs(frame)
        return Seen(probabilities(given[LOGITS], self.manifest.activation), given.get(CLASS_MAP))

    def _invoke(self, frame: UInt8Array) -> Mapping[str, Tensor]:
        return self._backend.invoke(encode(self._preprocess(frame), self.entry.input.dtype))

    def close(self) -> None:
        """Free the model."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
