import cv2
import numpy as np
import pytest

from linegate_bundle.images import encode_png
from linegate_bundle.manifest import Colour
from linegate_report.heat import AGAINST_COLOUR, FOR_COLOUR, heat_overlay, side_by_side
from linegate_training.explain.explanation import (
    FilterBank,
    HeatMap,
    HeatMethod,
    Stage,
    StageInfo,
    StageKind,
)
from linegate_training.explain.pictures import (
    filter_sheet,
    map_sheet,
    raw_heat,
    strongest_channels,
)


def heat(*rows: list[float]) -> HeatMap:
    return HeatMap(np.array(rows, np.float32), HeatMethod.CLASS_MAP, "bad", "good")


def test_what_speaks_for_and_against_has_the_two_colours() -> None:
    drawn = raw_heat(heat([4, -4], [0, 2]), side=2)
    assert tuple(drawn[0, 0, ::-1]) == FOR_COLOUR
    assert tuple(drawn[0, 1, ::-1]) == AGAINST_COLOUR
    assert tuple(drawn[1, 0]) == (255, 255, 255)
    assert drawn[1, 1, 2] > drawn[1, 1, 0]


def test_an_overlay_keeps_the_size_and_is_grey_where_nothing_speaks() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    drawn = heat_overlay(pixels, Colour.RGB, heat([0, 0, 9], [0, 0, 9]).values)
    assert drawn.shape == (20, 30, 3)
    assert (drawn[:, 0] == drawn[:, 0, :1]).all()
    assert (drawn[:, -1, 2] > drawn[:, -1, 0]).all()


def test_a_heat_map_of_zeros_leaves_the_picture() -> None:
    pixels = np.full((8, 8, 1), 77, np.uint8)
    assert (heat_overlay(pixels, Colour.GRAY, heat([0.0]).values) == 77).all()


def test_channels_that_vary_come_before_those_that_are_high_everywhere() -> None:
    maps = np.zeros((6, 6, 3), np.float32)
    maps[..., 0] = 100
    maps[2, 2, 2] = 5
    assert strongest_channels(maps) == [2, 0, 1]
    assert strongest_channels(maps, most=1) == [2]


def test_a_map_is_brightest_where_it_is_highest() -> None:
    maps = np.zeros((4, 4, 1), np.float32)
    maps[1, 2] = 3
    sheet = map_sheet(Stage(StageInfo("conv", StageKind.CONVOLUTION, (4, 4, 1)), maps))
    assert sheet.shape == (96, 96, 3)
    grey = cv2.cvtColor(sheet, cv2.COLOR_BGR2GRAY)
    assert grey[24:48, 48:72].min() > grey[:24].max()


def test_rounding_is_not_stretched_to_a_pattern() -> None:
    noise = 1e-6 * np.random.default_rng(0).standard_normal((4, 4, 1)).astype(np.float32)
    flat = map_sheet(Stage(StageInfo("conv", StageKind.CONVOLUTION, (4, 4, 1)), 3 + noise))
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 1


def test_colour_filters_are_drawn_in_their_colour_and_zero_is_grey() -> None:
    kernels = np.zeros((1, 1, 3, 2), np.float32)
    kernels[0, 0, 0, 0] = 2  # red
    sheet = filter_sheet(FilterBank("conv", kernels))
    assert tuple(sheet[10, 10]) == (128, 128, 255)
    assert tuple(sheet[10, -10]) == (128, 128, 128)


@pytest.mark.parametrize("inputs", [1, 5])
def test_other_filters_are_drawn_in_grey(inputs: int) -> None:
    kernels = np.random.default_rng(0).normal(size=(3, 3, inputs, 20)).astype(np.float32)
    sheet = filter_sheet(FilterBank("conv", kernels))
    assert sheet.shape == (3 * 96 + 2 * 3, 8 * 96 + 7 * 3, 3)
    assert (sheet == sheet[..., :1]).all()


def test_a_picture_survives_the_file() -> None:
    picture = side_by_side([np.full((4, 5, 3), 9, np.uint8), np.full((4, 2, 3), 7, np.uint8)])
    assert picture.shape == (4, 10, 3)
    read = cv2.imdecode(np.frombuffer(encode_png(picture), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read, picture)
