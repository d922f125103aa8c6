"""Figures of merit with honest intervals; pure functions of counts and arrays."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.stats
import sklearn.metrics

from linegate_bundle.manifest import Interval

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CONFIDENCE = 0.95


def exact_interval(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the exact two-sided interval of a proportion.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in
    the case of the binomial", Biometrika 1934: it covers the truth with at least
    the given probability at any sample size.

    Args:
        successes: from 0 to ``trials``.
        trials: 0 gives the interval from 0 to 1, for nothing is known.
        confidence: probability that the interval holds the true proportion.

    Raises:
        ValueError: ``successes`` is not from 0 to ``trials``.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"expected successes from 0 to {trials}, got {successes}")
    tail = (1.0 - confidence) / 2.0
    failures = trials - successes
    low = scipy.stats.beta.ppf(tail, successes, failures + 1) if successes else 0.0
    high = scipy.stats.beta.ppf(1.0 - tail, successes + 1, failures) if failures else 1.0
    return Interval(low=float(low), high=float(high))


def area_under_roc(defect_probability: Float64Array, defective: BoolArray) -> float:
    """Return the probability that a defect scores higher than a good picture, ties half.

    Args:
        defect_probability: shape ``(n,)``.
        defective: the truth, shape ``(n,)``, with at least one of each.
    """
    return float(sklearn.metrics.roc_auc_score(defective, defect_probability))


def agreement(first: Sequence[str], second: Sequence[str]) -> float:
    """Return the share of places where two lists of labels are the same."""
    return 1.0 - disagreements(first, second) / len(first)


def disagreements(first: Sequence[str], second: Sequence[str]) -> int:
    """Return at how many places two lists of labels differ."""
    return sum(one != other for one, other in zip(first, second, strict=True))
