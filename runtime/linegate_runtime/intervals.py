"""Intervals of shares; plain arithmetic, so that a device needs no statistics library."""

import math

from linegate_bundle.manifest import Interval

_Z_95 = 1.959963984540054
"""Between minus and plus so many standard deviations lie 95 % of a normal distribution."""


def wilson_interval(successes: int, trials: int) -> Interval:
    """Return the two-sided 95 % score interval of a share.

    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 1927. It holds the truth in about 95 % of cases, also for
    small counts; the exact one of reports is wider and needs scipy.

    Args:
        successes: from 0 to ``trials``.
        trials: 0 gives the interval from 0 to 1, for nothing is known.

    Raises:
        ValueError: ``successes`` is not from 0 to ``trials``.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"expected successes from 0 to {trials}, got {successes}")
    if trials == 0:
        return Interval(low=0.0, high=1.0)
    share = successes / trials
    doubt = _Z_95**2 / trials
    middle = share + doubt / 2.0
    half = math.sqrt(doubt * (share * (1.0 - share) + doubt / 4.0))
    # At the ends the sum is 0 or 1 but for rounding.
    low = (middle - half) / (1.0 + doubt) if successes else 0.0
    high = (middle + half) / (1.0 + doubt) if successes < trials else 1.0
    return Interval(low=low, high=high)
