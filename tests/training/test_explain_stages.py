from hypothesis import given
from hypothesis import strategies as st

from linegate_training.explain.explanation import StageInfo, StageKind
from linegate_training.explain.stages import choose_stages


def stages(*sides: int) -> list[StageInfo]:
    return [
        StageInfo(f"conv{number}", StageKind.CONVOLUTION, (side, side, 8))
        for number, side in enumerate(sides)
    ]


def test_all_stages_of_a_small_net_are_shown() -> None:
    assert choose_stages(stages(64, 62, 31, 29, 14)) == [0, 1, 2, 3, 4]


def test_of_a_deep_net_the_first_and_last_of_every_resolution_are_shown() -> None:
    sides = [112] * 5 + [56] * 5 + [28] * 1 + [14] * 9
    assert choose_stages(stages(*sides)) == [0, 4, 5, 9, 10, 11, 19]


@given(st.lists(st.integers(1, 6), max_size=60), st.integers(2, 12))
def test_at_most_so_many_stages_in_order_with_the_first_and_the_deepest(
    falls: list[int], most: int
) -> None:
    given_stages = stages(*sorted((2**fall for fall in falls), reverse=True))
    chosen = choose_stages(given_stages, most)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= most
    assert len(chosen) == len(given_stages) or len(given_stages) > most
    if given_stages:
        assert chosen[0] == 0
        assert chosen[-1] == len(given_stages) - 1
