"""Statistics: exact intervals and the area under the ROC curve."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from linegate_report.statistics import (
    area_under_roc,
    disagreements,
    exact_interval,
    loss_bound,
    mcnemar,
    upper_bound,
)

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


def test_an_upper_bound_leaves_five_percent_above_it() -> None:
    assert upper_bound(0, 299) == pytest.approx(1 - 0.05 ** (1 / 299))
    assert upper_bound(0, 299) < 0.01 < upper_bound(0, 298)
    tail = scipy.stats.binom.cdf(7, 150, upper_bound(7, 150))
    assert tail == pytest.approx(0.05, rel=1e-6)
    assert upper_bound(5, 5) == upper_bound(0, 0) == 1.0


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_a_fair_coin_for_the_pictures_that_differ(lost: int, gained: int) -> None:
    trials, fewer = lost + gained, min(lost, gained)
    tail = sum(math.comb(trials, k) for k in range(fewer + 1)) / 2**trials
    assert mcnemar(lost, gained) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar(lost, gained) == mcnemar(gained, lost)


pairs = st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, 3000)).filter(any)


@given(pairs)
def test_a_loss_bound_lies_above_the_observed_loss_and_grows_with_it(
    counts: tuple[int, int, int],
) -> None:
    lost, gained, same = counts
    trials = lost + gained + same
    bound = loss_bound(lost, gained, trials)
    assert (lost - gained) / trials <= bound <= 1
    if same:
        assert loss_bound(lost + 1, gained, trials) >= bound - 1e-9
    assert loss_bound(lost, gained, trials, 0.99) >= bound - 1e-9


def test_where_nothing_is_gained_the_bound_is_exact() -> None:
    assert loss_bound(0, 0, 59) < 0.05 < loss_bound(0, 0, 58)
    assert loss_bound(0, 0, 199) < 0.015 < loss_bound(0, 0, 198)
    assert loss_bound(3, 0, 200) == upper_bound(3, 200)


@pytest.mark.parametrize("trials", [30, 59, 199])
@pytest.mark.parametrize("gain", [0.0, 0.0005, 0.005, 0.03])
@pytest.mark.parametrize("loss", [0.0005, 0.0155, 0.0265, 0.051, 0.1])
def test_a_loss_bound_covers_true_losses(trials: int, gain: float, loss: float) -> None:
    lost, gained = (grid.ravel() for grid in np.mgrid[:50, :30])
    possible = lost + gained <= trials
    lost, gained = lost[possible], gained[possible]
    same = trials - lost - gained
    chances = scipy.stats.multinomial.pmf(
        np.stack([lost, gained, same], axis=1), trials, [gain + loss, gain, 1 - loss - 2 * gain]
    )
    likely = chances > 1e-9
    covered = sum(
        chance
        for a, b, chance in zip(lost[likely], gained[likely], chances[likely], strict=True)
        if loss_bound(int(a), int(b), trials) >= loss - 1e-9
    )
    assert covered >= 0.95


@pytest.mark.parametrize("counts", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_counts_that_do_not_fit_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="to be among"):
        loss_bound(*counts)
