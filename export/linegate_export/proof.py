"""Rates that are proven, not observed: exact tests on the calibration part.

A threshold that merely shows few enough errors on the pictures it was chosen on breaks its
promise about every second time. Here the errors that a rate allows are so few that a
true rate above the target would show them with a probability of at most ``1 - confidence``
(exact binomial tail).

Choosing and proving on the same pictures stays valid because the thresholds are tested in
an order that is fixed beforehand, from the one that lets nothing pass on, and the first that
cannot be proven ends it: fixed-sequence testing, as in Angelopoulos et al., "Learn then
test", 2021 (arXiv:2110.01052). Errors can only grow along that order, so every threshold up
to the last one with few enough errors is proven, whichever of them is taken.

What is assumed: the pictures to come are exchangeable with those that are counted, and each is
judged on its own. So only one picture of each group is counted (:mod:`linegate_export.trials`).
"""

import math

import scipy.stats


def provable_errors(pictures: int, rate: float, confidence: float) -> int | None:
    """Return how many errors may be seen if a true rate below ``rate`` is to be proven.

    Args:
        pictures: on which errors are counted.
        rate: the target, above 0 and below 1.
        confidence: of the proof, such as 0.95.

    Returns:
        The largest ``k`` with ``P(Binomial(pictures, rate) <= k) <= 1 - confidence``; None if
        not even no error at all proves it.
    """
    if rate <= 0.0:
        return None
    # The quantile is the smallest k whose tail reaches 1 - confidence; it may be met exactly.
    k = int(scipy.stats.binom.ppf(1.0 - confidence, pictures, rate))
    while k >= 0 and p_value(k, pictures, rate) > 1.0 - confidence:
        k -= 1
    return k if k >= 0 else None


def p_value(errors: int, pictures: int, rate: float) -> float:
    """Return the probability of at most so many errors if the true rate were ``rate``."""
    return float(scipy.stats.binom.cdf(errors, pictures, rate))


def needed_pictures(rate: float, confidence: float) -> int | None:
    """Return how many pictures without an error prove a rate: 299 for 1 % at 95 %.

    None if no number does, for a rate of 0.
    """
    if rate <= 0.0:
        return None
    needed = max(1, math.ceil(math.log1p(-confidence) / math.log1p(-rate)))
    # Logarithms may be one off where the tail is met exactly.
    while needed > 1 and p_value(0, needed - 1, rate) <= 1.0 - confidence:
        needed -= 1
    while p_value(0, needed, rate) > 1.0 - confidence:
        needed += 1
    return needed
