"""The gpio trigger, on gpiozero's mock pins: real edges, bounces, delays and faults."""

import gc
import itertools
import logging
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from gpiozero import Device, DigitalInputDevice, PinFactoryFallback
from gpiozero.pins.mock import MockFactory, MockPin
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError
from linegate_runtime.geometry import Box
from linegate_runtime.triggers import Observation
from linegate_runtime.triggers.gpio import Edge, EdgeFilter, GpioOptions, GpioTrigger, Pull
from tests.runtime.live_support import even_picture

MS = 1_000_000
S = 1_000 * MS
PICTURE = even_picture(0)

times = st.lists(st.integers(0, 1000), max_size=50).map(sorted)


@pytest.fixture(autouse=True)
def pins() -> Iterator[MockFactory]:
    before, Device.pin_factory = Device.pin_factory, MockFactory()
    yield Device.pin_factory
    if Device.pin_factory is not None:
        Device.pin_factory.close()
    Device.pin_factory = before


@pytest.fixture
def pin(pins: MockFactory) -> MockPin:
    return pins.pin(17)


def trigger_on(pin: int | str = 17, **options: Any) -> GpioTrigger:
    return GpioTrigger(GpioOptions(pin=pin, **({"debounce_s": 0.0, "frames": 3} | options)))


def pulse(pin: MockPin) -> None:
    pin.drive_high()
    pin.drive_low()


def numbers(trigger: GpioTrigger) -> list[int]:
    return [begun.part for begun in trigger.begun(time.monotonic_ns())]


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


# --- the pin -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [17, "17", "GPIO17", "BOARD11"])
def test_a_pin_has_the_names_that_gpiozero_gives_it(pin: MockPin, name: int | str) -> None:
    trigger = trigger_on(name)
    pulse(pin)
    assert numbers(trigger) == [1]


def test_a_closed_trigger_frees_its_pin_and_hears_no_edge(pin: MockPin) -> None:
    trigger = trigger_on()
    trigger.close()
    trigger.close()
    pulse(pin)
    assert numbers(trigger) == []
    other = trigger_on()
    pulse(pin)
    assert numbers(other) == [1]


@pytest.mark.usefixtures("pin")
def test_a_trigger_that_nobody_holds_frees_its_pin() -> None:
    trigger_on()
    gc.collect()
    trigger_on().close()


@pytest.mark.parametrize("name", [17, "GPIO17", "BOARD11"])
def test_a_taken_pin_is_a_configuration_error(name: int | str) -> None:
    with (
        DigitalInputDevice(17),
        pytest.raises(ConfigError, match=r"GPIO17 is already in use .* a pin of its own"),
    ):
        trigger_on(name)


@pytest.mark.usefixtures("pin")
def test_a_pin_cannot_be_pulled_both_ways() -> None:
    trigger = trigger_on(pull=Pull.UP)
    with pytest.raises(ConfigError, match="share one the same pull"):
        trigger_on(pull=Pull.DOWN)
    trigger.close()


@pytest.mark.parametrize("name", [17, "GPIO17", "BOARD11"])
def test_two_cameras_may_share_a_light_barrier(pin: MockPin, name: int | str) -> None:
    first, second = trigger_on(), trigger_on(name, edge=Edge.FALLING)
    pin.drive_high()
    assert (numbers(first), numbers(second)) == ([1], [])
    pin.drive_low()
    assert (numbers(first), numbers(second)) == ([], [1])
    first.close()
    first.close()
    pulse(pin)
    assert (numbers(first), numbers(second)) == ([], [2])
    second.close()
    third = trigger_on(pull=Pull.UP)
    third.close()


def test_a_listener_that_is_gone_does_not_keep_the_pin_from_the_others(pin: MockPin) -> None:
    kept = trigger_on()
    trigger_on()
    gc.collect()
    pulse(pin)
    assert numbers(kept) == [1]
    kept.close()
    trigger_on(pull=Pull.UP).close()


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


@pytest.mark.parametrize("name", [99, -1, "GPIO99", "nonsense", "BOARD6", ""])
def test_an_unknown_pin_is_a_configuration_error(name: int | str) -> None:
    with pytest.raises(
        ConfigError, match=r"expected a pin that this board has, such as 17.*pinout"
    ):
        trigger_on(name)


def test_a_pull_that_the_board_forbids_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"expected the pull that the pin has.*GPIO2"):
        trigger_on(2, pull=Pull.DOWN)
    trigger_on(2, pull=Pull.UP).close()


def test_a_pin_that_another_program_holds_is_a_configuration_error(
    pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ChipError(Exception):
        """What lgpio raises derives from nothing else."""

    def busy(name: object) -> None:
        raise ChipError(f"'GPIO busy' ({name})")

    monkeypatch.setattr(pins, "pin", busy)
    with pytest.raises(ConfigError, match=r"pin 17: 'GPIO busy' .*; .*other program.*group gpio"):
        trigger_on()


def test_missing_gpiozero_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(ConfigError, match=r"pip install 'linegate-runtime\[gpio\]'.*group gpio"):
        trigger_on()


def test_a_machine_without_pins_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none() -> None:
        warnings.warn(PinFactoryFallback("Falling back from lgpio: no chip"), stacklevel=1)
        raise OSError("no pins here")

    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setattr(Device, "_default_pin_factory", find_none)
    expected = r"no pins on this machine.*group gpio.*\(no pins here; Falling back.* no chip\)"
    with pytest.raises(ConfigError, match=expected):
        trigger_on()


def test_what_gpiozero_could_not_use_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fall_back() -> MockFactory:
        warnings.warn(PinFactoryFallback("Falling back from lgpio: no chip"), stacklevel=1)
        return MockFactory()

    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setattr(Device, "_default_pin_factory", fall_back)
    with caplog.at_level(logging.WARNING):
        trigger_on().close()
    assert caplog.messages == ["Falling back from lgpio: no chip"]


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
