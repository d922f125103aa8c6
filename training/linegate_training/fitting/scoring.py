"""How good a model is on a part of the split, from its logits."""

import dataclasses
import math

import keras
import numpy as np
import numpy.typing as npt
import sklearn.metrics
from scipy.special import expit, log_softmax, softmax

from linegate_training.fitting.batches import plain_batches
from linegate_training.fitting.sources import Float32Array, IntArray, Source
from linegate_training.options import Monitor

_BATCH = 64

Float64Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Scores:
    """What came out on one part.

    Attributes:
        loss: mean cross-entropy with the targets.
        accuracy: share of images whose most probable label is the true one.
        auc: area under the ROC curve of defective against good; 0.5 if one kind is missing.
    """

    loss: float
    accuracy: float
    auc: float

    def rank(self, monitor: Monitor) -> tuple[float, float]:
        """Return what is greater for better scores."""
        value = {
            Monitor.LOSS: -self.loss,
            Monitor.ACCURACY: self.accuracy,
            Monitor.AUC: self.auc,
        }[monitor]
        return value, -self.loss


def predict_logits(model: keras.Model, source: Source) -> Float32Array:
    """Run a model over all images of a source as they are, shape ``(images, outputs)``."""
    batches = [
        np.asarray(model.predict_on_batch(inputs), np.float32)
        for inputs in plain_batches(source, _BATCH)
    ]
    return np.concatenate(batches)


def score(
    logits: Float32Array, targets: Float32Array, labels: IntArray, defects: npt.NDArray[np.bool_]
) -> Scores:
    """Compare logits with the truth; logits that are not finite are as bad as can be.

    Args:
        logits: shape ``(images, outputs)``; one output speaks for the second of two labels.
        targets: what the loss compares with, same shape, each value from 0 to 1.
        labels: number of each image's true label.
        defects: for each label, whether it is a defect.
    """
    values = logits.astype(np.float64)
    if not np.isfinite(values).all():
        return Scores(loss=math.inf, accuracy=0.0, auc=0.5)
    if values.shape[1] == 1:
        # log(1 + exp(x)) - target * x, without overflow.
        losses = np.logaddexp(0, values) - targets * values
        probabilities = np.concatenate([1 - expit(values), expit(values)], axis=1)
    else:
        losses = -(targets * log_softmax(values, axis=1)).sum(axis=1)
        probabilities = softmax(values, axis=1)
    given = probabilities.argmax(axis=1)
    return Scores(
        loss=float(losses.mean()),
        accuracy=float((given == labels).mean()),
        auc=_area(probabilities[:, defects].sum(axis=1), defects[labels]),
    )


def _area(defect_probability: Float64Array, defective: npt.NDArray[np.bool_]) -> float:
    if defective.all() or not defective.any():
        return 0.5
    return float(sklearn.metrics.roc_auc_score(defective, defect_probability))
