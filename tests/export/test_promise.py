"""The promise of a certificate, drawn 2,000 times."""

import pytest
import scipy.stats

from tests.export.promise import Groups, simulate

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


def test_it_holds_for_pictures_in_groups_and_counting_each_of_them_would_break_it() -> None:
    """A hundred parts of each role, five pictures of each."""
    told, untold = (
        simulate(1000, 500, 0.05, int8=True, groups=Groups(size=5, alike=0.9, told=told))
        for told in (True, False)
    )
    most = scipy.stats.binom.ppf(0.999, 1000, 0.05) / 1000
    assert told.escapes <= most
    assert told.false_rejects <= most
    assert min(untold.escapes, untold.false_rejects) > 1.5 * most
