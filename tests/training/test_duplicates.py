from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.preprocess import UInt8Array
from linegate_training.data.alignment import Aligner
from linegate_training.data.bursts import find_bursts, natural_key
from linegate_training.data.clusters import Clusters
from linegate_training.data.duplicates import find_near_duplicates
from linegate_training.data.spectra import TURNS, turned
from tests.training.textures import again, part

PARTS = 80
ORIGIN = 17


def jpeg(picture: UInt8Array) -> UInt8Array:
    _, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 70])
    return cv2.imdecode(content, cv2.IMREAD_GRAYSCALE).view(np.uint8)  # type: ignore[union-attr]


CHANGES: dict[str, Callable[[UInt8Array], UInt8Array]] = {
    "compressed": jpeg,
    "turned": np.rot90,
    "turned by half": lambda picture: picture[::-1, ::-1],
    "mirrored": lambda picture: picture[:, ::-1],
    "mirrored at the diagonal": lambda picture: picture.T,
    "brighter": lambda picture: (picture * 1.1).clip(0, 255).astype(np.uint8),
    "darker": lambda picture: (picture * 0.9).astype(np.uint8),
    "smaller": lambda picture: cv2.resize(picture, None, fx=0.8, fy=0.8).view(np.uint8),
    "shifted": lambda picture: np.pad(picture, ((0, 2), (2, 0)), "edge")[2:, :-2],
    "photographed again": lambda picture: again(picture, np.random.default_rng(1)),
}


def thumbnail(picture: UInt8Array) -> UInt8Array:
    return cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA).view(np.uint8)


@pytest.fixture(scope="module")
def parts() -> list[UInt8Array]:
    """Parts in one fixture, all different, though they look alike."""
    rng = np.random.default_rng(0)
    return [part(rng) for _ in range(PARTS)]


def found(pictures: list[UInt8Array]) -> set[tuple[int, int]]:
    thumbnails = np.stack([thumbnail(picture) for picture in pictures])
    pairs = find_near_duplicates(thumbnails, Aligner(thumbnails))
    assert [pair.distance for pair in pairs] == sorted(pair.distance for pair in pairs)
    return {(pair.first, pair.second) for pair in pairs}


def test_parts_that_only_look_alike_are_no_duplicates(parts: list[UInt8Array]) -> None:
    flat = [cv2.absdiff(parts[0], other).mean() for other in parts[1:]]
    assert max(flat) < 20  # a hash would take them all for one
    assert found(parts) == set()


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(parts: list[UInt8Array], change: str) -> None:
    copy = np.ascontiguousarray(CHANGES[change](parts[ORIGIN]))
    assert found([*parts, copy]) == {(ORIGIN, PARTS)}


def test_many_copies_of_one_picture_are_all_joined(parts: list[UInt8Array]) -> None:
    rng = np.random.default_rng(2)
    copies = [again(parts[ORIGIN], rng) for _ in range(20)]
    clusters = Clusters(map(str, range(PARTS + 20)))
    for one, other in found([*parts, *map(jpeg, copies)]):
        clusters.join(str(one), str(other))
    (members,) = clusters.members()
    assert set(members) == {str(ORIGIN), *map(str, range(PARTS, PARTS + 20))}


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_small_data_sets_work_too(parts: list[UInt8Array], count: int) -> None:
    assert found(parts[:count]) == set()
    expected = (0, count)
    assert found([*parts[:count], np.ascontiguousarray(parts[0][:, ::-1])]) == {expected}


def test_pictures_that_show_nothing_are_no_duplicates() -> None:
    rng = np.random.default_rng(3)
    blank = [rng.integers(99, 102, (64, 64), dtype=np.uint8) for _ in range(30)]
    uniform = [np.full((64, 64), level, np.uint8) for level in (0, 100, 255)]
    assert found([*blank, *uniform]) == set()


@given(st.integers(0, TURNS - 1), st.integers(0, 2**31))
def test_every_turn_holds_the_same_pixels(turn: int, seed: int) -> None:
    picture = np.random.default_rng(seed).normal(size=(6, 6)).astype(np.float32)
    assert sorted(turned(picture, turn).ravel()) == sorted(picture.ravel())
    others = [turned(picture, other).tobytes() for other in range(TURNS)]
    assert len(set(others)) == TURNS


def bursts(pictures: list[UInt8Array], names: list[str], taken: list[float]) -> set[frozenset[int]]:
    aligner = Aligner(np.stack([thumbnail(picture) for picture in pictures]))
    pairs = find_bursts(names, taken, ["ok"] * len(names), aligner)
    return {frozenset((pair.first, pair.second)) for pair in pairs}


def moved(picture: UInt8Array, other: UInt8Array) -> UInt8Array:
    """The same part, half covered by what changed meanwhile."""
    return (0.7 * picture + 0.3 * other).astype(np.uint8)


def test_pictures_of_one_part_that_follow_each_other_are_a_burst(parts: list[UInt8Array]) -> None:
    series = [moved(parts[ORIGIN], parts[other]) for other in (60, 61, 62)]
    pictures = [*parts[: ORIGIN + 1], *series, *parts[ORIGIN + 1 : 60]]
    names = [f"frame{number}.png" for number in range(len(pictures))]
    unknown = [float("nan")] * len(names)
    expected = {frozenset((ORIGIN + step, ORIGIN + step + 1)) for step in range(3)}
    assert bursts(pictures, names, unknown) == expected


def test_the_cameras_clock_tells_what_follows_where_names_do_not(parts: list[UInt8Array]) -> None:
    pictures = [*parts[:50], moved(parts[4], parts[60])]
    names = [f"{number:03}.png" for number in range(51)]
    clock = [100.0 * number for number in range(50)] + [401.5]
    assert bursts(pictures, names, [float("nan")] * 51) == set()
    assert bursts(pictures, names, clock) == {frozenset((4, 50))}
    assert bursts(pictures, names, [*clock[:50], 450.0]) == set()


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["img10.png", "img2.png", "img2b.png", "10.png", "img1.png"]
    assert sorted(names, key=natural_key) == [
        "10.png", "img1.png", "img2.png", "img2b.png", "img10.png",
    ]  # fmt: skip


@given(st.lists(st.integers(0, 10**6)))
def test_natural_order_is_that_of_the_numbers(numbers: list[int]) -> None:
    names = [f"part{number}_a.png" for number in numbers]
    ordered = [f"part{number}_a.png" for number in sorted(numbers)]
    assert sorted(names, key=natural_key) == ordered
