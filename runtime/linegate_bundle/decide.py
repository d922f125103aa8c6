"""From the model's raw output to a verdict; pure functions of arrays and policies.

Shapes and types: logits are float64 of shape ``(1,)`` for sigmoid or
``(labels,)`` for softmax, probabilities float64 of shape ``(labels,)`` that sum
to one.
"""

import math
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
    VoteMethod,
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
        values -= quantization.zero_point
        values *= quantization.scale
    # Integers that are scaled are finite.
    if stored.dtype.kind == "f" and not np.isfinite(values).all():
        raise EngineError(
            f"expected finite logits, got {values.tolist()}; the model or its engine is damaged, "
            "run `linegate verify`"
        )
    return values


def probabilities(logits: Float64Array, activation: Activation) -> Float64Array:
    """Apply the activation to logits of shape ``(n,)``; the result sums to one."""
    # Sigmoid is the two-label softmax of (0, logit): the same function, without overflow.
    values = logits.tolist() if activation is Activation.SOFTMAX else [0.0, *logits.tolist()]
    return _normalized(values)


def decide(probability: Float64Array, labels: Sequence[Label], policy: DecisionPolicy) -> Decision:
    """Turn probabilities of shape ``(labels,)`` into a decision."""
    values = probability.tolist()
    winner = most_probable(values, labels)
    defect_probability = _defect_probability(values, labels)
    return Decision(
        label=labels[winner].name,
        probability=values[winner],
        defect_probability=defect_probability,
        verdict=judge(defect_probability, policy),
        probabilities=tuple(values),
    )


def decide_part(
    frames: Sequence[Float64Array], labels: Sequence[Label], policy: DecisionPolicy
) -> Decision:
    """Turn the probabilities of a part's frames into one decision, as the policy's vote says.

    Label and probabilities are those of :func:`vote`, whatever the method. The verdict is
    theirs too by the mean of the log-odds. By ``k_of_n`` each frame is judged on its own: the
    part is rejected if ``needed`` frames say reject, accepted if so many say accept that less
    than ``needed`` are left, and unsure otherwise. A part with fewer frames than ``needed``
    needs all of them.

    Raises:
        ValueError: there is no frame.
    """
    decision = decide(vote(frames), labels, policy)
    needed = policy.vote.needed
    if policy.vote.method is VoteMethod.MEAN_LOG_ODDS or needed is None:
        return decision
    verdicts = [judge(_defect_probability(frame.tolist(), labels), policy) for frame in frames]
    needed = min(needed, len(frames))
    verdict = Verdict.UNSURE
    if verdicts.count(Verdict.REJECT) >= needed:
        verdict = Verdict.REJECT
    elif len(frames) - verdicts.count(Verdict.ACCEPT) < needed:
        verdict = Verdict.ACCEPT
    return msgspec.structs.replace(decision, verdict=verdict)


def most_probable(probability: Sequence[float] | Float64Array, labels: Sequence[Label]) -> int:
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
    if len(frames) == 1:
        return frames[0]
    by_label = zip(*(frame.tolist() for frame in frames), strict=True)
    return _normalized(
        [
            math.fsum(math.log(max(value, _SMALLEST_PROBABILITY)) for value in values) / len(frames)
            for values in by_label
        ]
    )


def _normalized(logarithms: Sequence[float]) -> Float64Array:
    """Return what has these logarithms, up to a common factor, and sums to one.

    Labels are few: the standard library's arithmetic takes a fifth of numpy's time for them.
    """
    largest = max(logarithms)
    weights = [math.exp(value - largest) for value in logarithms]
    total = math.fsum(weights)
    return np.array([weight / total for weight in weights])


def _defect_probability(probability: Sequence[float], labels: Sequence[Label]) -> float:
    return sum(
        value for value, label in zip(probability, labels, strict=True) if label.role is Role.DEFECT
    )
