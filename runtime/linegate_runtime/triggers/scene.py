"""Where a frame differs from the empty scene: blobs, and their edges to less than a pixel."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from linegate_bundle.preprocess import UInt8Array

Rectangle = tuple[int, int, int, int]
"""Left, top, width and height in coarse pixels."""

_COARSE_SIDE = 100
"""The picture is halved for as long as its shorter side keeps this many pixels."""

_LARGEST_FACTOR = 32

_ADAPTATION = 0.02
"""Share of a new frame in the running picture of the empty scene: 1.7 s at 30 a second."""

_LIGHT_ADAPTATION = 0.5
"""The same for the brightness of the whole scene, by colour channel."""

_STEADY_LIGHT = 0.002
"""Smaller changes of the light, half a grey level, are left to the slow adaptation."""

_DARK = 8.0
"""Below this mean brightness a colour channel says nothing about the light."""

_LEAST_SCENERY = 0.05
"""Where less of the region shows the scene, nothing can be learned about it."""

_MINIMUM_SIDE_PX = 12
"""Blobs narrower and lower than this, in pixels of the frame, are dirt or noise."""

_MARGIN = 2
"""Width of the rim around a blob, in coarse pixels, that may belong to it."""

_EDGE_SAMPLES = 64
"""Lines that vote on where an edge lies."""


@dataclasses.dataclass(frozen=True)
class Blob:
    """A region that differs from the empty scene; edges in pixels of the region of interest.

    Attributes:
        cut: which edges (left, top, right, bottom) lie on the region's own edge, so
            that the part may go on outside.
    """

    left: float
    top: float
    right: float
    bottom: float
    cut: tuple[bool, bool, bool, bool]

    @property
    def is_whole(self) -> bool:
        """Whether the blob touches no edge of the region."""
        return not any(self.cut)


class EmptyScene:
    """The empty scene at coarse scale; it follows slow changes of the light.

    Args:
        empty: the scene without parts, BGR uint8 of shape ``(height, width, 3)``.
        threshold: difference in grey levels, of any colour channel, that marks a part.
        closing_px: gaps in a part up to about this wide are filled.
    """

    def __init__(self, empty: UInt8Array, threshold: int, closing_px: int) -> None:
        self.factor = _factor(empty)
        self._shape = empty.shape
        self._threshold = threshold
        self._mean: npt.NDArray[np.float32] = shrink(empty, self.factor).astype(np.float32)
        side = 2 * (closing_px // (2 * self.factor)) + 1
        self._closing = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))

    def blobs(self, pixels: UInt8Array) -> list[Blob]:
        """Find what does not belong to the empty scene, and learn the light from the rest.

        Args:
            pixels: BGR uint8 of the shape that the scene was taught with.
        """
        small = shrink(pixels, self.factor)
        empty = cv2.convertScaleAbs(self._mean)
        difference = _largest_channel(cv2.absdiff(small, empty))
        _, mask = cv2.threshold(difference, self._threshold, 255, cv2.THRESH_BINARY)
        if self._closing.size > 1:
            mask = _close(mask, self._closing)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        rectangles = [cv2.boundingRect(contour) for contour in contours]
        smallest = _MINIMUM_SIDE_PX / self.factor
        large = [(x, y, w, h) for x, y, w, h in rectangles if max(w, h) >= smallest]
        self._adapt(small, large)
        return [self._blob(rectangle, mask.shape) for rectangle in large]

    def refine(self, pixels: UInt8Array, blob: Blob) -> Blob:
        """Find the four edges of a whole blob in the full picture.

        At each edge a strip is compared with its own outermost pixels, which show the
        scene in the light of this very frame. The edge lies where the mean difference
        passes the threshold, between pixels by linear interpolation.

        Args:
            pixels: as for :meth:`blobs`.
            blob: one of what that returned.
        """
        find = functools.partial(_edge, reach=2 * self.factor, threshold=self._threshold)
        across = pixels[_samples(blob.top, blob.bottom)].transpose(1, 0, 2)
        down = pixels[:, _samples(blob.left, blob.right)]
        height, width = pixels.shape[:2]
        return dataclasses.replace(
            blob,
            left=find(across, blob.left),
            right=width - find(across[::-1], width - blob.right),
            top=find(down, blob.top),
            bottom=height - find(down[::-1], height - blob.bottom),
        )

    def _adapt(self, small: UInt8Array, parts: Sequence[Rectangle]) -> None:
        # What stands on the scene is left out as a whole and with a margin, so that no
        # part, however long it rests, ever becomes scenery. Specks do.
        scenery = np.full(small.shape[:2], 1, np.uint8)
        for x, y, width, height in parts:
            top, left = max(0, y - _MARGIN), max(0, x - _MARGIN)
            scenery[top : y + height + _MARGIN, left : x + width + _MARGIN] = 0
        if cv2.countNonZero(scenery) >= _LEAST_SCENERY * scenery.size:
            # First the light, which changes behind the parts too, then the rest.
            now, before = cv2.mean(small, scenery), cv2.mean(self._mean, scenery)
            gains = np.array([_gain(a, b) for a, b in zip(now, before, strict=True)])
            if np.abs(gains - 1).max() > _STEADY_LIGHT:
                cv2.multiply(self._mean, gains, dst=self._mean)
            cv2.accumulateWeighted(small, self._mean, _ADAPTATION, mask=scenery)

    def _blob(self, rectangle: Rectangle, shape: tuple[int, ...]) -> Blob:
        x, y, width, height = rectangle
        right, bottom = x + width, y + height
        factor = self.factor
        return Blob(
            left=float(x * factor),
            top=float(y * factor),
            right=float(min(right * factor, self._shape[1])),
            bottom=float(min(bottom * factor, self._shape[0])),
            cut=(x == 0, y == 0, right == shape[1], bottom == shape[0]),
        )


def merge(blobs: list[Blob], width: float, height: float) -> list[Blob]:
    """Join blobs that together are no larger than one part: pieces of a part with dark areas."""
    merged: list[Blob] = []
    for blob in sorted(blobs, key=lambda blob: blob.left):
        for index, other in enumerate(merged):
            both = union(blob, other)
            if both.right - both.left <= width and both.bottom - both.top <= height:
                merged[index] = both
                break
        else:
            merged.append(blob)
    return merged


def union(one: Blob, other: Blob) -> Blob:
    """Return the smallest blob around two."""
    left, top, right, bottom = (a or b for a, b in zip(one.cut, other.cut, strict=True))
    return Blob(
        left=min(one.left, other.left),
        top=min(one.top, other.top),
        right=max(one.right, other.right),
        bottom=max(one.bottom, other.bottom),
        cut=(left, top, right, bottom),
    )


def _gain(now: float, before: float) -> float:
    """Return by how much the light of one colour channel is to be adapted."""
    # Where there is hardly any light, noise would look like a large change.
    gain = now / before if before >= _DARK else 1.0
    return 1 + _LIGHT_ADAPTATION * (gain - 1)


def _edge(lines: UInt8Array, coarse: float, *, reach: int, threshold: int) -> float:
    """Return where along axis 0 of ``(positions, samples, 3)`` a part begins.

    Args:
        lines: BGR uint8, from outside to inside.
        coarse: where it begins, to ``reach`` positions.
        reach: how far that may be off.
        threshold: difference in grey levels that marks the part.
    """
    start = max(0, int(coarse) - reach)
    strip = np.ascontiguousarray(lines[start : int(coarse) + reach + 1])
    outermost = cv2.reduce(strip[: max(1, reach // 2)], 0, cv2.REDUCE_AVG)
    difference = _largest_channel(cv2.absdiff(strip, np.repeat(outermost, len(strip), axis=0)))
    profile: list[float] = cv2.reduce(difference, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[
        :, 0
    ].tolist()
    first = next((index for index, value in enumerate(profile) if value >= threshold), 0)
    if first == 0:
        return coarse
    before, after = profile[first - 1], profile[first]
    return start + first - 0.5 + (threshold - before) / (after - before)


def _largest_channel(difference: npt.NDArray[Any]) -> UInt8Array:
    blue, green, red = cv2.split(difference)
    return cv2.max(cv2.max(blue, green), red).view(np.uint8)


def _samples(start: float, stop: float) -> slice:
    """Return lines of the middle half of an edge, where corners cannot mislead."""
    quarter = (stop - start) / 4
    step = max(1, int(2 * quarter / _EDGE_SAMPLES))
    return slice(int(start + quarter), int(stop - quarter) + 1, step)


def shrink(pixels: UInt8Array, factor: int) -> UInt8Array:
    """Average blocks of ``factor`` x ``factor`` pixels, ``factor`` a power of two."""
    # Halving again and again is four times as fast in OpenCV as one large step.
    while factor > 1:
        height, width = pixels.shape[:2]
        even = pixels[: height // 2 * 2, : width // 2 * 2]
        halved = cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        pixels = halved.view(np.uint8)
        factor //= 2
    return pixels


def _factor(pixels: UInt8Array) -> int:
    shorter = min(pixels.shape[:2])
    factor = 1
    while shorter // (factor * 2) >= _COARSE_SIDE and factor < _LARGEST_FACTOR:
        factor *= 2
    return factor


def _close(mask: npt.NDArray[Any], kernel: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # With a border of background, else closing would tie blobs to the picture's edge.
    reach = kernel.shape[0] // 2
    framed = cv2.copyMakeBorder(mask, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, kernel)
    return closed[reach:-reach, reach:-reach]
