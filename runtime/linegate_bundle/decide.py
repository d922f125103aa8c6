"""From the model's raw output to a verdict; pure functions of arrays and policies.

Shapes and types: logits are float64 of shape ``(1,)`` for sigmoid or
``(labels,)`` for softmax, probabilities float64 of shape ``(labels,)`` that sum
to one.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import EngineError
from linegate_bundle.manifest import (
    Activation,
    DecisionPolicy,
    Label,
    Quantization,
    Role,
    Verdict,
)

Float64Array = npt.NDArray[np.float64]

_SMALLEST_PROBABILITY = 1e-12
"""Floor before a logarithm, so that one certain frame cannot outvote all others."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is thought of one image or one part.

    Attributes:
        label: name of the most probable label.
        probability: its probability.
        defect_probability: sum over all labels with the role defect.
        verdict: ``defect_probability`` measured against the policy.
        probabilities: all labels in the manifest's order.
    """

    label: str
    probability: float
    defect_probability: float
    verdict: Verdict
    probabilities: tuple[float, ...]


def dequantize(stored: npt.NDArray[Any], quantization: Quantization | None) -> Float64Array:
    """Turn an output tensor, a batch of one, into real numbers without the batch's dimension.

    Raises:
        EngineError: a value is not finite.
    """
    values: Float64Array = stored[0].astype(np.float64)
    if quantization is not None:
        values = (values - quantization.zero_point) * quantization.scale
    if not np.isfinite(values).all():
        raise EngineError(
            f"expected finite logits, got {values.tolist()}; the model or its engine is damaged, "
            "run `linegate verify`"
        )
    return values


def probabilities(logits: Float64Array, activation: Activation) -> Float64Array:
    """Apply the activation to logits of shape ``(n,)``; the result sums to one."""
    if activation is Activation.SIGMOID:
        # Two-label softmax of (0, logit): the same function, without overflow.
        logits = np.concatenate([np.zeros(1), logits])
    exponentials = np.exp(logits - logits.max())
    result: Float64Array = exponentials / exponentials.sum()
    return result


def decide(probability: Float64Array, labels: Sequence[Label], policy: DecisionPolicy) -> Decision:
    """Turn probabilities of shape ``(labels,)`` into a decision."""
    winner = most_probable(probability, labels)
    defect_probability = float(
        sum(
            value
            for value, label in zip(probability, labels, strict=True)
            if label.role is Role.DEFECT
        )
    )
    return Decision(
        label=labels[winner].name,
        probability=float(probability[winner]),
        defect_probability=defect_probability,
        verdict=judge(defect_probability, policy),
        probabilities=tuple(map(float, probability)),
    )


def most_probable(probability: Float64Array, labels: Sequence[Label]) -> int:
    """Return the place of the most probable label.

    Of equally probable labels a defect wins, then the first in order: a tie,
    which int8 makes likely, must never be an escape.
    """
    return max(
        range(len(labels)),
        key=lambda index: (probability[index], labels[index].role is Role.DEFECT, -index),
    )


def judge(defect_probability: float, policy: DecisionPolicy) -> Verdict:
    """Measure a probability of being defective against the policy's thresholds."""
    if defect_probability >= policy.reject_at_least:
        return Verdict.REJECT
    if defect_probability <= policy.accept_at_most:
        return Verdict.ACCEPT
    return Verdict.UNSURE


def vote(frames: Sequence[Float64Array]) -> Float64Array:
    """Combine the probabilities of a part's frames; each of shape ``(labels,)``.

    The mean of the log-odds: for more than two labels the normalized geometric
    mean, of which it is the two-label case (logarithmic opinion pool, Genest and
    Zidek, "Combining probability distributions", Statistical Science 1986).

    Raises:
        ValueError: there is no frame.
    """
    if not frames:
        raise ValueError("expected at least one frame to vote on, got none")
    logarithms = np.log(np.maximum(np.stack(frames), _SMALLEST_PROBABILITY))
    mean = logarithms.mean(axis=0)
    weights = np.exp(mean - mean.max())
    result: Float64Array = weights / weights.sum()
    return result
