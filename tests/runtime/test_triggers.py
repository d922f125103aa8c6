"""Triggers: one contract for all, and the simple ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from linegate_bundle.errors import ConfigError
from linegate_runtime.geometry import Box
from linegate_runtime.triggers import TRIGGERS, Trigger
from linegate_runtime.triggers.continuous import ContinuousOptions, ContinuousTrigger
from linegate_runtime.triggers.fake import FakeOptions, FakeTrigger
from linegate_runtime.triggers.presence import PresenceOptions, PresenceTrigger
from tests.runtime.live_support import even_picture

Maker = Callable[[Box | None], Trigger[Any]]


@pytest.fixture(params=["continuous", "fake", "presence"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Maker:
    empty = tmp_path / "empty.png"
    assert cv2.imwrite(str(empty), even_picture(0, 160, 120))
    makers: dict[str, Maker] = {
        "continuous": lambda region: ContinuousTrigger(ContinuousOptions(frames=4), region),
        "fake": lambda region: FakeTrigger(FakeOptions(script=(0, 1, 1, 0, 2, 2, 0)), region),
        "presence": lambda region: PresenceTrigger(PresenceOptions(empty=empty), region),
    }
    return makers[request.param]


def test_every_registered_trigger_is_under_the_contract() -> None:
    assert TRIGGERS.names() == ["continuous", "fake", "presence"]


@pytest.mark.parametrize("name", ["continuous", "fake", "presence"])
def test_contract_options_have_defaults(name: str) -> None:
    family = TRIGGERS.load(name)
    family(family.Options(), None)


def test_contract_numbers_rise_from_one_and_an_ended_part_is_not_seen_again(make: Maker) -> None:
    trigger = make(None)
    seen: list[int] = []
    ended: list[int] = []
    for index in range(16):
        picture = even_picture(0, 160, 120)
        if index % 8 in {2, 3, 4}:
            picture[40:80, 60:100] = 200
        observation = trigger.observe(picture, index * 100_000_000)
        assert not {sighting.part for sighting in observation.sightings} & set(ended)
        seen += [sighting.part for sighting in observation.sightings]
        ended += observation.ended
    assert seen == sorted(seen)
    assert sorted(set(seen)) == list(range(1, max(seen) + 1))
    assert ended == sorted(set(ended))
    assert max(seen) >= 2


def test_contract_boxes_lie_in_the_region(make: Maker) -> None:
    region = Box(40, 20, 100, 80)
    trigger = make(region)
    boxes = []
    for index in range(8):
        picture = even_picture(0, 160, 120)
        picture[40:80, 60:100] = 200
        observation = trigger.observe(picture, index * 100_000_000)
        boxes += [sighting.box for sighting in observation.sightings]
    assert boxes
    for box in boxes:
        assert box is not None
        assert region.x <= box.x
        assert box.right <= region.right
        assert region.y <= box.y
        assert box.bottom <= region.bottom


@pytest.mark.parametrize("name", ["continuous", "presence"])
def test_a_region_outside_the_frame_is_a_configuration_error(name: str) -> None:
    family = TRIGGERS.load(name)
    trigger = family(family.Options(), Box(100, 0, 61, 120))
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
