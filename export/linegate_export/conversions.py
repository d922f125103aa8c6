"""All conversions of one model, in the order in which they need each other."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from linegate_bundle.manifest import Activation
from linegate_bundle.preprocess import UInt8Array
from linegate_export import bias_correction, onnx_float32, onnx_int8, tflite_float32, tflite_int8
from linegate_export.conversion import Artifact
from linegate_export.evaluate import evaluate
from linegate_export.graph import Deployable
from linegate_export.progress import Steps
from linegate_export.saved_model import write_saved_model

STEPS = 4
"""How many steps :func:`convert_all` announces."""

_COMPARED_PICTURES = 64


@dataclasses.dataclass(frozen=True)
class Converted:
    """The model in every format."""

    float32: Artifact
    tflite: Artifact
    onnx: Artifact


def convert_all(
    model: Deployable, pictures: UInt8Array, activation: Activation, steps: Steps
) -> Converted:
    """Convert a model to float32 ONNX, int8 TFLite and int8 ONNX.

    Args:
        model: the trained model.
        pictures: representative raw pixels of the train part, uint8
            ``(n, height, width, channels)``.
        activation: of the model.
        steps: told what is being done.

    Raises:
        RequirementError: the model cannot be exported.
        ConversionError: a converter did not do what was asked.
        EngineError: an engine is missing or fails.
    """
    with tempfile.TemporaryDirectory(prefix="linegate-") as name:
        saved = Path(name)
        steps("Converting to float32 ONNX, the reference")
        write_saved_model(model, saved)
        float_tflite = tflite_float32.convert(model, saved)
        float32 = onnx_float32.convert(model, float_tflite)
        steps(f"Converting to int8 TFLite with {len(pictures)} representative pictures")
        plain = tflite_int8.convert(model, saved, pictures)
    steps("Correcting the biases of int8 TFLite")
    corrected = bias_correction.correct(plain, float_tflite, pictures, model.normalization)
    before, after = _errors(float32, (plain, corrected), pictures, activation)
    steps.note(
        f"root mean square error of the logits: {before:.3g} before, {after:.3g} after"
        + ("" if after < before else "; left as it was")
    )
    tflite = corrected if after < before else plain
    steps("Converting to int8 ONNX")
    return Converted(float32, tflite, onnx_int8.convert(model, tflite))


def _errors(
    float32: Artifact,
    candidates: tuple[Artifact, Artifact],
    pictures: UInt8Array,
    activation: Activation,
) -> tuple[float, float]:
    """Return how far the logits are from those of the float model, root mean square."""
    compared = pictures[:_COMPARED_PICTURES]
    expected = evaluate(float32, compared, activation, "float32").logits
    before, after = (
        float(
            np.sqrt(np.mean((evaluate(each, compared, activation, "int8").logits - expected) ** 2))
        )
        for each in candidates
    )
    return before, after
