"""Whether probabilities mean what they say, and the temperature that would make them.

Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017.
"""

import dataclasses

import numpy as np
import scipy.optimize
import scipy.special

from linegate_bundle.decide import Float64Array
from linegate_report.reliability import Reliability, reliability
from linegate_training.report.evaluation import Evaluation, IntArray

_LARGEST_FACTOR = 20.0
_INSIDE = 0.99
"""Share of the way to the limit, on a logarithmic scale, that is no longer taken for inside."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Calibration on the test part, as it is and with the temperature of the validation part.

    Attributes:
        temperature: logits would be divided by it; above 1 the model is too sure of
            itself, below 1 not sure enough.
        determined: whether the validation part can tell a temperature at all. Without
            an error the likelihood rises for ever as the temperature falls; then, and
            where the search ends at its limit, the temperature is left at 1.
        validation_pictures: how many pictures the temperature comes from.
        before: as it is.
        after: with the temperature.
    """

    temperature: float
    determined: bool
    validation_pictures: int
    before: Reliability
    after: Reliability


def calibrate(validation: Evaluation, test: Evaluation) -> Calibration:
    """Fit one temperature on the validation part and measure both on the test part."""
    temperature = fit_temperature(validation.logits, validation.targets)
    inside = abs(np.log(temperature)) < _INSIDE * np.log(_LARGEST_FACTOR)
    determined = bool(inside and not validation.right.all())
    temperature = temperature if determined else 1.0
    return Calibration(
        temperature=temperature,
        determined=determined,
        validation_pictures=len(validation.rows),
        before=_of_labels_given(test, 1.0),
        after=_of_labels_given(test, temperature),
    )


def fit_temperature(logits: Float64Array, targets: IntArray) -> float:
    """Return the temperature with the lowest negative log-likelihood.

    Args:
        logits: ``(n, 1)`` for two labels, else ``(n, labels)``.
        targets: place of each true label, ``(n,)``.

    Returns:
        From 1/20 to 20.
    """
    rows = np.arange(len(targets))

    def loss(log_temperature: float) -> float:
        logs = scipy.special.log_softmax(_all_logits(logits) / np.exp(log_temperature), axis=1)
        return -float(logs[rows, targets].mean())

    limit = np.log(_LARGEST_FACTOR)
    found = scipy.optimize.minimize_scalar(loss, bounds=(-limit, limit), method="bounded")
    return float(np.exp(found.x))


def _of_labels_given(evaluation: Evaluation, temperature: float) -> Reliability:
    probability = scipy.special.softmax(_all_logits(evaluation.logits) / temperature, axis=1)
    places = {name: place for place, name in enumerate(evaluation.names)}
    given = np.array([places[name] for name in evaluation.given])
    return reliability(probability[np.arange(len(given)), given], evaluation.right)


def _all_logits(logits: Float64Array) -> Float64Array:
    """Give one logit, which speaks for the second of two labels, a fellow of 0."""
    if logits.shape[1] > 1:
        return logits
    return np.concatenate([np.zeros_like(logits), logits], axis=1)
