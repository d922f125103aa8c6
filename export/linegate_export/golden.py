"""Golden frames: pictures inside the bundle with the logits that each model must give.

``linegate verify`` runs them on the device. A frame is stored without loss, so its
pixels are the same everywhere, and the expected logits are those of the stored
picture, measured with the engine that the entry names. How near another machine
must come depends on the engine:

* int8 TFLite: one step of the output. The same kernels were bit-identical on x86
  and ARM. Others are not: XNNPACK and the interpreter's own differ by some steps, so the
  answers of both are stored, and a device is held against those of its kernel.
* int8 ONNX: onnxruntime computes in integers where it has kernels for it, else in float,
  and may differ between processors as much as from TFLite. So the allowance is the
  largest difference between the two engines on the whole test part, and at least four steps.
* float32: a thousandth of the largest logit, far above rounding, far below a fault.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from linegate_bundle.decide import most_probable
from linegate_bundle.images import decode_image, encode_png
from linegate_bundle.manifest import (
    LOGITS,
    Activation,
    DecisionPolicy,
    GoldenFrame,
    GoldenOutput,
    Label,
    ModelEntry,
    ModelFormat,
    Precision,
    PreprocessSpec,
)
from linegate_bundle.preprocess import Preprocessor, UInt8Array
from linegate_bundle.run_folder import SplitRow
from linegate_export.conversion import Artifact
from linegate_export.evaluate import Evaluation, evaluate
from linegate_export.graph import Normalization
from linegate_export.pictures import read_checked
from linegate_export.quantization.probe import Probe
from linegate_export.tflite_file import read_tflite
from linegate_report.reduce import reduced

Float64Array = npt.NDArray[np.float64]

_FRAMES = 10
_HARDEST = 2
_FEWEST_BORDERLINE = 4
_MOST_FRAMES = 64
_LARGEST_SIDE = 640
_SAME_KERNEL_STEPS = 1
_FEWEST_OTHER_PROCESSOR_STEPS = 4
_FLOAT_SHARE = 1e-3
_SMALLEST_PROBABILITY = 1e-12


@dataclasses.dataclass(frozen=True)
class Golden:
    """Golden frames as the manifest lists them, and their pictures by member name."""

    frames: tuple[GoldenFrame, ...]
    members: dict[str, bytes]


def choose_frames(
    probabilities: Float64Array,
    defect_probability: Float64Array,
    truth: Sequence[int],
    labels: Sequence[Label],
    policy: DecisionPolicy,
) -> list[int]:
    """Choose the clearest picture of every label, the hardest, those nearest to either threshold.

    The hardest are those that are wrong with the greatest certainty.

    Args:
        probabilities: shape ``(n, labels)``.
        defect_probability: shape ``(n,)``.
        truth: index of each picture's true label, length n.
        labels: of the model, in order.
        policy: the distance to its thresholds is taken in log-odds.

    Returns:
        About ten different indices, sorted; more where there are many labels.
    """
    true = np.asarray(truth)
    chosen: list[int] = []
    given = np.array([most_probable(row, labels) for row in probabilities])
    for label in sorted(set(truth)):
        own = np.flatnonzero(true == label)
        chosen.append(int(own[np.argmax(probabilities[own, label])]))
    wrong = np.flatnonzero(given != true)
    surest = wrong[np.argsort(-probabilities[wrong, given[wrong]], kind="stable")]
    chosen += [int(index) for index in surest[:_HARDEST] if int(index) not in chosen]
    wanted = min(_MOST_FRAMES, max(_FRAMES, len(chosen) + _FEWEST_BORDERLINE))
    thresholds = np.array([policy.accept_at_most, policy.reject_at_least])
    margins = np.abs(_log_odds(defect_probability)[:, None] - _log_odds(thresholds))
    # In turns, so that both thresholds are covered.
    for index in np.argsort(margins, axis=0, kind="stable").flatten():
        if len(chosen) >= wanted:
            break
        if int(index) not in chosen:
            chosen.append(int(index))
    return sorted(chosen[:wanted])


def make_golden(
    rows: Sequence[SplitRow],
    folder: Path,
    spec: PreprocessSpec,
    activation: Activation,
    artifacts: Sequence[tuple[Artifact, float]],
    *,
    normalization: Normalization,
) -> Golden:
    """Store pictures and run every artifact on them as stored.

    Args:
        rows: the chosen pictures of the test part.
        folder: the data folder that their paths are relative to.
        spec: preprocessing of the models.
        activation: of the models.
        artifacts: each with the tolerance of its logits, see :func:`tolerance`.
        normalization: of the models.
    """
    members = {
        f"golden/{index:03d}.png": encode_picture(read_checked(row, folder))
        for index, row in enumerate(rows)
    }
    preprocess = Preprocessor(spec)
    pixels = np.stack([preprocess(decode_image(content)) for content in members.values()])
    evaluations = [
        (evaluation, allowed)
        for artifact, allowed in artifacts
        for evaluation in _with_every_kernel(artifact, pixels, activation, normalization)
    ]
    frames = tuple(
        GoldenFrame(
            file=file,
            label=row.label,
            outputs=tuple(
                _output(evaluation, index, allowed) for evaluation, allowed in evaluations
            ),
        )
        for index, (file, row) in enumerate(zip(members, rows, strict=True))
    )
    return Golden(frames, members)


def _with_every_kernel(
    artifact: Artifact, pixels: UInt8Array, activation: Activation, normalization: Normalization
) -> list[Evaluation]:
    """Run an artifact with the engine's usual kernels, and int8 TFLite with its own too."""
    evaluation = evaluate(artifact, pixels, activation, f"golden {artifact.entry.file}")
    engine = evaluation.artifact.entry.engine
    entry = artifact.entry
    if (entry.format, entry.precision) != (ModelFormat.TFLITE, Precision.INT8):
        return [evaluation]
    if engine.kernel == BUILTIN:
        return [evaluation]
    probe = Probe(artifact.content, normalization)
    output = read_tflite(artifact.content).outputs[LOGITS]
    logits = []
    for picture in pixels:
        probe.run(picture)
        logits.append(probe.values(output)[0].astype(np.float64))
    own = msgspec.structs.replace(engine, kernel=BUILTIN)
    return [
        evaluation,
        dataclasses.replace(
            evaluation, artifact=artifact.checked_with(own), logits=np.stack(logits)
        ),
    ]


