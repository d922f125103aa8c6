"""What the trained float model says about one part of the split, computed once."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt

from linegate_bundle.decide import Decision, Float64Array, decide, dequantize, probabilities
from linegate_bundle.manifest import Label, Role
from linegate_bundle.preprocess import UInt8Array
from linegate_bundle.run_folder import Part, SplitRow
from linegate_report.statistics import BoolArray
from linegate_training.data.pixels import Pixels
from linegate_training.data.prepare import Prepared
from linegate_training.explain.keras_source import NO_THRESHOLDS
from linegate_training.fitting.backend import jit_compile
from linegate_training.networks.base import IMAGE, LOGITS, activation_for, cut_model

IntArray = npt.NDArray[np.int64]

_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A part of the split with what the model says about it.

    Attributes:
        labels: of the model, in order.
        rows: the pictures, in the order of the split.
        pixels: where their preprocessed pixels are.
        logits: float64 ``(n, logits)``.
        probabilities: float64 ``(n, labels)``.
        decisions: the label given to each; no thresholds stand behind their verdicts.
    """

    labels: tuple[Label, ...]
    rows: tuple[SplitRow, ...]
    pixels: Pixels
    logits: Float64Array
    probabilities: Float64Array
    decisions: tuple[Decision, ...]

    @property
    def names(self) -> list[str]:
        """Names of the labels, in order."""
        return [label.name for label in self.labels]

    @property
    def truth(self) -> list[str]:
        """The true label of each picture."""
        return [row.label for row in self.rows]

    @property
    def given(self) -> list[str]:
        """The label given to each picture."""
        return [decision.label for decision in self.decisions]

    @property
    def groups(self) -> list[str]:
        """The group of each picture."""
        return [row.group for row in self.rows]

    @property
    def right(self) -> BoolArray:
        """Whether the label given is the true one, shape ``(n,)``."""
        return np.array(
            [truth == given for truth, given in zip(self.truth, self.given, strict=True)], np.bool_
        )

    @property
    def targets(self) -> IntArray:
        """The true label's place among the labels, shape ``(n,)``."""
        places = {name: place for place, name in enumerate(self.names)}
        return np.array([places[row.label] for row in self.rows], np.int64)

    @property
    def defective(self) -> BoolArray:
        """Whether the true label has the role defect, shape ``(n,)``."""
        roles = np.array([label.role is Role.DEFECT for label in self.labels])
        result: BoolArray = roles[self.targets]
        return result

    @property
    def called_defective(self) -> BoolArray:
        """Whether the label given has the role defect, shape ``(n,)``."""
        roles = {label.name: label.role for label in self.labels}
        return np.array([roles[name] is Role.DEFECT for name in self.given])

    @property
    def defect_probability(self) -> Float64Array:
        """Sum over the labels with the role defect, shape ``(n,)``."""
        return np.array([decision.defect_probability for decision in self.decisions])

    def picture(self, place: int) -> UInt8Array:
        """Return the preprocessed pixels of one picture, ``(height, width, channels)``."""
        pixels: UInt8Array = self.pixels.array[self.pixels.rows[self.rows[place].sha256]]
        return pixels


def logit_model(model: keras.Model) -> keras.Model:
    """Return the part of a model from pixels to logits, ready to run; it shares the weights."""
    to_logits = cut_model(model, IMAGE, LOGITS)
    to_logits.compile(jit_compile=jit_compile())
    return to_logits


def evaluate_part(
    to_logits: keras.Model, prepared: Prepared, part: Part, labels: Sequence[Label]
) -> Evaluation:
    """Run a model over the pictures of one part, as they are.

    Args:
        to_logits: see :func:`logit_model`; one for all parts, as the first call takes long.
        prepared: pixels and split.
        part: which part.
        labels: of the model, in order.

    Raises:
        EngineError: a logit is not finite.
    """
    rows = tuple(row for row in prepared.rows if row.part is part)
    places = [prepared.pixels.rows[row.sha256] for row in rows]
    batches = []
    for start in range(0, len(places), _BATCH):
        pixels = prepared.pixels.array[places[start : start + _BATCH]].astype(np.float32)
        batches.append(to_logits.predict_on_batch(pixels))
    logits = np.stack([dequantize(row[np.newaxis], None) for row in np.concatenate(batches)])
    return from_logits(logits, rows, prepared.pixels, labels)


def from_logits(
    logits: Float64Array, rows: Sequence[SplitRow], pixels: Pixels, labels: Sequence[Label]
) -> Evaluation:
    """Make an evaluation of logits ``(n, logits)``, through the device's own rule."""
    activation = activation_for(len(labels))
    probability = np.stack([probabilities(row, activation) for row in logits])
    return Evaluation(
        labels=tuple(labels),
        rows=tuple(rows),
        pixels=pixels,
        logits=logits,
        probabilities=probability,
        decisions=tuple(decide(row, labels, NO_THRESHOLDS) for row in probability),
    )
