"""Checks that every backend makes, so that all fail alike."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import BundleError, EngineError
from linegate_bundle.manifest import DType, ModelEntry, TensorSpec

_DTYPES = {dtype: np.dtype(dtype.value) for dtype in DType}
"""Made once: to compare a dtype with its name takes longer than all the rest."""


def check_tensor(tensor: npt.NDArray[Any], spec: TensorSpec) -> None:
    """Raise :class:`EngineError` unless an input has the shape and dtype of ``spec``."""
    if tensor.shape != spec.shape or tensor.dtype != _DTYPES[spec.dtype]:
        raise EngineError(
            f"expected an input {spec.name!r} of {spec.dtype.value} {spec.shape}, "
            f"got {tensor.dtype} {tensor.shape}"
        )


def check_signature(
    entry: ModelEntry,
    inputs: Mapping[str, tuple[str, tuple[int, ...]]],
    outputs: Mapping[str, tuple[str, tuple[int, ...]]],
) -> None:
    """Raise :class:`BundleError` unless a model file is what its entry says.

    Args:
        entry: the model as the manifest describes it.
        inputs: dtype and shape by signature name, as the engine reports them.
        outputs: the same for the outputs; more than the entry lists are allowed.
    """
    expected = {entry.input.name: (entry.input.dtype.value, entry.input.shape)}
    if dict(inputs) != expected:
        raise BundleError(f"{entry.file}: expected the inputs {expected}, got {dict(inputs)}")
    for spec in entry.outputs:
        if outputs.get(spec.name) != (spec.dtype.value, spec.shape):
            raise BundleError(
                f"{entry.file}: expected an output {spec.name!r} of {spec.dtype.value} "
                f"{spec.shape}, got {dict(outputs)}; the manifest is of another model"
            )
