"""Figures of merit with honest intervals; pure functions of counts and arrays."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.optimize
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


def upper_bound(successes: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Return the exact one-sided upper bound of a proportion; 1 if nothing was tried.

    Raises:
        ValueError: ``successes`` is not from 0 to ``trials``.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"expected successes from 0 to {trials}, got {successes}")
    if successes == trials:
        return 1.0
    return float(scipy.stats.beta.ppf(confidence, successes + 1, trials - successes))


def mcnemar(lost: int, gained: int) -> float:
    """Return the exact two-sided p-value that two paired classifiers are equally often right.

    McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 1947, with the binomial distribution instead of an
    approximation.

    Args:
        lost: how often the first alone is right.
        gained: how often the second alone is right.
    """
    if lost + gained == 0:
        return 1.0
    return float(scipy.stats.binomtest(lost, lost + gained).pvalue)


def loss_bound(lost: int, gained: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided upper bound of what a second paired classifier loses, as a share.

    What is lost on balance is not more than what is lost, which has an exact bound; that is
    taken where nothing is gained. Where some is, the score bound of Tango is nearer ("Equivalence
    test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 1998). By itself it covers the truth a little too rarely, so
    it is taken with four fifths of the doubt; the smaller of the two then covers it in at least
    95 % of cases wherever all outcomes were counted (``tests/report/test_statistics.py``).

    Args:
        lost: pictures that the first alone gets right.
        gained: pictures that the second alone gets right.
        trials: pictures in all, at least one.
        confidence: probability that the true loss is below the bound.

    Raises:
        ValueError: the counts do not fit each other.
    """
    if min(lost, gained) < 0 or trials < 1 or lost + gained > trials:
        raise ValueError(f"expected lost {lost} and gained {gained} to be among {trials}")
    exact = upper_bound(lost, trials, confidence)
    if gained == 0:
        return exact
    return min(exact, _score_bound(lost, gained, trials, 1 - _SCORE_DOUBT * (1 - confidence)))


_SCORE_DOUBT = 0.8


def _score_bound(lost: int, gained: int, trials: int, confidence: float) -> float:
    z = float(scipy.stats.norm.ppf(confidence))

    def excess(loss: float) -> float:
        """Tell how far the observed loss lies below ``loss`` in standard errors, less z."""
        linear = (2 * trials - lost + gained) * loss - lost - gained
        root = math.sqrt(linear**2 + 8 * trials * gained * loss * (1 - loss))
        # The most likely share that is gained, if the loss were this.
        share = (root - linear) / (4 * trials)
        variance = trials * (2 * share + loss * (1 - loss))
        return (trials * loss - lost + gained) / math.sqrt(variance) - z

    observed = (lost - gained) / trials
    if observed == 1.0:
        return 1.0
    low, high = observed + 1e-7, 1.0 - 1e-12  # at the ends the variance is lost in rounding
    return float(scipy.optimize.brentq(excess, low, high)) if excess(high) > 0 else 1.0


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
