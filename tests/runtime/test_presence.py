"""The presence trigger: each physical part exactly one number, and a crop that sits right."""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.geometry import Box, Size
from linegate_runtime.testing import Belt, Direction
from linegate_runtime.triggers.base import Observation
from linegate_runtime.triggers.presence import PresenceOptions, PresenceTrigger
from tests.runtime.live_support import even_picture, grey_part, through_jpeg

FPS = 30


@dataclasses.dataclass
class Watch:
    """What a trigger saw on a belt.

    Attributes:
        owners: for each number the true parts that it was given to, with frame counts.
        errors: how far boxes were off, left and top in pixels.
        ended: numbers in the order of their ends.
        unseen: how many parts were reported as never wholly in view.
    """

    owners: dict[int, collections.Counter[int]] = dataclasses.field(default_factory=dict)
    errors: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    sizes: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    ended: list[int] = dataclasses.field(default_factory=list)
    unseen: int = 0

    @property
    def numbers(self) -> list[list[int]]:
        """True parts by number, from 1."""
        return [sorted(self.owners[number]) for number in sorted(self.owners)]


def camera_view(picture: UInt8Array) -> UInt8Array:
    return picture


def watch(
    belt: Belt,
    trigger: PresenceTrigger,
    frames: Iterable[int] | None = None,
    view: Callable[[UInt8Array], UInt8Array] = camera_view,
) -> Watch:
    """Show a belt to a trigger and compare with the truth."""
    result = Watch()
    for index in range(len(belt) + 12) if frames is None else frames:
        observation = trigger.observe(view(belt.frame(index)), round(index / FPS * 1e9))
        compare(belt, index, observation, result)
    return result


def compare(belt: Belt, index: int, observation: Observation, result: Watch) -> None:
    for sighting in observation.sightings:
        box = sighting.box
        assert box is not None
        distances = [abs(belt.left_edge(part, index) - box.x) for part in range(belt.parts)]
        part = int(np.argmin(distances))
        result.owners.setdefault(sighting.part, collections.Counter())[part] += 1
        error = (box.x - belt.left_edge(part, index), box.y - belt.top_edge(part))
        result.errors.append(error)
        result.sizes.append((box.width, box.height))
    result.ended += observation.ended
    result.unseen += observation.unseen


def taught(belt: Belt, **options: object) -> PresenceTrigger:
    """Return a trigger that knows the empty belt."""
    trigger = PresenceTrigger(PresenceOptions(**options))  # type: ignore[arg-type]
    trigger.teach(belt.empty())
    return trigger