BUILTIN = "builtin"
"""What the TFLite backend calls the interpreter's own kernels."""


def tolerance(entry: ModelEntry, engine_spread: float, largest_logit: float) -> float:
    """Return how much a logit of a golden frame may differ on another machine.

    Args:
        entry: the model.
        engine_spread: largest difference of a logit between int8 TFLite and int8
            ONNX on the test part.
        largest_logit: largest absolute float logit on the test part.
    """
    quantization = entry.output(LOGITS).quantization
    if quantization is None:
        return _FLOAT_SHARE * max(1.0, largest_logit)
    if entry.format is ModelFormat.TFLITE:
        steps = _SAME_KERNEL_STEPS
    else:
        steps = max(_FEWEST_OTHER_PROCESSOR_STEPS, math.ceil(engine_spread / quantization.scale))
    # Stored values are whole steps; the half one only takes up rounding of the product.
    return (steps + 0.5) * quantization.scale


def encode_picture(frame: UInt8Array) -> bytes:
    """Encode a BGR picture ``(height, width, 3)`` as PNG, reduced to at most 640 pixels a side.

    A grey one is stored as grey; decoding gives three equal channels again.
    """
    picture = reduced(frame, _LARGEST_SIDE)
    if (picture == picture[..., :1]).all():
        picture = picture[..., 0]
    return encode_png(picture, 9)


def _output(evaluation: Evaluation, index: int, allowed: float) -> GoldenOutput:
    entry = evaluation.artifact.entry
    return GoldenOutput(
        file=entry.file,
        engine=entry.engine,
        logits=tuple(map(float, evaluation.logits[index])),
        tolerance=allowed,
    )


def _log_odds(probability: Float64Array) -> Float64Array:
    clipped = np.clip(probability, _SMALLEST_PROBABILITY, 1.0 - _SMALLEST_PROBABILITY)
    result: Float64Array = np.log(clipped) - np.log1p(-clipped)
    return result
