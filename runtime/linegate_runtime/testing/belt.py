"""A belt that carries parts past a camera, with the truth about each of them."""

import dataclasses
import enum
from collections.abc import Sequence

import numpy as np

from linegate_bundle.errors import ConfigError
from linegate_bundle.preprocess import UInt8Array

COLOUR = (230, 230, 230)
"""A white conveyor belt, BGR: grey parts with black regions differ from it everywhere.
A coloured one would, through JPEG's coarse chroma, tint the parts' borders."""

_TEXTURE = 3
"""The belt's texture in grey levels, up and down; it moves with the belt."""


class Direction(enum.StrEnum):
    """Where the parts go."""

    LEFT_TO_RIGHT = "left_to_right"
    RIGHT_TO_LEFT = "right_to_left"


@dataclasses.dataclass(frozen=True)
class Passage:
    """When one part is wholly in view, in frame indices.

    Attributes:
        first: first frame that shows it as a whole.
        last: last such frame; below ``first`` if the belt is too fast to show it.
    """

    first: int
    last: int


class Belt:
    """Parts on a moving belt; the same arguments give the same frames.

    Args:
        parts: the parts in their order, BGR uint8 of any sizes that fit into the frame.
        speed_px: pixels a frame; may be a fraction.
        gap_px: pixels between two parts.
        direction: where the parts go.
        width, height: size of the frames in pixels.
        lead_px: how far into the view the first part already is in frame 0; 0 lets it
            begin to come in, negative values leave the belt empty for a while.
        colour: of the belt, BGR; see :data:`COLOUR`.
        seed: of the belt's texture.

    Attributes:
        size: width and height of the frames.
        parts: how many parts there are.
    """

    def __init__(
        self,
        parts: Sequence[UInt8Array],
        *,
        speed_px: float,
        gap_px: int,
        direction: Direction = Direction.LEFT_TO_RIGHT,
        width: int = 640,
        height: int = 480,
        lead_px: int = 0,
        colour: tuple[int, int, int] = COLOUR,
        seed: int = 0,
    ) -> None:
        largest = max((part.shape[0] for part in parts), default=0)
        if largest > height or speed_px <= 0 or gap_px < 0:
            raise ConfigError(
                f"expected parts of at most {height} rows, a speed above 0 and a gap of 0 or "
                f"more, got {largest} rows, {speed_px} px a frame and {gap_px} px"
            )
        self.size = (width, height)
        self.parts = len(parts)
        self._parts = list(parts)
        self._speed_px = speed_px
        self._direction = direction
        self._lead_px = lead_px
        # Ahead of the first part by so much lies each part's leading edge.
        self._widths: list[int] = [part.shape[1] for part in parts]
        self._behind = [
            sum(self._widths[:index]) + index * gap_px for index in range(len(self._widths))
        ]
        # Twice the view, so that any stretch of it is one slice.
        rng = np.random.default_rng(seed)
        texture = rng.integers(-_TEXTURE, _TEXTURE + 1, (height, width, 1))
        surface = (np.array(colour) + texture).astype(np.uint8)
        self._surface = np.concatenate([surface, surface], axis=1)

    def __len__(self) -> int:
        """Return the index of the first frame in which all parts have gone."""
        if not self._parts:
            return 0
        last = self._behind[-1] + self._widths[-1] + self.size[0] - self._lead_px
        return int(np.ceil(last / self._speed_px)) + 1

    def frame(self, index: int) -> UInt8Array:
        """Return frame ``index``, BGR uint8 of shape ``(height, width, 3)``, a new array."""
        picture = self._belt(self._travelled(index))
        width, height = self.size
        for number, part in enumerate(self._parts):
            left = self.left_edge(number, index)
            first, last = max(left, 0), min(left + part.shape[1], width)
            if first < last:
                top = (height - part.shape[0]) // 2
                seen = part[:, first - left : last - left]
                picture[top : top + part.shape[0], first:last] = seen
        return picture

    def empty(self) -> UInt8Array:
        """Return the scene without parts, BGR uint8 of shape ``(height, width, 3)``."""
        return self._belt(0)

    def left_edge(self, part: int, index: int) -> int:
        """Return the column of a part's left edge in frame ``index``; parts count from 0."""
        leading = self._travelled(index) + self._lead_px - self._behind[part]
        if self._direction is Direction.LEFT_TO_RIGHT:
            return leading - self._widths[part]
        return self.size[0] - leading

    def top_edge(self, part: int) -> int:
        """Return the row of a part's upper edge."""
        return int(self.size[1] - self._parts[part].shape[0]) // 2

    def passages(self) -> list[Passage]:
        """Return for each part when it is wholly in view."""
        return [self._passage(part) for part in range(len(self._parts))]

    def _passage(self, part: int) -> Passage:
        inside = self.size[0] - self._widths[part]
        # The leading edge must be at least the part's width, at most the view's, inside.
        start = self._widths[part] + self._behind[part] - self._lead_px
        first = max(0, int(np.floor(start / self._speed_px)) - 1)
        while not 0 <= self.left_edge(part, first) <= inside and first < len(self):
            first += 1
        last = first - 1
        while 0 <= self.left_edge(part, last + 1) <= inside:
            last += 1
        return Passage(first=first, last=last)

    def _travelled(self, index: int) -> int:
        return round(index * self._speed_px)

    def _belt(self, travelled: int) -> UInt8Array:
        width = self.size[0]
        shift = travelled % width
        if self._direction is Direction.LEFT_TO_RIGHT:
            shift = (width - shift) % width
        return self._surface[:, shift : shift + width].copy()
