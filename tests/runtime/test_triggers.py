"""Triggers: one contract for all, and the simple ones."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from linegate_bundle.errors import ConfigError
from linegate_runtime.geometry import Box
from linegate_runtime.testing import Belt
from linegate_runtime.triggers import TRIGGERS, Observation, Trigger, call_desk
from linegate_runtime.triggers.continuous import ContinuousOptions, ContinuousTrigger
from linegate_runtime.triggers.fake import FakeOptions, FakeTrigger
from linegate_runtime.triggers.presence import PresenceOptions, PresenceTrigger
from tests.broker import free_port
from tests.runtime.live_support import even_picture, grey_part

FRAME_NS = 100_000_000

REQUIRED: dict[str, dict[str, object]] = {
    "continuous": {},
    "fake": {},
    "gpio": {"pin": 17},
    "interval": {"period_s": 0.4},
    "presence": {},
    "software": {"listen": f"127.0.0.1:{free_port()}"},
}
"""The options that each trigger cannot do without."""


@dataclasses.dataclass(frozen=True)
class Rig:
    """A trigger and what happens around it before a frame is taken."""

    make: Callable[[Box | None], Trigger[Any]]
    before_frame: Callable[[int], None]


@dataclasses.dataclass
class Seen:
    """What came of the 16 frames that every trigger is shown."""

    told: list[int] = dataclasses.field(default_factory=list)
    sighted: list[int] = dataclasses.field(default_factory=list)
    ended: list[int] = dataclasses.field(default_factory=list)
    observations: list[Observation] = dataclasses.field(default_factory=list)


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    before, Device.pin_factory = Device.pin_factory, MockFactory()
    yield Device.pin_factory
    Device.pin_factory.close()
    Device.pin_factory = before


@pytest.fixture(params=sorted(REQUIRED))
def rig(request: pytest.FixtureRequest, tmp_path: Path, pins: MockFactory) -> Rig:
    empty = tmp_path / "empty.png"
    assert cv2.imwrite(str(empty), even_picture(0, 160, 120))
    more: dict[str, dict[str, object]] = {
        "continuous": {"frames": 4},
        "fake": {"script": (0, 1, 1, 0, 2, 2, 0)},
        "gpio": {"debounce_s": 0.0},
        "interval": {"frames": 2},
        "presence": {"empty": empty},
        "software": {"frames": 2},
    }
    options = REQUIRED[request.param] | more[request.param]

    def before_frame(index: int) -> None:
        if index in {2, 8}:
            pins.pin(17).drive_high()
            pins.pin(17).drive_low()
            if request.param == "software":
                for desk in call_desk._OPEN.values():
                    for clerk in desk._clerks:
                        clerk.begin(time.monotonic_ns())

    return Rig(lambda region: make(request.param, options, region), before_frame)


def make(name: str, options: dict[str, object], region: Box | None = None) -> Trigger[Any]:
    family = TRIGGERS.load(name)
    return family(msgspec.convert(options, family.Options), region)


def watch(rig: Rig, trigger: Trigger[Any]) -> Seen:
    """Show 16 frames, taken at ten a second from now on, with a bright part in some."""
    seen = Seen()
    start_ns = time.monotonic_ns()
    for index in range(16):
        rig.before_frame(index)
        picture = even_picture(0, 160, 120)
        if index % 8 in {2, 3, 4}:
            picture[40:80, 60:100] = 200
        taken_ns = start_ns + index * FRAME_NS
        told = [begun.part for begun in trigger.begun(taken_ns)]
        assert not set(told) & {*seen.told, *seen.sighted, *seen.ended}
        observation = trigger.observe(picture, taken_ns)
        sighted = [sighting.part for sighting in observation.sightings]
        assert not set(sighted) & set(seen.ended)
        seen.told += told
        seen.sighted += sighted
        seen.ended += observation.ended
        seen.observations.append(observation)
    return seen


def test_every_registered_trigger_is_under_the_contract() -> None:
    assert TRIGGERS.names() == sorted(REQUIRED)
    assert TRIGGERS.names() == sorted(REQUIRED)


@pytest.mark.usefixtures("pins")
@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_contract_other_options_have_defaults(name: str) -> None:
    make(name, REQUIRED[name]).close()


def test_contract_numbers_rise_from_one_and_an_ended_part_is_not_seen_again(rig: Rig) -> None:
    seen = watch(rig, rig.make(None))
    assert seen.sighted == sorted(seen.sighted)
    assert sorted(set(seen.sighted)) == list(range(1, max(seen.sighted) + 1))
    assert seen.ended == sorted(set(seen.ended))
    assert max(seen.sighted) >= 2
    assert not sum(observation.unseen for observation in seen.observations)


def test_contract_a_part_is_told_of_once_and_in_order(rig: Rig) -> None:
    trigger = rig.make(None)
    seen = watch(rig, trigger)
    assert seen.told == sorted(set(seen.told))
    later_ns = time.monotonic_ns() + 60 * 10**9
    told = trigger.begun(later_ns)
    assert not {begun.part for begun in told} & {*seen.told, *seen.sighted}
    assert trigger.begun(later_ns) == ()


def test_contract_boxes_lie_in_the_region(rig: Rig) -> None:
    region = Box(40, 20, 100, 80)
    seen = watch(rig, rig.make(region))
    boxes = [one.box for observation in seen.observations for one in observation.sightings]
    assert boxes
    for box in boxes:
        assert box is not None
        assert region.x <= box.x
        assert box.right <= region.right
        assert region.y <= box.y
        assert box.bottom <= region.bottom


def test_contract_closing_twice_does_no_harm(rig: Rig) -> None:
    trigger = rig.make(None)
    trigger.close()
    trigger.close()
    rig.make(None).close()


@pytest.mark.usefixtures("pins")
@pytest.mark.parametrize("name", sorted(REQUIRED.keys() - {"fake"}))
def test_a_region_outside_the_frame_is_a_configuration_error(name: str) -> None:
    trigger = make(name, REQUIRED[name], Box(100, 0, 61, 120))
    with pytest.raises(ConfigError, match=r"160x120, got 100,0,61,120 .*correct the region"):
        trigger.observe(even_picture(0, 160, 120), 1)


def test_continuous_makes_a_part_of_so_many_frames() -> None:
    trigger = ContinuousTrigger(ContinuousOptions(frames=3))
    observations = [trigger.observe(even_picture(0), index) for index in range(7)]
    parts = [observation.sightings[0].part for observation in observations]
    assert parts == [1, 1, 1, 2, 2, 2, 3]
    assert [observation.ended for observation in observations] == [
        *((), (), (1,)),
        *((), (), (2,)),
        (),
    ]


def test_the_fake_follows_its_script_and_then_sees_nothing() -> None:
    trigger = FakeTrigger(FakeOptions(script=(1, 2, 0)))
    observations = [trigger.observe(even_picture(0), index) for index in range(5)]
    assert [[s.part for s in o.sightings] for o in observations] == [[1], [2], [], [], []]
    assert [o.ended for o in observations] == [(), (1,), (2,), (), ()]


def test_a_part_put_in_the_place_of_another_while_no_frame_came_is_a_new_one() -> None:
    belt = Belt([], speed_px=1, gap_px=0, width=320, height=240)
    scene, part = belt.empty(), grey_part(60, 80)
    trigger = PresenceTrigger(PresenceOptions())
    trigger.teach(scene)
    picture = scene.copy()
    picture[80:160, 100:180] = part
    numbers = [
        [sighting.part for sighting in trigger.observe(picture, round(at * 1e9)).sightings]
        for at in (0.0, 0.03, 0.06, 1.0, 5.0, 5.03)
    ]
    assert numbers == [[1], [1], [1], [1], [2], [2]]
