"""How much two pictures differ once one is laid over the other as well as it goes."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from linegate_bundle.preprocess import UInt8Array
from linegate_training.data.spectra import FLAT_GREY_LEVELS, Float32Array, standardize, turned

_SHIFT = 3
"""Largest shift that is tried, in pixels of the thumbnail: 5 % of the image."""
_BLUR_PIXELS = 0.7
_COMMON_FROM = 16
"""With fewer pictures there is no telling what they all have in common."""
_LEAST_ENERGY = 1e-4
"""Variance a pixel below which a picture shows nothing of its own."""
_EXPLAINING = 5
_RIDGE = np.float32(1e-4) * np.eye(_EXPLAINING, dtype=np.float32)
"""Keeps the fit solvable where the other picture is flat."""


class Aligner:
    """Compares thumbnails pair by pair.

    What all pictures have in common (the mean: frame, bus bars, fixture) is taken out after
    a pair is aligned, so that only what is particular to a picture counts.
    """

    def __init__(self, thumbnails: UInt8Array) -> None:
        """Prepare thumbnails, grey, shape ``(images, side, side)``."""
        self._flat = thumbnails.std(axis=(1, 2)) < FLAT_GREY_LEVELS
        self._pictures = standardize(thumbnails)
        for picture in self._pictures:
            cv2.GaussianBlur(picture, (0, 0), _BLUR_PIXELS, dst=picture)
        common = len(self._pictures) >= _COMMON_FROM
        mean = self._pictures.mean(axis=0) if common else np.zeros_like(self._pictures[0])
        self._mean = _inner(mean, _SHIFT)

    def distance(self, first: int, second: int, turn: int) -> float:
        """Return the share of what is particular to a picture that the other does not explain.

        The second picture is turned and laid over the first where they correlate best;
        brightness, contrast, the rest of the shift and a slight blur are fitted by least
        squares.

        Args:
            first: number of a picture.
            second: number of the other.
            turn: how to turn the second, see :func:`linegate_training.data.spectra.turned`.

        Returns:
            From 0, the same, to 1, nothing in common; 1 too if one of them is flat.
        """
        if self._flat[first] or self._flat[second]:
            return 1.0
        one = _inner(self._pictures[first], _SHIFT)
        other = np.ascontiguousarray(turned(self._pictures[second], turn))
        return _unexplained(one - self._mean, _overlay(one, other), self._mean)

    def distance_either_way(self, first: int, second: int, turn: int) -> tuple[float, int]:
        """Return the smaller distance of a turn and of it plus half a turn, and which."""
        return min((self.distance(first, second, way), way) for way in (turn, turn | 1))


def _inner(picture: Float32Array, margin: int) -> Float32Array:
    return picture[margin:-margin, margin:-margin]


def _overlay(one: Float32Array, other: Float32Array) -> Float32Array:
    """Cut out of ``other`` what correlates best with ``one``, to a fraction of a pixel."""
    surface = cv2.matchTemplate(other, one, cv2.TM_CCOEFF_NORMED)
    _, _, _, (x, y) = cv2.minMaxLoc(surface)
    dx = _vertex(surface[y, x - 1 : x + 2]) if 0 < x < 2 * _SHIFT else 0.0
    dy = _vertex(surface[y - 1 : y + 2, x]) if 0 < y < 2 * _SHIFT else 0.0
    side = len(one)
    centre = (x + dx + (side - 1) / 2, y + dy + (side - 1) / 2)
    return cv2.getRectSubPix(other, (side, side), centre).view(np.float32)


def _vertex(values: npt.NDArray[Any]) -> float:
    """Return where the parabola through three values has its top, from the middle one."""
    left, middle, right = (float(value) for value in values)
    curvature = left - 2 * middle + right
    return 0.5 * (left - right) / curvature if curvature < 0 else 0.0


def _unexplained(own: Float32Array, other: Float32Array, mean: Float32Array) -> float:
    """Fit ``own`` by a constant, ``other`` minus the mean, its gradient and its Laplacian."""
    target = _inner(own, 1).ravel()
    target = target - target.mean()
    energy = float(target @ target)
    if energy < _LEAST_ENERGY * len(target):
        return 1.0
    left, right, above, below = (
        other[1:-1, :-2],
        other[1:-1, 2:],
        other[:-2, 1:-1],
        other[2:, 1:-1],
    )
    middle = _inner(other, 1)
    explaining = np.empty((_EXPLAINING, *middle.shape), np.float32)
    explaining[0] = 1.0
    explaining[1] = middle - _inner(mean, 1)
    explaining[2] = right - left
    explaining[3] = below - above
    explaining[4] = left + right + above + below - 4 * middle
    explaining = explaining.reshape(_EXPLAINING, -1)
    gram = explaining @ explaining.T + _RIDGE
    weights = np.linalg.solve(gram, explaining @ target)
    if weights[1] <= 0:  # a negative is another picture
        return 1.0
    rest = target - weights @ explaining
    return min(1.0, float(rest @ rest) / energy)
