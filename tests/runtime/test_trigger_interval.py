"""The interval trigger: a part every period, on two clocks that need not agree."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_runtime.geometry import Box
from linegate_runtime.triggers import Begun, Observation
from linegate_runtime.triggers.interval import MOST_AT_ONCE, IntervalOptions, IntervalTrigger
from tests.runtime.live_support import even_picture

MS = 1_000_000
S = 1_000 * MS
PICTURE = even_picture(0)


def every_second(frames: int = 1) -> IntervalTrigger:
    return IntervalTrigger(IntervalOptions(period_s=1.0, frames=frames))


def show(trigger: IntervalTrigger, *times_ms: int) -> list[Observation]:
    return [trigger.observe(PICTURE, time_ms * MS) for time_ms in times_ms]


def parts(observations: list[Observation]) -> list[list[int]]:
    return [[sighting.part for sighting in one.sightings] for one in observations]


def test_a_part_comes_each_period_after_the_first_frame() -> None:
    observations = show(every_second(), 5000, 5500, 6000, 6500, 6999, 7010, 7500)
    assert parts(observations) == [[], [], [1], [], [], [2], []]
    assert [one.ended for one in observations] == [(), (), (1,), (), (), (2,), ()]
    assert observations[2].state == "part 1 is in view"
    assert observations[3].state == "waiting for the next period"


def test_the_next_frames_belong_to_the_part_and_show_the_region() -> None:
    region = Box(4, 4, 10, 10)
    trigger = IntervalTrigger(IntervalOptions(period_s=1.0, frames=3), region)
    observations = show(trigger, 0, 1050, 1150, 1250, 1350)
    assert parts(observations) == [[], [1], [1], [1], []]
    assert [one.ended for one in observations] == [(), (), (), (1,), ()]
    assert observations[1].sightings[0].box == region


def test_the_next_part_ends_the_one_whose_frames_were_too_slow() -> None:
    observations = show(every_second(frames=5), 0, 1000, 1900, 2000, 3100)
    assert parts(observations) == [[], [1], [1], [2], [3]]
    assert [one.ended for one in observations] == [(), (), (), (1,), (2,)]


def test_parts_are_told_of_though_no_frame_comes() -> None:
    trigger = every_second()
    assert trigger.begun(50 * S) == ()
    assert trigger.begun(51 * S - 1) == ()
    assert trigger.begun(51 * S) == (Begun(1, 51 * S),)
    assert trigger.begun(51 * S) == ()
    assert trigger.begun(53 * S + 7 * MS) == (Begun(2, 52 * S), Begun(3, 53 * S))


def test_a_camera_that_stops_leaves_no_part_untold() -> None:
    trigger = every_second()
    trigger.begun(50 * S)
    show(trigger, 50_000)
    told = [begun for now_ms in range(50_000, 55_000, 30) for begun in trigger.begun(now_ms * MS)]
    assert told == [Begun(part, (50 + part) * S) for part in (1, 2, 3, 4)]
    (observation,) = show(trigger, 54_990)
    assert parts([observation]) == [[4]]
    assert observation.ended == (1, 2, 3, 4)
    assert observation.unseen == 0


def test_parts_before_the_first_frame_keep_their_numbers() -> None:
    trigger = every_second()
    trigger.begun(50 * S)
    assert [begun.part for begun in trigger.begun(52_500 * MS)] == [1, 2]
    # A recording: its clock has nothing to do with the one above.
    observations = show(trigger, 7000, 7900, 8000)
    assert parts(observations) == [[2], [], [3]]
    assert observations[0].ended == (1, 2)


def test_a_part_that_a_frame_shows_first_is_not_told_of_any_more() -> None:
    trigger = every_second()
    trigger.begun(50 * S)
    show(trigger, 0, 1000)
    assert trigger.begun(50 * S + 1) == ()
    assert trigger.begun(51 * S - 1) == ()
    assert trigger.begun(51 * S) == (Begun(2, 51 * S),)


def test_frames_may_come_before_the_first_call_on_the_other_clock() -> None:
    trigger = every_second()
    show(trigger, 7000, 8000, 8400)
    assert trigger.begun(50 * S) == ()
    assert trigger.begun(50_599 * MS) == ()
    assert trigger.begun(50_600 * MS) == (Begun(2, 50_600 * MS),)


@pytest.mark.parametrize("speed", [0.25, 1.0, 8.0])
def test_a_recording_shows_the_same_parts_at_any_speed(speed: float) -> None:
    trigger = every_second(frames=2)
    told: list[int] = []
    sighted: list[tuple[int, int]] = []
    for time_ms in range(0, 5000, 200):
        now_ns = 90 * S + round(time_ms * MS / speed)
        told += [begun.part for begun in trigger.begun(now_ns)]
        (observation,) = show(trigger, time_ms)
        sighted += [(time_ms, sighting.part) for sighting in observation.sightings]
    assert sighted == [
        (second * 1000 + frame * 200, second) for second in (1, 2, 3, 4) for frame in (0, 1)
    ]
    assert told == sorted(set(told))
    # Told of by at most the time between two frames too early.
    assert not told or max(told) <= 4 + round(0.2 / speed)


def test_times_do_not_drift() -> None:
    trigger = IntervalTrigger(IntervalOptions(period_s=1 / 3))
    trigger.begun(0)
    for now_ns in range(S, 200 * S, 777 * MS):
        trigger.begun(now_ns)
    last = trigger.begun(200 * S)[-1]
    assert last == Begun(600, 600 * round(S / 3))


def test_after_a_stop_of_the_program_the_oldest_parts_are_counted_instead() -> None:
    trigger = every_second()
    trigger.begun(0)
    show(trigger, 0)
    told = trigger.begun(3600 * S)
    assert [begun.part for begun in told] == list(range(3601 - MOST_AT_ONCE, 3601))
    assert told[-1] == Begun(3600, 3600 * S)
    observations = show(trigger, 3_600_000, 3_600_100)
    assert [one.unseen for one in observations] == [3600 - MOST_AT_ONCE, 0]
    assert observations[0].ended == tuple(begun.part for begun in told)


def test_parts_in_a_gap_of_a_recording_are_counted() -> None:
    observations = show(every_second(), 0, 1000, 9_000, 9_100)
    assert parts(observations) == [[], [1], [9], []]
    assert [one.unseen for one in observations] == [0, 0, 7, 0]
    assert observations[2].ended == (9,)


steps = st.lists(
    st.tuples(
        st.integers(0, 4000),  # milliseconds until the next call
        st.sampled_from(["begun", "frame", "both"]),
    ),
    min_size=1,
    max_size=40,
)


@given(steps, st.integers(1, 4), st.sampled_from([0.3, 1.0, 5.0]), st.integers(-100, 100))
def test_every_period_is_told_of_or_shown_or_counted_and_only_once(
    steps: list[tuple[int, str]], frames: int, speed: float, ahead_s: int
) -> None:
    trigger = every_second(frames)
    now_ns = 1000 * S
    told: list[int] = []
    shown: list[int] = []
    ended: list[int] = []
    unseen = 0
    for wait_ms, call in [*steps, (0, "both")]:
        now_ns += wait_ms * MS + 1
        if call != "frame":
            new = [begun.part for begun in trigger.begun(now_ns)]
            assert not set(new) & {*told, *shown, *ended}
            told += new
        if call != "begun":
            observation = trigger.observe(PICTURE, round((now_ns + ahead_s * S) * speed))
            now_shown = [sighting.part for sighting in observation.sightings]
            assert not set(now_shown) & set(ended)
            shown += now_shown
            ended += observation.ended
            unseen += observation.unseen
    assert told == sorted(set(told))
    assert shown == sorted(shown)
    assert ended == sorted(set(ended))
    assert all(shown.count(part) <= frames for part in set(shown))
    known = {*told, *shown}
    assert known >= set(ended)
    assert len(known) + unseen == max(known, default=0)


@given(st.lists(st.integers(1, 2500), min_size=1, max_size=30), st.data())
def test_what_frames_show_does_not_depend_on_the_other_clock(
    waits_ms: list[int], data: st.DataObject
) -> None:
    alone, asked = every_second(frames=2), every_second(frames=2)
    now_ns = 77 * S
    for time_ms in itertools.accumulate(waits_ms, initial=0):
        observed = show(alone, time_ms)
        assert parts(show(asked, time_ms)) == parts(observed)
        now_ns += data.draw(st.integers(0, 3000)) * MS
        asked.begun(now_ns)


@pytest.mark.parametrize("options", [{}, {"period_s": 0}, {"period_s": -1.0}, {"period_s": "1"}])
def test_a_period_is_required_and_positive(options: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError, match="period_s"):
        msgspec.convert(options, IntervalOptions)
