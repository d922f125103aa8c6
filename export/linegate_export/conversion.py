"""What every conversion is: it requires, converts, ensures, and gives an :class:`Artifact`.

Each conversion stands in a file of its own. What it requires of its input is a
:class:`RequirementError` when it is not there, what it ensures about its output
a :class:`ConversionError`: the first is the model's fault, the second means that
the converter did not do what was asked, and no such file leaves the exporter.
"""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator

import msgspec

from linegate_bundle.errors import DataError, GateError
from linegate_bundle.manifest import (
    LOGITS,
    DType,
    Engine,
    ModelEntry,
    ModelFormat,
    Precision,
    Quantization,
    TensorSpec,
)
from linegate_bundle.native_log import captured_native_log

INPUT = "image"
"""Signature name of the only input of every exported model."""

NOT_RUN = Engine(name="none", version="0", kernel="none")
"""The engine of a model that nothing has run yet."""


class RequirementError(DataError):
    """The trained model or the pictures are not what a conversion requires."""


class ConversionError(GateError):
    """A converter gave something else than was asked for; no bundle was written."""


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A converted model.

    Attributes:
        entry: how the manifest describes it; the engine is ``NOT_RUN`` until it is evaluated.
        content: the bytes of the model file.
    """

    entry: ModelEntry
    content: bytes

    def checked_with(self, engine: Engine) -> "Artifact":
        """Return the same artifact with the engine that ran it."""
        return dataclasses.replace(self, entry=msgspec.structs.replace(self.entry, engine=engine))


def describe(
    format_: ModelFormat,
    precision: Precision,
    *,
    shape: tuple[int, int, int],
    logits: int,
    input_quantization: Quantization | None,
    output_quantization: Quantization | None,
    quantized: DType = DType.INT8,
) -> ModelEntry:
    """Return the entry of a model with one input and the output ``logits``.

    Args:
        format_: its file format.
        precision: its arithmetic.
        shape: ``(height, width, channels)`` of one picture.
        logits: how many values the output has.
        input_quantization: None if the input is float32.
        output_quantization: None if the output is float32.
        quantized: element type of input and output where they have a quantization.
    """
    return ModelEntry(
        file=f"model.{precision}.{format_}",
        format=format_,
        precision=precision,
        engine=NOT_RUN,
        input=_tensor(INPUT, (1, *shape), input_quantization, quantized),
        outputs=(_tensor(LOGITS, (1, logits), output_quantization, quantized),),
    )


@contextlib.contextmanager
def converting(what: str) -> Iterator[None]:
    """Keep a converter's noise out of the terminal; tell it if the converter fails.

    Raises:
        ConversionError: the block raised anything; what the converter printed is in the message.
    """
    log = None
    try:
        with warnings.catch_warnings(), captured_native_log() as log:
            # The converters themselves use calls that TensorFlow has marked as outdated.
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # converters raise anything
        printed = "" if log is None else "\n".join(log.text.splitlines()[-_LAST_LINES:])
        raise ConversionError(
            f"{what} failed: {type(error).__name__}: {error}\n{printed}".rstrip()
        ) from error


_LAST_LINES = 12


def _tensor(
    name: str, shape: tuple[int, ...], quantization: Quantization | None, quantized: DType
) -> TensorSpec:
    dtype = DType.FLOAT32 if quantization is None else quantized
    return TensorSpec(name=name, shape=shape, dtype=dtype, quantization=quantization)
