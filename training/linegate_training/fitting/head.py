"""The head on frozen features: a convex problem, solved exactly instead of step by step."""

import dataclasses
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from linegate_training.fitting.sources import Float32Array, IntArray

_STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""Factors of the squared weights beside the mean loss; the validation part chooses."""
_MAXIMUM_ITERATIONS = 300


@dataclasses.dataclass(frozen=True)
class Samples:
    """Features with their labels.

    Attributes:
        features: float32 of shape ``(samples, features)``.
        labels: number of the label, shape ``(samples,)``.
        weights: how much each sample counts, shape ``(samples,)``.
    """

    features: Float32Array
    labels: IntArray
    weights: Float32Array


@dataclasses.dataclass(frozen=True)
class LinearHead:
    """Weights of a linear head and how it did on the validation part.

    Attributes:
        kernel: float32 of shape ``(features, outputs)``; one output for two labels.
        bias: float32 of shape ``(outputs,)``.
        strength: the regularization that was best.
        loss: cross-entropy on the train part.
        accuracy: on the train part.
        validation_loss: cross-entropy on the validation part.
        validation_accuracy: on the validation part.
    """

    kernel: Float32Array
    bias: Float32Array
    strength: float
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float


def fit_head(train: Samples, validation: Samples) -> LinearHead:
    """Fit logistic regressions of several strengths and return the best on validation."""
    fits = [_fit(train, validation, strength) for strength in _STRENGTHS]
    return min(fits, key=lambda fit: fit.validation_loss)


def _fit(train: Samples, validation: Samples, strength: float) -> LinearHead:
    # scikit-learn minimizes C * sum(weight * loss) + squared weights / 2.
    model = LogisticRegression(
        C=1 / (2 * strength * float(train.weights.sum())), max_iter=_MAXIMUM_ITERATIONS
    )
    with warnings.catch_warnings():
        # Not quite at the minimum is good enough: fine-tuning goes on from there.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train.features, train.labels, train.weights)
    loss, accuracy = _score(model, train)
    validation_loss, validation_accuracy = _score(model, validation)
    return LinearHead(
        kernel=np.ascontiguousarray(model.coef_.T, np.float32),
        bias=np.asarray(model.intercept_, np.float32),
        strength=strength,
        loss=loss,
        accuracy=accuracy,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
    )


def _score(model: LogisticRegression, samples: Samples) -> tuple[float, float]:
    probabilities: npt.NDArray[Any] = model.predict_proba(samples.features)
    loss = log_loss(
        samples.labels,
        probabilities,
        sample_weight=samples.weights,
        labels=np.arange(probabilities.shape[1]),
    )
    hits = probabilities.argmax(axis=1) == samples.labels
    return float(loss), float(np.average(hits, weights=samples.weights))
