"""Whether probabilities mean what they say: reliability, its error, temperature scaling.

Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.special

from linegate_bundle.decide import Float64Array
from linegate_report.statistics import BoolArray
from linegate_training.report.evaluation import Evaluation, IntArray

_FEWEST_BINS, _MOST_BINS = 5, 15
_PICTURES_A_BIN = 20
_LARGEST_FACTOR = 20.0
_INSIDE = 0.99
"""Share of the way to the limit, on a logarithmic scale, that is no longer taken for inside."""
_SIMULATIONS = 1000
_AT_ONCE = 20


@dataclasses.dataclass(frozen=True)
class Bin:
    """Pictures of about the same confidence.

    Attributes:
        confidence: their mean confidence in the label given.
        accuracy: share of them whose label is right.
        right: how many are right.
        count: how many there are.
    """

    confidence: float
    accuracy: float
    right: int
    count: int


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Confidence held against accuracy.

    Attributes:
        bins: of equal numbers of pictures, by rising confidence.
        error: expected calibration error: mean over the pictures of the distance between
            confidence and accuracy of their bin.
        error_by_chance: what it would be on average, on as many pictures with the same
            confidences, if every confidence were exactly true.
        mean_confidence: over all pictures.
        accuracy: over all pictures.
    """

    bins: tuple[Bin, ...]
    error: float
    error_by_chance: float
    mean_confidence: float
    accuracy: float


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


def reliability(confidence: Float64Array, right: BoolArray, bins: int | None = None) -> Reliability:
    """Hold confidences against what came true, in bins of equal numbers.

    Args:
        confidence: ``(n,)``, from 0 to 1.
        right: ``(n,)``.
        bins: at most so many; none has fewer than one picture. None: about 20 pictures a
            bin, from 5 to 15 bins.
    """
    if bins is None:
        bins = min(max(len(right) // _PICTURES_A_BIN, _FEWEST_BINS), _MOST_BINS)
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    found = tuple(
        Bin(
            confidence=float(confidence[part].mean()),
            accuracy=float(right[part].mean()),
            right=int(right[part].sum()),
            count=len(part),
        )
        for part in parts
    )
    return Reliability(
        bins=found,
        error=float(_error(confidence, right[np.newaxis], parts)[0]),
        error_by_chance=_error_by_chance(confidence, parts),
        mean_confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
    )


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


def _error(
    confidence: Float64Array, right: BoolArray, parts: list[npt.NDArray[np.int64]]
) -> Float64Array:
    """Return the calibration error for each row of ``right``, shape ``(rows, n)``."""
    gaps = [
        len(part) * np.abs(right[:, part].mean(axis=1) - confidence[part].mean()) for part in parts
    ]
    result: Float64Array = np.sum(gaps, axis=0) / len(confidence)
    return result


def _error_by_chance(confidence: Float64Array, parts: list[npt.NDArray[np.int64]]) -> float:
    random = np.random.default_rng(0)
    # Many simulations at once, but never more than fits into memory.
    errors = [
        _error(confidence, random.random((_AT_ONCE, len(confidence))) < confidence, parts)
        for _ in range(_SIMULATIONS // _AT_ONCE)
    ]
    return float(np.mean(errors))
