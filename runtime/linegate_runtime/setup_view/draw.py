"""Frames with what the triggers see drawn over them; pure functions of arrays."""

import dataclasses
from collections.abc import Sequence

import cv2

from linegate_bundle.images import encode_jpeg
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.geometry import Box
from linegate_runtime.triggers import Observation

Colour = tuple[int, int, int]
"""BGR."""

_REGION: Colour = (255, 160, 0)
_NOTICED: Colour = (0, 190, 255)
_PART: Colour = (60, 200, 60)
_INK: Colour = (255, 255, 255)
_GROUND: Colour = (40, 40, 40)

_FONT = cv2.FONT_HERSHEY_SIMPLEX

_FONT_SCALE = 0.45


_QUALITY = 80

_ROWS_A_LINE = 480
"""A picture of so many rows gets lines one pixel wide; larger ones get wider."""


@dataclasses.dataclass(frozen=True)
class RegionView:
    """What a trigger sees in one frame.

    Attributes:
        name: of the region; may be empty.
        box: the region; None for the whole frame.
        observation: what the trigger says.
    """

    name: str
    box: Box | None
    observation: Observation


def draw(pixels: UInt8Array, regions: Sequence[RegionView]) -> UInt8Array:
    """Return a copy of a BGR uint8 frame ``(height, width, 3)`` with regions and parts drawn."""
    picture = pixels.copy()
    height, width = pixels.shape[:2]
    scale = max(1, round(height / _ROWS_A_LINE))
    for region in regions:
        box = region.box or Box(0, 0, width, height)
        _frame(picture, box, _REGION, scale)
        state = " ".join(part for part in (region.name, region.observation.state) if part)
        _write(picture, state, (box.x + 4 * scale, box.y + 14 * scale), scale)
        for noticed in region.observation.noticed:
            _frame(picture, noticed, _NOTICED, scale)
        for sighting in region.observation.sightings:
            part = sighting.box or box
            _frame(picture, part, _PART, 2 * scale)
            place = (part.x + 4 * scale, min(part.bottom, height) - 6 * scale)
            _write(picture, f"part {sighting.part}", place, scale)
    return picture


def draw_jpeg(pixels: UInt8Array, regions: Sequence[RegionView]) -> bytes:
    """Return the same as a JPEG file."""
    return encode_jpeg(draw(pixels, regions), _QUALITY)


def _frame(picture: UInt8Array, box: Box, colour: Colour, thickness: int) -> None:
    corner = (box.right - 1, box.bottom - 1)
    cv2.rectangle(picture, (box.x, box.y), corner, colour, thickness)


def _write(picture: UInt8Array, text: str, place: tuple[int, int], scale: int) -> None:
    plain = text.encode("ascii", "replace").decode()  # OpenCV's fonts have no other letters
    size, below = cv2.getTextSize(plain, _FONT, _FONT_SCALE * scale, scale)
    x, y = place
    cv2.rectangle(picture, (x - 2, y - size[1] - 2), (x + size[0] + 2, y + below), _GROUND, -1)
    cv2.putText(picture, plain, place, _FONT, _FONT_SCALE * scale, _INK, scale, cv2.LINE_AA)
