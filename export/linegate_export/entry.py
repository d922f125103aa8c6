"""How the manifest describes a model file."""

from collections.abc import Mapping

from linegate_bundle.manifest import (
    DType,
    Engine,
    ModelEntry,
    ModelFormat,
    Precision,
    Quantization,
    TensorSpec,
)
from linegate_export.conversion import INPUT
from linegate_export.graph import Deployable

NOT_RUN = Engine(name="none", version="0", kernel="none")
"""The engine of a model that nothing has run yet."""


def float_signature(model: Deployable) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape by name of what a float model takes and gives."""
    shapes = {INPUT: (1, *model.shape), **model.outputs}
    return {name: ("float32", shape) for name, shape in shapes.items()}


def describe(
    format_: ModelFormat,
    precision: Precision,
    *,
    shape: tuple[int, int, int],
    outputs: Mapping[str, tuple[int, ...]],
    quantizations: Mapping[str, Quantization | None],
    quantized: DType = DType.INT8,
) -> ModelEntry:
    """Return the entry of a model file.

    Args:
        format_: its file format.
        precision: its arithmetic.
        shape: ``(height, width, channels)`` of one picture.
        outputs: shape of each output by name.
        quantizations: of ``image`` and every output that has one, by name.
        quantized: element type of input and outputs where they have a quantization.
    """
    return ModelEntry(
        file=f"model.{precision}.{format_}",
        format=format_,
        precision=precision,
        engine=NOT_RUN,
        input=_tensor(INPUT, (1, *shape), quantizations.get(INPUT), quantized),
        outputs=tuple(
            _tensor(name, outputs[name], quantizations.get(name), quantized) for name in outputs
        ),
    )


def _tensor(
    name: str, shape: tuple[int, ...], quantization: Quantization | None, quantized: DType
) -> TensorSpec:
    dtype = DType.FLOAT32 if quantization is None else quantized
    return TensorSpec(name=name, shape=shape, dtype=dtype, quantization=quantization)
