"""A bundle's model, ready to turn frames into probabilities."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from linegate_bundle.bundle import Bundle
from linegate_bundle.decide import Float64Array, dequantize, interpret
from linegate_bundle.manifest import (
    CLASS_MAP,
    LOGITS,
    DType,
    Engine,
    Manifest,
    ModelEntry,
    Precision,
    Quantization,
)
from linegate_bundle.preprocess import Preprocessor, UInt8Array, encode
from linegate_runtime.backends import BACKENDS, Backend
from linegate_runtime.backends.base import Tensor
from linegate_runtime.engine_names import DEFAULT_ENGINE


class ClassMap(msgspec.Struct, frozen=True):
    """The logits at every place, as the engine gave them; few are ever looked at.

    Attributes:
        stored: shape ``(1, height, width, logits)``.
        quantization: of the output.
    """

    stored: Tensor
    quantization: Quantization | None

    def logits(self) -> Float64Array:
        """Return the real numbers, shape ``(height, width, logits)``."""
        return dequantize(self.stored, self.quantization)


class Seen(msgspec.Struct, frozen=True):
    """What one run of the model says about a frame.

    Attributes:
        probabilities: one a label.
        class_map: None if the model has none or it was not asked for.
    """

    probabilities: tuple[float, ...]
    class_map: ClassMap | None = None


class Model:
    """Preprocessing, engine and activation of one bundle; not safe to share by threads.

    Its buffers stay, so that a frame takes no new memory but that of the small outputs.

    Args:
        manifest: of the bundle.
        entry: the model file in use.
        backend: the same, open.
        batch: how many frames :meth:`see_all` takes in one pass; other numbers go one by one.

    Attributes:
        manifest: the bundle's manifest.
        entry: the model file in use.
    """

    def __init__(
        self, manifest: Manifest, entry: ModelEntry, backend: Backend, batch: int = 1
    ) -> None:
        self.manifest = manifest
        self.entry = entry
        self._backend = backend
        self._preprocess = Preprocessor(manifest.preprocess)
        self._quantization = {tensor.name: tensor.quantization for tensor in entry.outputs}
        self._tensor = np.empty(entry.input.shape, entry.input.dtype.value)
        # Bytes are encoded where they lie: less memory to touch while the caches are cold.
        self._pixels: UInt8Array = (
            np.empty(manifest.preprocess.shape, np.uint8)
            if entry.input.dtype is DType.FLOAT32
            else self._tensor[0].view(np.uint8)
        )
        self._batch = batch
        self._tensors = np.empty((batch, *entry.input.shape[1:]), entry.input.dtype.value)

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        engine: str = DEFAULT_ENGINE,
        threads: int = 1,
        precision: Precision = Precision.INT8,
        batch: int = 1,
    ) -> Self:
        """Open the bundle's model that ``engine`` runs.

        Args:
            bundle: an open bundle; it may be closed afterwards.
            engine: name of a registered backend.
            threads: threads that one inference may use.
            precision: which of the bundle's models.
            batch: how many frames of one moment there usually are.

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
        backend = backend_class(entry, bundle.read(entry.file), threads)
        return cls(manifest, entry, backend, batch)

    @property
    def engine(self) -> Engine:
        """The engine that runs the model."""
        return self._backend.engine

    @property
    def has_class_map(self) -> bool:
        """Whether the model gives one."""
        return CLASS_MAP in self._quantization

    def see(self, frame: UInt8Array, *, with_map: bool = False) -> Seen:
        """Run the model on a frame.

        Args:
            frame: BGR uint8 of shape ``(height, width, 3)``.
            with_map: give the class map too, if the model has one.

        Raises:
            DataError: the frame has another shape or dtype.
            EngineError: the engine failed or gave something that is not finite.
        """
        names = (LOGITS, CLASS_MAP) if with_map and self.has_class_map else (LOGITS,)
        return self.interpret(self._invoke(frame, names))

    def see_all(self, frames: Sequence[UInt8Array], *, with_map: bool = False) -> list[Seen]:
        """Run the model on several frames, see :meth:`see`; in one pass if it was opened so."""
        if len(frames) != self._batch or self._batch == 1:
            return [self.see(frame, with_map=with_map) for frame in frames]
        names = (LOGITS, CLASS_MAP) if with_map and self.has_class_map else (LOGITS,)
        for number, frame in enumerate(frames):
            np.copyto(self._tensors[number], self.prepare(frame)[0])
        given = self._backend.invoke_batch(self._tensors, names)
        return [
            self.interpret({name: stored[number : number + 1] for name, stored in given.items()})
            for number in range(self._batch)
        ]

    def probabilities(self, frame: UInt8Array) -> tuple[float, ...]:
        """Return the probabilities of a frame, one a label, see :meth:`see`."""
        return self.see(frame).probabilities

    def logits(self, frame: UInt8Array) -> Float64Array:
        """Return the logits of a BGR uint8 frame, shape ``(1,)`` or ``(labels,)``."""
        given = self._invoke(frame, (LOGITS,))
        return dequantize(given[LOGITS], self._quantization[LOGITS])

    def outputs(self, frame: UInt8Array) -> dict[str, Float64Array]:
        """Return all that one run gives for a BGR uint8 frame, as real numbers by name.

        ``logits``, and where the model has them ``class_map``, the logits at every place, shape
        ``(height, width, logits)``, and ``embedding``, the pooled features.
        """
        given = self._invoke(frame, tuple(self._quantization))
        return {
            name: dequantize(stored, self._quantization[name]) for name, stored in given.items()
        }

    def prepare(self, frame: UInt8Array) -> Tensor:
        """Return the model's input for a BGR uint8 frame; valid until the next call."""
        return encode(self._preprocess(frame, self._pixels), self.entry.input.dtype, self._tensor)

    def invoke(self, tensor: Tensor, outputs: tuple[str, ...]) -> dict[str, Tensor]:
        """Run the engine on what :meth:`prepare` gave; :meth:`see` does all of it."""
        return self._backend.invoke(tensor, outputs)

    def _invoke(self, frame: UInt8Array, outputs: tuple[str, ...]) -> dict[str, Tensor]:
        return self._backend.invoke(self.prepare(frame), outputs)

    def interpret(self, given: Mapping[str, Tensor]) -> Seen:
        """Turn what :meth:`invoke` gave into what it means."""
        activation = self.manifest.activation
        probabilities = interpret(given[LOGITS], self._quantization[LOGITS], activation)
        class_map = None
        if CLASS_MAP in given:
            class_map = ClassMap(given[CLASS_MAP], self._quantization[CLASS_MAP])
        return Seen(probabilities, class_map)

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
