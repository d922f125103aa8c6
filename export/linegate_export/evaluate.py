"""Measuring an artifact as the device will run it: same backends, same preprocessing, same rule."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from linegate_bundle.decide import Decision, decide, dequantize, probabilities
from linegate_bundle.manifest import (
    CLASS_MAP,
    LOGITS,
    Activation,
    ArtifactAccuracy,
    DecisionPolicy,
    Label,
    Role,
)
from linegate_bundle.preprocess import UInt8Array, encode
from linegate_export.conversion import Artifact
from linegate_export.pictures import Pictures
from linegate_export.policy import count_verdicts
from linegate_export.progress import bar
from linegate_report.statistics import agreement, area_under_roc, exact_interval
from linegate_runtime.backends import BACKENDS

Float64Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an artifact says about pictures.

    Attributes:
        artifact: the artifact, with the engine that ran it.
        logits: float64 ``(n, logits)``.
        probabilities: float64 ``(n, labels)``.
    """

    artifact: Artifact
    logits: Float64Array
    probabilities: Float64Array

    def decisions(self, labels: Sequence[Label], policy: DecisionPolicy) -> tuple[Decision, ...]:
        """Decide on each picture as the device does on a part of one frame."""
        return tuple(decide(row, labels, policy) for row in self.probabilities)

    def defect_probability(self, labels: Sequence[Label]) -> Float64Array:
        """Return the summed probability of the labels with the role defect, shape ``(n,)``."""
        defects = [place for place, label in enumerate(labels) if label.role is Role.DEFECT]
        result: Float64Array = self.probabilities[:, defects].sum(axis=1)
        return result


def evaluate(
    artifact: Artifact, pixels: UInt8Array, activation: Activation, title: str
) -> Evaluation:
    """Run an artifact over preprocessed pictures, one by one.

    Args:
        artifact: what to run; the backend for its format runs it, in one thread.
        pixels: uint8 ``(n, height, width, channels)``.
        activation: turns logits into probabilities.
        title: what the progress bar is called.

    Raises:
        EngineError: the engine is missing, refuses the model or gives what is not finite.
        BundleError: the model is not what its entry says.
    """
    entry = artifact.entry
    quantization = entry.output(LOGITS).quantization
    backend = BACKENDS.load(entry.format.value)(entry, artifact.content, threads=1)
    try:
        logits = [
            dequantize(backend.invoke(encode(picture, entry.input.dtype))[LOGITS], quantization)
            for picture in bar(pixels, title, len(pixels))
        ]
        engine = backend.engine
    finally:
        backend.close()
    return Evaluation(
        artifact=artifact.checked_with(engine),
        logits=np.stack(logits),
        probabilities=np.stack([probabilities(row, activation) for row in logits]),
    )


def class_maps(artifact: Artifact, pixels: UInt8Array) -> Float64Array | None:
    """Return the class maps of pictures, ``(n, height, width, logits)``; None if there are none.

    Args:
        artifact: what to run, in one thread.
        pixels: uint8 ``(n, height, width, channels)``.

    Raises:
        EngineError: the engine is missing, refuses the model or gives what is not finite.
    """
    entry = artifact.entry
    if CLASS_MAP not in {tensor.name for tensor in entry.outputs} or len(pixels) == 0:
        return None
    quantization = entry.output(CLASS_MAP).quantization
    backend = BACKENDS.load(entry.format.value)(entry, artifact.content, threads=1)
    try:
        found = [
            dequantize(backend.invoke(encode(picture, entry.input.dtype))[CLASS_MAP], quantization)
            for picture in pixels
        ]
    finally:
        backend.close()
    return np.stack(found)


@dataclasses.dataclass(frozen=True)
class Score:
    """An evaluation held against the truth.

    Attributes:
        evaluation: what the artifact said.
        decisions: what follows from it by the bundle's policy.
        accuracy: the figures for the manifest.
        right: whether each label is, ``(n,)``.
    """

    evaluation: Evaluation
    decisions: tuple[Decision, ...]
    accuracy: ArtifactAccuracy
    right: npt.NDArray[np.bool_]

    @property
    def correct(self) -> int:
        """How many labels are right."""
        return int(self.right.sum())

    @property
    def labels(self) -> tuple[str, ...]:
        """The label given to each picture."""
        return tuple(decision.label for decision in self.decisions)


def score(
    evaluation: Evaluation,
    pictures: Pictures,
    labels: Sequence[Label],
    policy: DecisionPolicy,
    reference: Evaluation,
) -> Score:
    """Hold an evaluation of the test part against the truth and against the float model.

    Args:
        evaluation: of the artifact.
        pictures: those that were evaluated.
        labels: the model's labels in order.
        policy: thresholds for accept and reject.
        reference: of the float model on the same pictures.
    """
    decisions = evaluation.decisions(labels, policy)
    given = [decision.label for decision in decisions]
    floats = [decision.label for decision in reference.decisions(labels, policy)]
    right = np.array(given) == np.array(pictures.labels)
    correct = int(right.sum())
    defective = pictures.defective(labels)
    defect_probability = evaluation.defect_probability(labels)
    counts = count_verdicts(defect_probability, defective, policy)
    return Score(
        evaluation=evaluation,
        decisions=decisions,
        right=right,
        accuracy=ArtifactAccuracy(
            artifact=evaluation.artifact.entry.file,
            accuracy=correct / len(given),
            accuracy_95=exact_interval(correct, len(given)),
            auc=area_under_roc(defect_probability, defective),
            escapes=counts.escapes,
            false_rejects=counts.false_rejects,
            unsure=counts.unsure,
            agreement_with_float=agreement(given, floats),
        ),
    )
