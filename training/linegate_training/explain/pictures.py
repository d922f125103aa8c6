"""Filters, feature maps and heat maps as pictures; arrays in, BGR uint8 arrays out."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from linegate_bundle.manifest import Colour
from linegate_bundle.preprocess import UInt8Array
from linegate_report.heat import input_picture, scaled, tint
from linegate_training.explain.explanation import FilterBank, Float32Array, HeatMap, Stage

MOST_CHANNELS = 16
MOST_FILTERS = 64
_TILE_SIDE = 96
_COLUMNS = 8
_GAP = 3
_RGB_CHANNELS = 3
_MAP_SIDE = 224
_ROUNDING = 1e-4
"""Differences that are smaller in relation to the values are none."""


def filter_sheet(bank: FilterBank) -> UInt8Array:
    """Draw the filters of a first layer: grey is 0, each filter on its own scale.

    Filters of three inputs are drawn in colour, others as the mean over their inputs.
    """
    kernels = bank.kernels[..., :MOST_FILTERS]
    if kernels.shape[2] != _RGB_CHANNELS:
        kernels = kernels.mean(axis=2, keepdims=True)
    largest = np.abs(kernels).max(axis=(0, 1, 2), keepdims=True)
    shades = 0.5 + 0.5 * kernels / np.where(largest > 0, largest, 1)
    tiles = np.moveaxis((255 * shades).round().astype(np.uint8), -1, 0)
    return _sheet([_tile(_to_bgr(tile)) for tile in tiles])


def map_sheet(stage: Stage) -> UInt8Array:
    """Draw the strongest feature maps of a stage, each on its own scale, from dark to bright."""
    return _sheet(
        [_tile(_coloured(stage.maps[..., channel])) for channel in strongest_channels(stage.maps)]
    )


def strongest_channels(maps: Float32Array, most: int = MOST_CHANNELS) -> list[int]:
    """Return the channels of ``(height, width, channels)`` that vary most over the picture.

    What is high everywhere says little; what is high in one place says where.
    """
    variation = maps.std(axis=(0, 1), dtype=np.float64)
    level = np.abs(maps).mean(axis=(0, 1), dtype=np.float64)
    return [int(channel) for channel in np.lexsort((-level, -variation))[:most]]


def raw_heat(heat: HeatMap, side: int = _MAP_SIDE) -> UInt8Array:
    """Draw a heat map cell by cell; white is 0, the colours are those of the overlay.

    Args:
        heat: the map.
        side: longer side of the result in pixels, about.
    """
    values = scaled(heat.values)
    share = np.abs(values)[..., np.newaxis]
    drawn = ((1 - share) * 255 + share * tint(values)).round().astype(np.uint8)
    factor = max(1, round(side / max(drawn.shape[:2])))
    return drawn.repeat(factor, axis=0).repeat(factor, axis=1)


def _coloured(values: Float32Array) -> UInt8Array:
    return cv2.applyColorMap(_stretch(values), cv2.COLORMAP_VIRIDIS).view(np.uint8)


def _stretch(values: Float32Array) -> UInt8Array:
    low, high = float(values.min()), float(values.max())
    if high - low <= _ROUNDING * max(abs(low), abs(high)):
        return np.zeros(values.shape, np.uint8)
    return (255 * (values - low) / (high - low)).round().astype(np.uint8)


def _to_bgr(tile: UInt8Array) -> UInt8Array:
    colour = Colour.RGB if tile.shape[2] == _RGB_CHANNELS else Colour.GRAY
    return input_picture(np.ascontiguousarray(tile), colour)


def _tile(picture: UInt8Array) -> UInt8Array:
    """Bring a picture to the size of a tile; cells stay visible when it is smaller."""
    height, width = picture.shape[:2]
    factor = _TILE_SIDE / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_NEAREST if factor > 1 else cv2.INTER_AREA
    return cv2.resize(picture, size, interpolation=method).view(np.uint8)


def _sheet(tiles: Sequence[npt.NDArray[np.uint8]]) -> UInt8Array:
    height, width = tiles[0].shape[:2]
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    shape = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    sheet = np.full(shape, 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (height + _GAP), number % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet
