"""From the model's raw output to a verdict; pure functions of arrays and policies.

Shapes and types: logits are float64 of shape ``(1,)`` for sigmoid or
``(labels,)`` for softmax, probabilities one number a label that sum to one.

Labels are few, so all is done with Python's own numbers: for two or ten of them numpy
takes five times as long, and more when its code has fallen out of the caches.
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

Probabilities = Sequence[float] | Float64Array
"""One number a label, in the manifest's order."""

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
    return np.array(_activated(logits.tolist(), activation))


def interpret(
    stored: npt.NDArray[Any], quantization: Quantization | None, activation: Activation
) -> tuple[float, ...]:
    """Turn an output tensor of logits, a batch of one, into probabilities.

    The same as :func:`dequantize` and :func:`probabilities` after each other.

    Raises:
        EngineError: a value is not finite.
    """
    if quantization is None:
        return _activated(dequantize(stored, None).tolist(), activation)
    scale, zero_point = quantization.scale, quantization.zero_point
    logits = [(value - zero_point) * scale for value in stored[0].tolist()]
    return _activated(logits, activation)


def decide(probability: Probabilities, labels: Sequence[Label], policy: DecisionPolicy) -> Decision:
    """Turn the probabilities of all labels into a decision."""
    values = _numbers(probability)
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
    frames: Sequence[Probabilities], labels: Sequence[Label], policy: DecisionPolicy
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
    verdicts = [judge(_defect_probability(_numbers(frame), labels), policy) for frame in frames]
    needed = min(needed, len(frames))
    verdict = Verdict.UNSURE
    if verdicts.count(Verdict.REJECT) >= needed:
        verdict = Verdict.REJECT
    elif len(frames) - verdicts.count(Verdict.ACCEPT) < needed:
        verdict = Verdict.ACCEPT
    return msgspec.structs.replace(decision, verdict=verdict)


def most_probable(probability: Probabilities, labels: Sequence[Label]) -> int:
    """Return the place of the most probable label.

    Of equally probable labels a defect wins, then the first in order: a tie,
    which int8 makes likely, must never be an escape.
    """
    winner = 0
    for place in range(1, len(labels)):
        lead = probability[place] - probability[winner]
        is_defect_first = labels[place].role is Role.DEFECT is not labels[winner].role
        if lead > 0 or (lead == 0 and is_defect_first):
            winner = place
    return winner


def judge(defect_probability: float, policy: DecisionPolicy) -> Verdict:
    """Measure a probability of being defective against the policy's thresholds."""
    if defect_probability >= policy.reject_at_least:
        return Verdict.REJECT
    if defect_probability <= policy.accept_at_most:
        return Verdict.ACCEPT
    return Verdict.UNSURE


def vote(frames: Sequence[Probabilities]) -> tuple[float, ...]:
    """Combine the probabilities of a part's frames.

    The mean of the log-odds: for more than two labels the normalized geometric
    mean, of which it is the two-label case (logarithmic opinion pool, Genest and
    Zidek, "Combining probability distributions", Statistical Science 1986).

    Raises:
        ValueError: there is no frame.
    """
    if not frames:
        raise ValueError("expected at least one frame to vote on, got none")
    if len(frames) == 1:
        return tuple(_numbers(frames[0]))
    by_label = zip(*(_numbers(frame) for frame in frames), strict=True)
    return _normalized(
        [
            math.fsum(math.log(max(value, _SMALLEST_PROBABILITY)) for value in values) / len(frames)
            for values in by_label
        ]
    )


def _activated(logits: Sequence[float], activation: Activation) -> tuple[float, ...]:
    # Sigmoid is the two-label softmax of (0, logit): the same function, without overflow.
    return _normalized(logits if activation is Activation.SOFTMAX else (0.0, *logits))


def _normalized(logarithms: Sequence[float]) -> tuple[float, ...]:
    """Return what has these logarithms, up to a common factor, and sums to one."""
    largest = max(logarithms)
    weights = [math.exp(value - largest) for value in logarithms]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


def _numbers(probability: Probabilities) -> Sequence[float]:
    if isinstance(probability, np.ndarray):
        numbers: list[float] = probability.tolist()
        return numbers
    return probability


def _defect_probability(probability: Sequence[float], labels: Sequence[Label]) -> float:
    total = 0.0
    for value, label in zip(probability, labels, strict=True):
        if label.role is Role.DEFECT:
            total += value
    return total
