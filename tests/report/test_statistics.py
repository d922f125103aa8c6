"""Statistics: exact intervals and the area under the ROC curve."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from linegate_report.statistics import area_under_roc, disagreements, exact_interval

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_an_interval_holds_the_observed_share_and_stays_within_0_and_1(
    count: tuple[int, int],
) -> None:
    successes, trials = count
    interval = exact_interval(successes, trials)
    assert 0 <= interval.low <= successes / trials <= interval.high <= 1


@given(counts)
def test_the_ends_are_where_the_tail_has_exactly_two_and_a_half_percent(
    count: tuple[int, int],
) -> None:
    successes, trials = count
    interval = exact_interval(successes, trials)
    if successes:
        tail = scipy.stats.binom.sf(successes - 1, trials, interval.low)
        assert tail == pytest.approx(0.025, rel=1e-6)
    if successes < trials:
        tail = scipy.stats.binom.cdf(successes, trials, interval.high)
        assert tail == pytest.approx(0.025, rel=1e-6)


@pytest.mark.parametrize("truth", [0.01, 0.1, 0.5, 0.86, 0.995])
@pytest.mark.parametrize("trials", [5, 30, 200])
def test_the_promised_95_percent_are_kept_for_every_sample_size(truth: float, trials: int) -> None:
    covered = sum(
        scipy.stats.binom.pmf(successes, trials, truth)
        for successes in range(trials + 1)
        if exact_interval(successes, trials).low <= truth <= exact_interval(successes, trials).high
    )
    assert covered >= 0.95


def test_of_nothing_nothing_is_known() -> None:
    interval = exact_interval(0, 0)
    assert (interval.low, interval.high) == (0, 1)


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 3, got 4"):
        exact_interval(4, 3)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.5001, 1.0]), st.booleans()),
        min_size=2,
        max_size=30,
    ).filter(lambda pairs: len({truth for _, truth in pairs}) == 2)
)
def test_auc_is_the_share_of_pairs_in_the_right_order_with_ties_half(
    pairs: list[tuple[float, bool]],
) -> None:
    goods = [value for value, defective in pairs if not defective]
    defects = [value for value, defective in pairs if defective]
    right = sum((d > g) + 0.5 * (d == g) for d in defects for g in goods)
    values, truth = (np.array(column) for column in zip(*pairs, strict=True))
    assert area_under_roc(values, truth) == pytest.approx(right / len(goods) / len(defects))


def test_disagreements_are_counted_place_by_place() -> None:
    assert disagreements(["a", "b", "c"], ["a", "c", "b"]) == 2
