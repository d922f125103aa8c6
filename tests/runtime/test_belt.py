"""A belt as in a plant before a real run: every part exactly one verdict, the right one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate_runtime.geometry import Size
from linegate_runtime.testing import Belt, UnevenBelt
from linegate_runtime.triggers.presence import PresenceOptions, PresenceTrigger
from linegate_runtime.triggers.scene import Blob
from linegate_runtime.triggers.steps import likely_time
from tests.belt_run import FPS, SIDE, draw_parts, run_belt


def uneven_belt(count: int, seed: int) -> UnevenBelt:
    return UnevenBelt(draw_parts(count), speeds_px=(8, 28), gaps_px=(30, 150), seed=seed)


def test_parts_at_any_speed_in_drifting_light_get_one_verdict_each_as_offline(
    tmp_path: Path,
) -> None:
    outcome = run_belt(uneven_belt(40, 3), tmp_path)
    assert outcome.shown >= 30
    assert (outcome.missed, outcome.doubled, outcome.strays) == (0, 0, 0)
    assert outcome.agreement > 0.95
    assert outcome.late == 0


@pytest.mark.parametrize("seed", range(2))
def test_frames_that_are_lost_or_come_late_double_no_part(seed: int) -> None:
    belt = uneven_belt(60, seed)
    trigger = PresenceTrigger(PresenceOptions(part_size=Size(SIDE, SIDE)))
    trigger.teach(belt.empty())
    rng = np.random.default_rng(seed)
    numbers: set[int] = set()
    index, time_s = 0, 0.0
    while index < len(belt):
        delay_s = float(rng.uniform(0, 0.15)) if rng.random() < 0.05 else 0.0
        time_s = max(time_s + 0.001, index / FPS + delay_s)
        seen = trigger.observe(belt.frame(index), round(time_s * 1e9))
        assert seen.unseen == 0
        numbers.update(sighting.part for sighting in seen.sightings)
        index += 1 + (int(rng.integers(1, 5)) if rng.random() < 0.02 else 0)
    assert sorted(numbers) == list(range(1, 61))


def blob(left: float, width: float = 100.0) -> Blob:
    cut = (left <= 0, False, left + width >= 640, False)
    return Blob(max(0.0, left), 100.0, min(640.0, left + width), 200.0, cut)


def test_a_frame_that_came_late_is_placed_by_what_it_shows() -> None:
    before = [blob(100), blob(260), blob(480)]
    now = [blob(120), blob(280), blob(500)]
    # By its time, 0.2 s later, they would have come 160 pixels: where the next one was.
    took_s = likely_time(before, now, (800.0, 0.0), 0.2, (640.0, 480.0))
    assert took_s == pytest.approx(20 / 800)


def test_a_gap_longer_than_any_delay_is_believed() -> None:
    before, now = [blob(100), blob(400)], [blob(100), blob(400)]
    assert likely_time(before, now, (300.0, 0.0), 1.0, (640.0, 480.0)) == 1.0


@settings(deadline=None)
@given(
    places=st.lists(st.floats(0, 640), max_size=4),
    later=st.lists(st.floats(0, 640), max_size=4),
    velocity=st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000)),
    elapsed_s=st.floats(1e-3, 2),
)
def test_the_likely_time_is_never_far_from_the_clock(
    places: list[float], later: list[float], velocity: tuple[float, float], elapsed_s: float
) -> None:
    before, now = [blob(place) for place in places], [blob(place) for place in later]
    took_s = likely_time(before, now, velocity, elapsed_s, (640.0, 480.0))
    assert took_s >= 0
    assert abs(took_s - elapsed_s) <= 0.3 + 1e-6


@given(seed=st.integers(0, 1000), index=st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_every_part_of_an_uneven_belt_lies_where_the_truth_says(seed: int, index: int) -> None:
    parts = [np.full((30, 40, 3), 10 + number, np.uint8) for number in range(4)]
    belt = UnevenBelt(
        parts,
        speeds_px=(2, 12),
        gaps_px=(5, 60),
        light=0.0,
        noise=0.0,
        width=160,
        height=60,
        seed=seed,
    )
    assert isinstance(belt, Belt)
    picture = belt.frame(index)
    passages = belt.passages()
    for number in range(4):
        is_there = (picture == 10 + number).all(axis=2)
        columns = np.flatnonzero(is_there.any(axis=0)).tolist()
        left = belt.left_edge(number, index)
        assert columns == list(range(max(0, left), max(0, min(160, left + 40))))
        is_whole = int(is_there.sum()) == 40 * 30
        if index < len(belt):
            assert is_whole == (passages[number].first <= index <= passages[number].last)
