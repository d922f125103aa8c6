"""A belt as in a plant: speed and gaps vary, the light drifts, the camera adds noise."""

import bisect
import math
from collections.abc import Sequence

import cv2
import numpy as np

from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.testing.belt import Belt, Passage

_SPEED_FRAMES = 45
"""So many frames lie between two speeds drawn at random; between them it changes evenly."""

_LIGHT_FRAMES = 1200
"""Length of one swing of the light in frames: 40 s at 30 a second."""

_NOISE_FIELDS = 8
"""So many fields of noise take turns."""


class UnevenBelt(Belt):
    """Parts on a belt from left to right; the same arguments give the same frames.

    Args:
        parts: the parts in their order, BGR uint8 of any sizes that fit into the frame.
        speeds_px: lowest and highest speed in pixels a frame.
        gaps_px: smallest and largest gap between two parts in pixels.
        light: the brightness swings by this share up and down.
        noise: standard deviation of the camera's noise in grey levels.
        width, height: size of the frames in pixels.
        seed: of all that is drawn at random.
    """

    def __init__(
        self,
        parts: Sequence[UInt8Array],
        *,
        speeds_px: tuple[float, float],
        gaps_px: tuple[int, int],
        light: float = 0.3,
        noise: float = 3.0,
        width: int = 640,
        height: int = 480,
        seed: int = 0,
    ) -> None:
        super().__init__(
            parts, speed_px=speeds_px[0], gap_px=gaps_px[0], width=width, height=height, seed=seed
        )
        rng = np.random.default_rng(seed)
        self._light = light
        gaps = rng.integers(gaps_px[0], gaps_px[1] + 1, len(parts))
        steps = [part_width + int(gap) for part_width, gap in zip(self._widths, gaps, strict=True)]
        self._behind = [sum(steps[:index]) for index in range(len(parts))]
        self._way = _draw_way(rng, speeds_px, self._behind[-1] + self._widths[-1] + width)
        fields = rng.normal(0, noise, (_NOISE_FIELDS, height, width, 3))
        self._brighter = np.clip(fields, 0, 255).round().astype(np.uint8)
        self._darker = np.clip(-fields, 0, 255).round().astype(np.uint8)

    def __len__(self) -> int:
        """Return the index of the first frame in which all parts have gone."""
        return len(self._way)

    def frame(self, index: int) -> UInt8Array:
        """Return frame ``index``, BGR uint8 of shape ``(height, width, 3)``, a new array."""
        return self._seen(self._drawn(index), index)

    def empty(self) -> UInt8Array:
        """Return the scene without parts, in even light and without noise."""
        return self._belt(0)

    def passages(self) -> list[Passage]:
        """Return for each part when it is wholly in view."""
        return [
            Passage(
                first=bisect.bisect_left(self._way, behind + part_width),
                last=bisect.bisect_right(self._way, behind + self.size[0]) - 1,
            )
            for behind, part_width in zip(self._behind, self._widths, strict=True)
        ]

    def _drawn(self, index: int) -> UInt8Array:
        travelled = self._travelled(index)
        picture = self._belt(travelled)
        width, height = self.size
        first = bisect.bisect_right(self._behind, travelled - width - max(self._widths))
        last = bisect.bisect_left(self._behind, travelled)
        for number in range(first, last):
            part = self._parts[number]
            left = self.left_edge(number, index)
            begin, end = max(left, 0), min(left + part.shape[1], width)
            if begin < end:
                top = (height - part.shape[0]) // 2
                picture[top : top + part.shape[0], begin:end] = part[:, begin - left : end - left]
        return picture

    def _seen(self, picture: UInt8Array, index: int) -> UInt8Array:
        """Return a picture in the light of a frame, with the camera's noise."""
        gain = 1 + self._light * math.sin(2 * math.pi * index / _LIGHT_FRAMES)
        lit = cv2.convertScaleAbs(picture, alpha=gain)
        field = index % _NOISE_FIELDS
        return cv2.subtract(cv2.add(lit, self._brighter[field]), self._darker[field]).view(np.uint8)

    def _travelled(self, index: int) -> int:
        return self._way[max(0, min(index, len(self._way) - 1))]


def _draw_way(rng: np.random.Generator, speeds_px: tuple[float, float], length: float) -> list[int]:
    """Return how far the belt has come in each frame, until it has come ``length`` pixels."""
    way = [0.0]
    speed = float(rng.uniform(*speeds_px))
    while way[-1] < length:
        target = float(rng.uniform(*speeds_px))
        for step in range(1, _SPEED_FRAMES + 1):
            way.append(way[-1] + speed + (target - speed) * step / _SPEED_FRAMES)
            if way[-1] >= length:
                break
        speed = target
    return [round(travelled) for travelled in way]
