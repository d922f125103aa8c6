"""What counts as a new picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import CameraError
from linegate_runtime.capture_checks import Finding, FrameChecks
from linegate_runtime.capture_child import Watch
from linegate_runtime.capture_protocol import Notice
from linegate_runtime.sources import SourceOptions
from tests.runtime.live_support import even_picture

CHECKS = FrameChecks(black_below=12, repeats=True)


def noise(seed: int, low: int = 30, high: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (48, 64, 3), np.uint8)


def test_the_first_picture_is_not_known_to_be_new() -> None:
    assert CHECKS.look(noise(0), None) is Finding.FIRST
    assert CHECKS.look(noise(1), noise(0)) is Finding.NEW


@given(row=st.integers(0, 47), column=st.integers(0, 63), channel=st.integers(0, 2))
def test_one_other_byte_anywhere_makes_a_new_picture(row: int, column: int, channel: int) -> None:
    before = noise(0)
    now = before.copy()
    assert CHECKS.look(now, before) is Finding.REPEATED
    now[row, column, channel] ^= 1
    assert CHECKS.look(now, before) is Finding.NEW


def test_a_covered_lens_is_black_and_a_dark_scene_with_a_part_is_not() -> None:
    covered = noise(0, 0, 9)
    assert CHECKS.look(covered, noise(1)) is Finding.BLACK
    dark = covered.copy()
    dark[10:25, 20:40] = 120
    assert CHECKS.look(dark, noise(1)) is Finding.NEW


def test_both_can_be_left_out() -> None:
    checks = FrameChecks(black_below=0, repeats=False)
    assert checks.look(even_picture(0), even_picture(0)) is Finding.NEW
    assert checks.look(even_picture(0), None) is Finding.NEW


def test_pictures_smaller_than_the_grid_are_looked_at_as_a_whole() -> None:
    tiny = np.zeros((2, 3, 3), np.uint8)
    assert CHECKS.look(tiny, tiny + 200) is Finding.BLACK


@pytest.mark.parametrize(
    ("finding", "message"),
    [(Finding.REPEATED, "it is frozen"), (Finding.BLACK, "look at its lens")],
)
def test_a_camera_without_a_new_picture_for_too_long_is_lost(
    finding: Finding, message: str
) -> None:
    watch = Watch(SourceOptions(address="x"), 2.0)
    watch.note(Finding.FIRST, 0.0)
    watch.note(finding, 1.9)
    watch.note(Finding.NEW, 1.95)
    watch.note(finding, 3.9)
    with pytest.raises(CameraError, match=message):
        watch.note(finding, 3.96)


def test_the_rate_is_judged_once_after_some_seconds() -> None:
    watch = Watch(SourceOptions(address="x", fps=30), 2.0)
    notices = [watch.note(Finding.NEW, number / 10) for number in range(100)]
    told = [notice for notice in notices if notice is not None]
    expected = "expected 30 frames a second as configured, it gives 10.0; "
    assert told == [Notice(message=expected + "look at its exposure, size and connection")]
    steady = Watch(SourceOptions(address="x", fps=30), 2.0)
    assert not any(steady.note(Finding.NEW, number / 30) for number in range(200))
