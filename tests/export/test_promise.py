"""The promise of a certificate, drawn 2,000 times."""

import pytest
import scipy.stats

from tests.export.promise import simulate

DRAWS = 2000


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize(("pictures", "rate"), [(400, 0.05), (150, 0.1)])
def test_the_promised_confidence_holds_and_a_naive_choice_breaks_it(
    pictures: int, rate: float, *, int8: bool
) -> None:
    broken = simulate(DRAWS, pictures, rate, int8=int8)
    most = scipy.stats.binom.ppf(0.999, DRAWS, 0.05) / DRAWS
    assert broken.escapes <= most
    assert broken.false_rejects <= most
    assert broken.naive_escapes > 0.2
