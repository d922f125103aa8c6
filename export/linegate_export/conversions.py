"""All conversions of one model, in the order in which they need each other."""

import dataclasses
import tempfile
from pathlib import Path

from linegate_bundle.manifest import Precision
from linegate_bundle.preprocess import UInt8Array
from linegate_bundle.run_folder import RunRecord
from linegate_export import onnx_float32, onnx_int8, tflite_float, tflite_float32
from linegate_export.conversion import Artifact
from linegate_export.graph import Deployable
from linegate_export.onnx_metadata import described
from linegate_export.progress import Steps
from linegate_export.quantization import ladder
from linegate_export.quantization.errors import OperatorError, measure_errors
from linegate_export.quantization.fidelity import Judge
from linegate_export.quantization.options import RepairOptions
from linegate_export.quantization.recipe import Attempt, Workshop
from linegate_export.saved_model import write_saved_model

STEPS = 2 + ladder.STEPS
"""How many steps :func:`convert_all` announces."""


@dataclasses.dataclass(frozen=True)
class Samples:
    """Pictures that int8 is made with; raw pixels, uint8 ``(n, height, width, channels)``.

    Attributes:
        ranges: what the ranges are taken from.
        held_out: others, on which int8 is held against float.
    """

    ranges: UInt8Array
    held_out: UInt8Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Making:
    """What to make, beside int8.

    Attributes:
        repair: when to repair int8.
        float_tflite: precisions of further TFLite models.
    """

    repair: RepairOptions = dataclasses.field(default_factory=RepairOptions)
    float_tflite: tuple[Precision, ...] = ()


@dataclasses.dataclass(frozen=True)
class Converted:
    """The model in every format, and what was tried for int8.

    Attributes:
        float32: ONNX, what all is measured against.
        tflite: int8.
        onnx: int8.
        further: those that were asked for.
        attempts: what was tried for int8, in order.
        errors: of int8 TFLite's operators, in order.
    """

    float32: Artifact
    tflite: Artifact
    onnx: Artifact
    further: tuple[Artifact, ...]
    attempts: tuple[Attempt, ...]
    errors: tuple[OperatorError, ...]


def convert_all(
    model: Deployable,
    samples: Samples,
    record: RunRecord,
    options: Making,
    steps: Steps,
) -> Converted:
    """Convert a model to float32 ONNX, int8 TFLite, int8 ONNX, and what else is asked for.

    Args:
        model: the trained model.
        samples: pictures to make int8 with.
        record: of the model's run.
        options: what to make.
        steps: told what is being done.

    Raises:
        RequirementError: the model cannot be exported.
        ConversionError: a converter did not do what was asked.
        EngineError: an engine is missing or fails.
    """
    steps("Converting to float32 ONNX, the reference")
    with tempfile.TemporaryDirectory(prefix="linegate-") as name:
        write_saved_model(model, Path(name))
        graph = tflite_float32.convert(model, Path(name))
    float32 = onnx_float32.convert(model, graph)
    judge = Judge(float32, samples.held_out, record.labels, record.activation)
    shop = Workshop(model, graph, samples.ranges, judge, steps.note)
    quantized = ladder.quantize(shop, options.repair, steps)
    recipe = quantized.recipe
    steps("Converting to int8 ONNX")
    onnx = onnx_int8.convert(model, quantized.artifact)
    return Converted(
        float32=described(float32, record),
        tflite=quantized.artifact,
        onnx=described(onnx, record),
        further=tuple(tflite_float.convert(model, one) for one in options.float_tflite),
        attempts=quantized.attempts,
        errors=measure_errors(model, recipe.tflite, quantized.artifact, samples.ranges),
    )
