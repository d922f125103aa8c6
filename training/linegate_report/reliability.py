"""Whether probabilities mean what they say: confidence held against what came true.

Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from linegate_report.statistics import BoolArray, Float64Array

_FEWEST_BINS, _MOST_BINS = 5, 15
_PICTURES_A_BIN = 20
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