def cells(count: int, seed: int = 0, side: int = 300) -> list[UInt8Array]:
    """Return parts like photographs of solar cells: grey, with busbars and black regions."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(count):
        coarse = rng.integers(50, 170, (side // 20, side // 20), np.uint8)
        cell = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).view(np.uint8)
        for bar in range(3):
            row = side * (2 * bar + 1) // 6
            cell[row : row + 6] = 20
        x, y = rng.integers(0, side // 2, 2)
        cell[y : y + rng.integers(side // 2), x : x + rng.integers(side // 2)] = 8
        parts.append(cv2.cvtColor(cell, cv2.COLOR_GRAY2BGR).view(np.uint8))
    return parts


@pytest.mark.parametrize(
    ("speed_px", "gap_px", "direction"),
    [
        (12, 75, Direction.LEFT_TO_RIGHT),
        (13.3, 80, Direction.RIGHT_TO_LEFT),
        (25, 75, Direction.LEFT_TO_RIGHT),
    ],
)
def test_each_cell_on_the_belt_gets_one_number_and_its_exact_place(
    speed_px: float, gap_px: int, direction: Direction
) -> None:
    belt = Belt(cells(4), speed_px=speed_px, gap_px=gap_px, direction=direction)
    seen = watch(belt, taught(belt, part_size=Size(300, 300)), view=through_jpeg)
    assert seen.numbers == [[part] for part in range(4)]
    assert seen.ended == [1, 2, 3, 4]
    assert seen.unseen == 0
    errors = collections.Counter(seen.errors)
    assert errors[0, 0] >= 0.98 * len(seen.errors)
    assert set(seen.sizes) == {(300, 300)}


def test_without_a_part_size_the_crop_follows_the_edges() -> None:
    belt = Belt(cells(3, side=280), speed_px=14, gap_px=90)
    seen = watch(belt, taught(belt), view=through_jpeg)
    assert seen.numbers == [[part] for part in range(3)]
    assert max(abs(value) for error in seen.errors for value in error) <= 1
    assert all(abs(side - 280) <= 2 for size in seen.sizes for side in size)


@settings(max_examples=15, deadline=None)
@given(
    sides=st.lists(st.integers(20, 60), min_size=1, max_size=4),
    speed_px=st.floats(2, 12),
    gap_share=st.floats(0.3, 2),
    direction=st.sampled_from(Direction),
    lead_px=st.integers(-50, 100),
    data=st.data(),
)
def test_parts_of_any_size_speed_and_gap_get_one_number_each(
    sides: list[int],
    speed_px: float,
    gap_share: float,
    direction: Direction,
    lead_px: int,
    data: st.DataObject,
) -> None:
    parts = [grey_part(data.draw(st.integers(20, 180)), side) for side in sides]
    belt = Belt(
        parts,
        speed_px=min(speed_px, min(sides) / 2),  # the trigger's limit
        gap_px=max(15, round(gap_share * max(sides))),
        direction=direction,
        width=160,
        height=120,
        lead_px=lead_px,
    )
    seen = watch(belt, taught(belt, closing_px=6))
    whole = [part for part, passage in enumerate(belt.passages()) if passage.first <= passage.last]
    # Which of two parts in the very first frame is the foremost nobody can know.
    assert sorted(seen.numbers) == [[part] for part in whole]
    assert sorted(seen.ended) == list(range(1, len(whole) + 1))


@pytest.mark.parametrize("stride", [2, 4, 7])
def test_a_slow_consumer_still_tells_the_parts_apart(stride: int) -> None:
    belt = Belt(cells(6), speed_px=12, gap_px=90)
    trigger = taught(belt, part_size=Size(300, 300))
    seen = watch(belt, trigger, range(0, len(belt) + 30, stride))
    assert seen.numbers == [[part] for part in range(6)]
    assert seen.ended == [1, 2, 3, 4, 5, 6]


@settings(max_examples=15, deadline=None)
@given(delays_s=st.lists(st.floats(0, 0.08), min_size=40, max_size=40), data=st.data())
def test_frames_that_come_late_in_bunches_or_not_at_all_do_not_matter(
    delays_s: list[float], data: st.DataObject
) -> None:
    parts = [grey_part(30 if part % 2 else 180, 75) for part in range(5)]
    belt = Belt(parts, speed_px=8, gap_px=45, width=160, height=120, lead_px=100)
    trigger, seen, time_s, index = taught(belt, part_size=Size(75, 75)), Watch(), 0.0, 0
    gaps = data.draw(st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=200, max_size=200))
    while index < len(belt) + 10:
        time_s = max(time_s + 0.0005, index / FPS + delays_s[index % 40])
        compare(belt, index, trigger.observe(belt.frame(index), round(time_s * 1e9)), seen)
        index += gaps[index]
    assert seen.numbers == [[part] for part in range(5)]


def test_a_belt_that_stops_with_two_parts_half_in_view_and_goes_on_counts_none_twice() -> None:
    belt = Belt(cells(3), speed_px=10, gap_px=100)
    halt = 75
    assert belt.left_edge(0, halt) < 640 < belt.left_edge(0, halt) + 300
    assert belt.left_edge(1, halt) < 640
    trigger = taught(belt, part_size=Size(300, 300))
    seen = Watch()
    frames = [*range(halt), *[halt] * 90, *range(halt, len(belt) + 10)]
    for step, index in enumerate(frames):
        observation = trigger.observe(belt.frame(index), round(step / FPS * 1e9))
        compare(belt, index, observation, seen)
    assert seen.numbers == [[0], [1], [2]]


def test_a_part_replaced_while_the_camera_was_away_gets_a_new_number() -> None:
    belt = Belt(cells(3), speed_px=10, gap_px=75)
    trigger = taught(belt, part_size=Size(300, 300))
    # 375 px from part to part: the next one lies just where the last one was.
    away = round(375 / 10)
    seen = watch(belt, trigger, [*range(50), *range(50 + away, len(belt) + 12)])
    assert seen.numbers == [[0], [1], [2]]


def test_a_part_in_view_at_the_start_is_seen_in_the_first_frame() -> None:
    belt = Belt(cells(1), speed_px=5, gap_px=75, lead_px=400)
    observation = taught(belt).observe(belt.frame(0), 1)
    assert [sighting.part for sighting in observation.sightings] == [1]


def place(scene: UInt8Array, part: UInt8Array, x: int, y: int) -> UInt8Array:
    picture = scene.copy()
    picture[y : y + part.shape[0], x : x + part.shape[1]] = part
    return picture


def numbers_seen(trigger: PresenceTrigger, pictures: Sequence[UInt8Array]) -> list[list[int]]:
    return [
        [sighting.part for sighting in trigger.observe(picture, round(index / FPS * 1e9)).sightings]
        for index, picture in enumerate(pictures)
    ]


def test_parts_laid_down_by_hand_get_one_number_each_however_long_they_rest() -> None:
    belt = Belt([], speed_px=1, gap_px=0)
    scene, part = belt.empty(), grey_part(150, 200)
    rest = [place(scene, part, 200, 150)] * 300
    seen = numbers_seen(taught(belt), [scene, *rest, *[scene] * 10, *rest[:5]])
    assert seen[1:301] == [[1]] * 300
    assert seen[301:311] == [[]] * 10
    assert seen[311:] == [[2]] * 5


def test_a_part_that_flickers_for_a_moment_keeps_its_number() -> None:
    belt = Belt([], speed_px=1, gap_px=0)
    scene, part = belt.empty(), grey_part(150, 200)
    there = place(scene, part, 200, 150)
    seen = numbers_seen(taught(belt), [there, there, scene, scene, there, there])
    assert seen == [[1], [1], [], [], [1], [1]]


def test_a_belt_may_run_from_top_to_bottom() -> None:
    belt = Belt(cells(3, side=200), speed_px=9, gap_px=80, height=480)
    trigger = PresenceTrigger(PresenceOptions(part_size=Size(200, 200)))

    def turn(picture: UInt8Array) -> UInt8Array:
        return np.ascontiguousarray(picture.transpose(1, 0, 2))

    trigger.teach(turn(belt.empty()))
    numbers: list[int] = []
    for index in range(len(belt) + 10):
        observation = trigger.observe(turn(belt.frame(index)), round(index / FPS * 1e9))
        for sighting in observation.sightings:
            assert sighting.box is not None
            part = sighting.part - 1
            assert abs(sighting.box.y - belt.left_edge(part, index)) <= 1
            numbers.append(sighting.part)
    assert sorted(set(numbers)) == [1, 2, 3]


def test_several_whole_parts_in_one_frame_are_all_seen() -> None:
    belt = Belt([grey_part(180, 80)] * 8, speed_px=6, gap_px=40)
    trigger = taught(belt)
    most = 0
    for index in range(len(belt)):
        observation = trigger.observe(belt.frame(index), round(index / FPS * 1e9))
        most = max(most, len(observation.sightings))
    assert most >= 4


def test_noise_and_slowly_changing_light_do_not_matter() -> None:
    belt = Belt(cells(3), speed_px=10, gap_px=100)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 3, (2, 480, 640, 3)).astype(np.float32)
    trigger = taught(belt, part_size=Size(300, 300))
    seen = Watch()
    for index in range(len(belt) + 12):
        light = np.float32(1 + 0.3 * np.sin(index / 40))
        picture = np.clip(belt.frame(index) * light + noise[index % 2], 0, 255).astype(np.uint8)
        observation = trigger.observe(through_jpeg(picture, 80), round(index / FPS * 1e9))
        compare(belt, index, observation, seen)
    assert seen.numbers == [[0], [1], [2]]
    assert max(abs(value) for error in seen.errors for value in error) <= 1


def test_pieces_of_a_part_as_dark_as_the_belt_are_one_part_when_its_size_is_known() -> None:
    scene = even_picture(10, 640, 480)
    part = np.full((300, 300, 3), 150, np.uint8)
    part[:, 100:180] = 10  # a gap wider than any closing
    trigger = PresenceTrigger(PresenceOptions(part_size=Size(300, 300)))
    trigger.teach(scene)
    for index, x in enumerate(range(20, 320, 10)):
        observation = trigger.observe(place(scene, part, x, 90), index * 33_000_000)
        assert [sighting.part for sighting in observation.sightings] == [1]
        assert observation.sightings[0].box == Box(x, 90, 300, 300)


def test_the_empty_scene_is_learned_from_the_first_frames_if_no_picture_is_given() -> None:
    belt = Belt(cells(2), speed_px=10, gap_px=100, lead_px=-200)
    trigger = PresenceTrigger(PresenceOptions(part_size=Size(300, 300)))
    seen = watch(belt, trigger, view=through_jpeg)
    assert seen.numbers == [[0], [1]]


def test_a_part_too_fast_to_be_seen_as_a_whole_is_reported() -> None:
    parts = [grey_part(150, 460).repeat(2, axis=1)[:, :500]] * 2
    belt = Belt(parts, speed_px=150, gap_px=400, lead_px=45)
    assert all(passage.last < passage.first for passage in belt.passages())
    seen = watch(belt, taught(belt))
    assert seen.owners == {}
    assert seen.unseen == 2


def test_a_region_hides_what_lies_outside() -> None:
    belt = Belt(cells(2, side=200), speed_px=10, gap_px=100)
    region = Box(100, 120, 440, 240)
    trigger = PresenceTrigger(PresenceOptions(part_size=Size(200, 200)), region)
    trigger.teach(belt.empty())
    seen = watch(belt, trigger)
    assert seen.numbers == [[0], [1]]
    assert max(abs(value) for error in seen.errors for value in error) == 0


def test_parts_touching_the_region_are_not_judged() -> None:
    belt = Belt(cells(1, side=300), speed_px=10, gap_px=0)
    region = Box(0, 100, 640, 380)  # cuts the upper 10 rows of the part off
    trigger = PresenceTrigger(PresenceOptions(), region)
    trigger.teach(belt.empty())
    seen = watch(belt, trigger)
    assert seen.owners == {}
    assert seen.unseen == 1


def test_an_empty_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    assert cv2.imwrite(str(path), even_picture(0, 320, 240))
    trigger = PresenceTrigger(PresenceOptions(empty=path))
    with pytest.raises(ConfigError, match=r"empty\.png: expected .*640x480, got 320x240"):
        trigger.observe(even_picture(0, 640, 480), 1)


def test_a_missing_empty_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a picture of the empty scene: .*cannot be"):
        PresenceTrigger(PresenceOptions(empty=tmp_path / "empty.png"))


def test_frames_that_change_their_size_are_refused() -> None:
    trigger = PresenceTrigger(PresenceOptions())
    trigger.observe(even_picture(0, 640, 480), 1)
    with pytest.raises(ConfigError, match="as before"):
        trigger.observe(even_picture(0, 320, 240), 2)


@settings(max_examples=60, deadline=None)
@given(
    left=st.integers(10, 200),
    top=st.integers(10, 150),
    width=st.integers(30, 200),
    height=st.integers(30, 150),
    value=st.integers(70, 255),
)
def test_edges_are_found_to_half_a_pixel(
    left: int, top: int, width: int, height: int, value: int
) -> None:
    scene = even_picture(30, 640, 480)
    trigger = PresenceTrigger(PresenceOptions())
    trigger.teach(scene)
    part = np.full((height, width, 3), value, np.uint8)
    observation = trigger.observe(place(scene, part, left, top), 1)
    assert [sighting.box for sighting in observation.sightings] == [Box(left, top, width, height)]


def test_a_part_ends_as_soon_as_it_begins_to_leave() -> None:
    belt = Belt(cells(1, side=200), speed_px=10, gap_px=0)
    trigger = taught(belt)
    last = belt.passages()[0].last
    for index in range(last + 10):
        if trigger.observe(belt.frame(index), round(index / FPS * 1e9)).ended:
            assert last <= index <= last + 3
            return
    pytest.fail("the part did not end")


def test_a_part_that_touches_the_edge_while_it_rests_does_not_end() -> None:
    scene, part = even_picture(30, 640, 480), grey_part(200, 200)
    trigger = PresenceTrigger(PresenceOptions())
    trigger.teach(scene)
    for index, x in enumerate([5, 5, 0, 0, 5, 0, 5, 5]):
        observation = trigger.observe(place(scene, part, x, 100), index * 400_000_000)
        assert observation.ended == ()
        assert [s.part for s in observation.sightings] == ([1] if x else [])
