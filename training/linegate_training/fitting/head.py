"""The head on frozen features: a convex problem, solved exactly instead of step by step."""

import dataclasses
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from linegate_training.fitting.examples import BoolArray
from linegate_training.fitting.scoring import Scores, score
from linegate_training.fitting.sources import Float32Array, IntArray
from linegate_training.options import Monitor

_STRENGTHS = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
"""Factors of the squared weights beside the mean loss; the validation part chooses.

The strongest comes first: each fit starts from the one before, which is near.
"""
_MAXIMUM_ITERATIONS = 300


@dataclasses.dataclass(frozen=True)
class Samples:
    """Features with the truth about them.

    Attributes:
        features: float32 of shape ``(samples, features)``.
        targets: shares of the labels, see :class:`linegate_training.fitting.examples.Truth`.
        labels: number of the label, shape ``(samples,)``.
        weights: how much each sample counts, shape ``(samples,)``.
        defects: for each label, whether it is a defect.
    """

    features: Float32Array
    targets: Float32Array
    labels: IntArray
    weights: Float32Array
    defects: BoolArray


@dataclasses.dataclass(frozen=True)
class LinearHead:
    """Weights of a linear head and what it reaches.

    Attributes:
        kernel: float32 of shape ``(features, outputs)``; one output for two labels.
        bias: float32 of shape ``(outputs,)``.
        strength: factor of the squared weights that was chosen.
        train: on the train part.
        validation: on the validation part.
    """

    kernel: Float32Array
    bias: Float32Array
    strength: float
    train: Scores
    validation: Scores


def fit_head(
    train: Samples,
    validation: Samples,
    monitor: Monitor = Monitor.LOSS,
    *,
    fine_tuned: bool = False,
) -> LinearHead:
    """Fit logistic regressions of several strengths and return the best on validation.

    Args:
        train: what is fitted.
        validation: what chooses.
        monitor: by which score.
        fine_tuned: whether the layers before it will be trained on. Then the strongest is
            taken: large weights of a head amplify every step of the layers before it, and
            the first steps would throw away what the head had.
    """
    chosen, labels, weights = _hard(train)
    features = train.features[chosen]
    model = LogisticRegression(max_iter=_MAXIMUM_ITERATIONS, warm_start=True)
    heads = []
    for strength in _STRENGTHS[:1] if fine_tuned else _STRENGTHS:
        # scikit-learn minimizes C * sum(weight * loss) + squared weights / 2.
        model.set_params(C=1 / (2 * strength * float(weights.sum())))
        with warnings.catch_warnings():
            # Not quite at the minimum is good enough: fine-tuning goes on from there.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features, labels, weights)
        kernel = np.ascontiguousarray(model.coef_.T, np.float32)
        bias = np.array(model.intercept_, np.float32)
        heads.append(
            LinearHead(
                kernel,
                bias,
                strength,
                _score(kernel, bias, train),
                _score(kernel, bias, validation),
            )
        )
    return max(heads, key=lambda head: head.validation.rank(monitor))


def _hard(samples: Samples) -> tuple[IntArray, IntArray, npt.NDArray[Any]]:
    """Turn shares of labels into several weighted copies, which give the same loss.

    Returns:
        The sample that each copy is of, its label and its weight.
    """
    shares = samples.targets
    if shares.shape[1] == 1:
        shares = np.concatenate([1 - shares, shares], axis=1)
    chosen, labels = np.nonzero(shares)
    weights = samples.weights[chosen] * shares[chosen, labels]
    kept = weights > 0
    return chosen[kept], labels[kept], weights[kept]


def _score(kernel: Float32Array, bias: Float32Array, samples: Samples) -> Scores:
    logits = samples.features @ kernel + bias
    return score(logits, samples.targets, samples.labels, samples.defects)
