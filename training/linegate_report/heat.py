"""Pictures of a model's input, and of what speaks for or against a label in it; BGR uint8."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from linegate_bundle.images import encode_jpeg
from linegate_bundle.manifest import Colour
from linegate_bundle.preprocess import UInt8Array

Float32Array = npt.NDArray[np.float32]

FOR_COLOUR = (217, 95, 14)
"""RGB of what speaks for the label of a heat map, the house's colour of defects."""
AGAINST_COLOUR = (43, 123, 186)
"""RGB of what speaks against it, the house's colour of good parts."""

_GAP = 3
_STRONGEST_TINT = 0.6
"""Share of the colour where a heat map is strongest; the rest is the picture."""
_JPEG_QUALITY = 85


def input_picture(pixels: UInt8Array, colour: Colour) -> UInt8Array:
    """Return a model's input as BGR."""
    code = cv2.COLOR_RGB2BGR if colour is Colour.RGB else cv2.COLOR_GRAY2BGR
    return cv2.cvtColor(pixels, code).view(np.uint8)


def heat_overlay(pixels: UInt8Array, colour: Colour, values: Float32Array) -> UInt8Array:
    """Tint a picture where something speaks for or against a label, at the input's size.

    The picture is drawn in grey, so that all colour in it is the heat map's. The tint
    is full where the map is strongest, whichever its sign.

    Args:
        pixels: the model's input, uint8 ``(height, width, channels)``.
        colour: what its channels are.
        values: the map, of any size.
    """
    picture = input_picture(pixels, colour)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[..., np.newaxis].astype(np.float32)
    height, width = picture.shape[:2]
    resized = cv2.resize(scaled(values), (width, height), interpolation=cv2.INTER_LINEAR)
    small = resized.astype(np.float32)
    share = _STRONGEST_TINT * np.abs(small)[..., np.newaxis]
    mixed = (1 - share) * grey + share * tint(small)
    return mixed.round().astype(np.uint8)


def side_by_side(pictures: Sequence[UInt8Array]) -> UInt8Array:
    """Join BGR pictures of the same height with a white gap between them."""
    gap = np.full((pictures[0].shape[0], _GAP, 3), 255, np.uint8)
    joined = [part for picture in pictures for part in (gap, picture)][1:]
    return np.concatenate(joined, axis=1)


def to_jpeg(picture: UInt8Array) -> bytes:
    """Return a BGR picture as the bytes of a JPEG file, a fifth of a PNG's size, for pages."""
    return encode_jpeg(picture, _JPEG_QUALITY)


def scaled(values: Float32Array) -> Float32Array:
    """Return the values with the largest, whichever its sign, at 1 or -1."""
    largest = np.abs(values).max()
    return values if largest == 0 else values / largest


def tint(values: Float32Array) -> Float32Array:
    """Give each value the colour of its sign, BGR."""
    colours = np.array([AGAINST_COLOUR[::-1], FOR_COLOUR[::-1]], np.float32)
    return colours[(values > 0).astype(np.int64)]
