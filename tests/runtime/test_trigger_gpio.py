"""The gpio trigger, on gpiozero's mock pins: real edges, bounces, delays and faults."""

import itertools
import threading
import time

import msgspec
import pytest
from gpiozero.pins.mock import MockPin
from hypothesis import given
from hypothesis import strategies as st

from linegate_runtime.geometry import Box
from linegate_runtime.triggers import Observation
from linegate_runtime.triggers.gpio import Edge, EdgeFilter, GpioOptions, GpioTrigger, Pull
from tests.runtime.gpio_support import numbers, pulse, trigger_on
from tests.runtime.live_support import even_picture

pytestmark = pytest.mark.usefixtures("pins")

MS = 1_000_000
S = 1_000 * MS
PICTURE = even_picture(0)

times = st.lists(st.integers(0, 1000), max_size=50).map(sorted)


def show(trigger: GpioTrigger, *taken_ns: int) -> list[Observation]:
    return [trigger.observe(PICTURE, taken) for taken in taken_ns]


def parts(observations: list[Observation]) -> list[list[int]]:
    return [[sighting.part for sighting in one.sightings] for one in observations]


# --- the filter --------------------------------------------------------------------------


@given(times, st.integers(0, 100))
def test_edges_that_count_keep_their_distance_and_the_first_counts(
    edges: list[int], debounce: int
) -> None:
    edge_filter = EdgeFilter(debounce)
    counted = [edge for edge in edges if edge_filter.accepts(edge)]
    assert counted[:1] == edges[:1]
    assert all(late - early >= debounce for early, late in itertools.pairwise(counted))


@given(times, st.integers(0, 100))
def test_an_edge_is_ignored_only_just_after_one_that_counted(
    edges: list[int], debounce: int
) -> None:
    edge_filter = EdgeFilter(debounce)
    last: int | None = None
    for edge in edges:
        if edge_filter.accepts(edge):
            last = edge
        else:
            assert last is not None
            assert edge - last < debounce


@given(times, st.integers(0, 100))
def test_filtering_again_changes_nothing(edges: list[int], debounce: int) -> None:
    first, second = EdgeFilter(debounce), EdgeFilter(debounce)
    counted = [edge for edge in edges if first.accepts(edge)]
    assert [edge for edge in counted if second.accepts(edge)] == counted


# --- edges -------------------------------------------------------------------------------


def test_an_edge_is_a_part_and_the_next_frames_show_it(pin: MockPin) -> None:
    region = Box(4, 4, 10, 10)
    trigger = GpioTrigger(GpioOptions(pin=17, frames=2), region)
    before_ns = time.monotonic_ns()
    assert numbers(trigger) == []
    assert parts(show(trigger, before_ns)) == [[]]
    pulse(pin)
    (begun,) = trigger.begun(time.monotonic_ns())
    assert begun.part == 1
    assert before_ns <= begun.monotonic_ns <= time.monotonic_ns()
    came_ns = begun.monotonic_ns
    observations = show(trigger, came_ns - 1, came_ns, came_ns + 1, came_ns + 2)
    assert parts(observations) == [[], [1], [1], []]
    assert [one.ended for one in observations] == [(), (), (1,), ()]
    assert observations[1].sightings[0].box == region


def test_the_state_tells_people_what_the_trigger_waits_for(pin: MockPin) -> None:
    trigger = trigger_on(frames=1)
    now_ns = time.monotonic_ns()
    (observation,) = show(trigger, now_ns)
    assert observation.state == "waiting for a rising edge on pin 17"
    pulse(pin)
    observations = show(trigger, now_ns, time.monotonic_ns())
    assert [one.state for one in observations] == ["part 1 is on its way", "part 1 is in view"]


@pytest.mark.parametrize("pull", list(Pull))
@pytest.mark.parametrize("edge", list(Edge))
def test_only_the_edge_asked_for_counts_whatever_pulls_the_pin(
    pin: MockPin, edge: Edge, pull: Pull
) -> None:
    trigger = trigger_on(edge=edge, pull=pull)
    pin.drive_low()
    pin.drive_high()
    pin.drive_low()
    pin.drive_high()
    numbers(trigger)
    pin.drive_low()
    assert len(numbers(trigger)) == (edge is Edge.FALLING)
    pin.drive_high()
    assert len(numbers(trigger)) == (edge is Edge.RISING)


@pytest.mark.parametrize(("edge", "pull"), [(Edge.RISING, Pull.DOWN), (Edge.FALLING, Pull.UP)])
@pytest.mark.usefixtures("pin")
def test_a_pin_at_rest_is_no_part(edge: Edge, pull: Pull) -> None:
    assert numbers(trigger_on(edge=edge, pull=pull)) == []


def test_bounces_are_one_part(pin: MockPin) -> None:
    trigger = trigger_on(debounce_s=60.0)
    for _ in range(5):
        pulse(pin)
    assert numbers(trigger) == [1]


def test_without_debouncing_every_edge_is_a_part(pin: MockPin) -> None:
    trigger = trigger_on(debounce_s=0.0)
    for _ in range(5):
        pulse(pin)
    assert numbers(trigger) == [1, 2, 3, 4, 5]


def test_an_edge_after_the_bounces_is_the_next_part(pin: MockPin) -> None:
    trigger = trigger_on(debounce_s=0.02)
    pulse(pin)
    time.sleep(0.03)
    pulse(pin)
    assert numbers(trigger) == [1, 2]


def test_edges_may_come_in_another_thread(pin: MockPin) -> None:
    trigger = trigger_on()

    def drive() -> None:
        for _ in range(200):
            pulse(pin)

    thread = threading.Thread(target=drive)
    thread.start()
    told: list[int] = []
    while thread.is_alive():
        told += numbers(trigger)
    thread.join()
    assert told + numbers(trigger) == list(range(1, 201))


# --- from the edge to the frames ---------------------------------------------------------


def test_a_delayed_part_is_told_of_at_once_and_shown_when_it_comes_into_view(
    pin: MockPin,
) -> None:
    trigger = trigger_on(delay_s=0.5, frames=1)
    before_ns = time.monotonic_ns()
    pulse(pin)
    after_ns = time.monotonic_ns()
    (begun,) = trigger.begun(after_ns)
    assert before_ns + 500 * MS <= begun.monotonic_ns <= after_ns + 500 * MS
    came_ns = begun.monotonic_ns
    observations = show(trigger, came_ns - 100 * MS, came_ns - 1, came_ns, came_ns + 1)
    assert parts(observations) == [[], [], [1], []]


def test_several_parts_may_be_on_their_way_and_each_gets_its_own_frames(pin: MockPin) -> None:
    trigger = trigger_on(delay_s=1.0, frames=2)
    came_ns = []
    for _ in range(3):
        pulse(pin)
        (begun,) = trigger.begun(0)
        came_ns.append(begun.monotonic_ns)
        time.sleep(0.002)
    observations = show(trigger, *(one + frame for one in came_ns for frame in range(3)))
    assert parts(observations) == [[1], [1], [], [2], [2], [], [3], [3], []]
    assert [one.ended for one in observations if one.ended] == [(1,), (2,), (3,)]


def test_a_frame_shows_the_newest_part_that_has_come_and_the_one_before_ends(
    pin: MockPin,
) -> None:
    trigger = trigger_on(frames=5)
    pulse(pin)
    pulse(pin)
    first, second = (begun.monotonic_ns for begun in trigger.begun(0))
    observations = show(trigger, first, second, second + 1)
    assert parts(observations) == [[1], [2], [2]]
    assert [one.ended for one in observations] == [(), (1,), ()]


def test_frames_after_the_time_in_view_do_not_show_the_part(pin: MockPin) -> None:
    trigger = trigger_on(frames=3, view_s=0.2)
    pulse(pin)
    (begun,) = trigger.begun(0)
    came_ns = begun.monotonic_ns
    observations = show(trigger, came_ns, came_ns + 200 * MS, came_ns + 200 * MS + 1)
    assert parts(observations) == [[1], [1], []]
    assert observations[2].ended == (1,)
    assert observations[2].unseen == 0


def test_edges_are_told_of_though_no_frame_comes(pin: MockPin) -> None:
    trigger = trigger_on()
    for part in range(1, 6):
        pulse(pin)
        assert numbers(trigger) == [part]
        assert numbers(trigger) == []
    (observation,) = show(trigger, time.monotonic_ns())
    assert parts([observation]) == [[5]]
    assert observation.ended == (1, 2, 3, 4)


def test_a_part_that_a_frame_shows_first_is_not_told_of_any_more(pin: MockPin) -> None:
    trigger = trigger_on(frames=1)
    pulse(pin)
    assert parts(show(trigger, time.monotonic_ns())) == [[1]]
    assert numbers(trigger) == []
    pulse(pin)
    assert numbers(trigger) == [2]


def test_parts_that_go_before_anybody_was_told_are_counted(pin: MockPin) -> None:
    trigger = trigger_on()
    for _ in range(3):
        pulse(pin)
    (observation,) = show(trigger, time.monotonic_ns())
    assert parts([observation]) == [[3]]
    assert observation.ended == ()
    assert observation.unseen == 2
    assert numbers(trigger) == []


def test_frames_of_a_recording_show_no_part(pin: MockPin) -> None:
    trigger = trigger_on()
    pulse(pin)
    assert parts(show(trigger, 0, 40 * MS)) == [[], []]
    assert numbers(trigger) == [1]


def test_edges_of_hours_without_a_camera_are_bounded_and_each_was_told_of(pin: MockPin) -> None:
    trigger = trigger_on()
    told = []
    for _ in range(1500):
        pulse(pin)
        told += numbers(trigger)
    assert told == list(range(1, 1501))
    assert len(trigger._open) <= 1001
    (observation,) = show(trigger, time.monotonic_ns())
    assert parts([observation]) == [[1500]]


@pytest.mark.parametrize(
    "options",
    [
        *({}, {"pin": 1.5}, {"pin": True}, {"pin": 17, "edge": "up"}, {"pin": 17, "pull": "on"}),
        *({"pin": 17, "debounce_s": -1}, {"pin": 17, "delay_s": -1}, {"pin": 17, "frames": 0}),
        {"pin": 17, "view_s": 0},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, GpioOptions)
