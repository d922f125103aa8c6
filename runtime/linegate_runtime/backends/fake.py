"""An engine without a model, for tests and for trying out a line."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from linegate_bundle.decide import Float64Array
from linegate_bundle.errors import EngineError
from linegate_bundle.manifest import (
    LOGITS,
    DType,
    Engine,
    ModelEntry,
    ModelFormat,
    TensorSpec,
)
from linegate_runtime.backends.base import Backend, Tensor
from linegate_runtime.backends.checks import check_tensor

_LOGIT_SPAN = 12.0
"""Difference between the last label's logit on a white and on a black picture."""


class FakeBackend(Backend):
    """Answers from the mean brightness: the brighter, the more the last label.

    It opens any entry and never looks at the content. The logit of the last label
    runs from -6 on a black input to 6 on a white one; all others are its negative.
    Outputs beside the logits are zero.
    """

    format: ClassVar[ModelFormat | None] = None

    def __init__(self, entry: ModelEntry, content: bytes, threads: int = 1) -> None:
        del content, threads
        self._entry = entry
        self._logits = entry.output(LOGITS)
        self._closed = False

    @classmethod
    def installed(cls) -> bool:
        """It always is."""
        return True

    @property
    def engine(self) -> Engine:
        """Always the same."""
        return Engine(name="fake", version="1.0.0", kernel="mean-brightness")

    def invoke(self, tensor: Tensor, outputs: Sequence[str] | None = None) -> dict[str, Tensor]:
        """See :meth:`Backend.invoke`."""
        check_tensor(tensor, self._entry.input)
        if self._closed:
            raise EngineError(f"{self._entry.file} is closed")
        offset = 128 if self._entry.input.dtype is DType.INT8 else 0
        brightness = (float(tensor.mean()) + offset) / 255
        logits = np.full(self._logits.shape, (0.5 - brightness) * _LOGIT_SPAN)
        logits[..., -1] = (brightness - 0.5) * _LOGIT_SPAN
        return {
            one.name: _stored(logits if one.name == LOGITS else np.zeros(one.shape), one)
            for one in self._entry.outputs
            if outputs is None or one.name in outputs
        }

    def close(self) -> None:
        """See :meth:`Backend.close`."""
        self._closed = True


def _stored(values: Float64Array, spec: TensorSpec) -> Tensor:
    """Return real values as an engine would give them."""
    if spec.quantization is None:
        return values.astype(spec.dtype.value)
    steps = np.round(values / spec.quantization.scale) + spec.quantization.zero_point
    limits = np.iinfo(spec.dtype.value)
    return np.clip(steps, limits.min, limits.max).astype(spec.dtype.value)
