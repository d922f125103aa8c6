"""How much an int8 model answers like the float one, on pictures that no range was taken from."""

from collections.abc import Sequence

import msgspec
import numpy as np

from linegate_bundle.decide import most_probable
from linegate_bundle.manifest import Activation, Label
from linegate_bundle.preprocess import UInt8Array
from linegate_export.conversion import Artifact
from linegate_export.evaluate import Evaluation, evaluate
from linegate_report.statistics import agreement


class Fidelity(msgspec.Struct, frozen=True, kw_only=True):
    """What two models have in common.

    Attributes:
        pictures: on which.
        agreement: share of the pictures that both give one label.
        error: root mean square difference of the logits, in standard deviations of the float
            model's. It is the finer measure: labels change on few pictures, and by luck.
    """

    pictures: int
    agreement: float
    error: float


class Judge:
    """Holds int8 models against the float one on the same pictures.

    Args:
        float32: the float model.
        pictures: raw pixels, uint8 ``(n, height, width, channels)``, at least one.
        labels: the model's labels in order.
        activation: of the model.
    """

    def __init__(
        self,
        float32: Artifact,
        pictures: UInt8Array,
        labels: Sequence[Label],
        activation: Activation,
    ) -> None:
        self._pictures = pictures
        self._labels = labels
        self._activation = activation
        self._reference = evaluate(float32, pictures, activation, "float32")

    def __call__(self, artifact: Artifact) -> Fidelity:
        """Measure one artifact."""
        found = evaluate(artifact, self._pictures, self._activation, "int8")
        expected = self._reference
        spread = float(expected.logits.std())
        error = float(np.sqrt(np.mean((found.logits - expected.logits) ** 2)))
        return Fidelity(
            pictures=len(self._pictures),
            agreement=agreement(self._given(found), self._given(expected)),
            error=error / spread if spread else error,
        )

    def _given(self, evaluation: Evaluation) -> list[str]:
        return [
            self._labels[most_probable(row, self._labels)].name for row in evaluation.probabilities
        ]
