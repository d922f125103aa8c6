"""From a frame to the model's input: the only place that resizes or swaps channels.

Frames are uint8 arrays of shape ``(height, width, 3)`` in BGR order, or of shape
``(height, width)`` in grey. Training, calibration, the accuracy check and the
device all come through here, so they see the same bytes.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import DataError
from linegate_bundle.manifest import Colour, DType, Fit, PreprocessSpec, Region, Resize

UInt8Array = npt.NDArray[np.uint8]

_GREY = 2
"""Dimensions of a grey frame."""

_HIGHEST_BIT = np.uint8(0x80)

LETTERBOX_VALUE = 114
"""Grey of the bars around a letterboxed image, the middle of natural pictures."""


_LARGEST_FACTOR = 8
"""Images more than so many times as large as the input are halved before rows are left out."""


class Preprocessor:
    """Turns frames into pixels of one :class:`PreprocessSpec`; not safe to share by threads.

    It keeps its intermediate images, so that frames of the same size take no new memory.
    """

    def __init__(self, spec: PreprocessSpec) -> None:
        self.spec = spec
        self._way: _Way | None = None

    def __call__(self, frame: UInt8Array, out: UInt8Array | None = None) -> UInt8Array:
        """Return the pixels of shape ``(height, width, channels)``, uint8.

        Args:
            frame: BGR ``(h, w, 3)`` or grey ``(h, w)``, uint8.
            out: contiguous array of the result's shape to write into; a new one if None.

        Raises:
            DataError: ``frame`` has another shape or dtype, or no pixels.
        """
        way = self._way
        if way is None or way.frame_shape != frame.shape or frame.dtype != np.uint8:
            _check_frame(frame)
            way = self._way = _Way(self.spec, frame.shape)
        if out is None:
            out = np.empty(self.spec.shape, np.uint8)
        way.go(frame, out)
        return out


def crop(frame: UInt8Array, region: Region | None) -> UInt8Array:
    """Return a view of the region of a frame; at least one pixel large."""
    if region is None:
        return frame
    height, width = frame.shape[:2]
    left = min(round(region.x * width), width - 1)
    top = min(round(region.y * height), height - 1)
    right = max(round((region.x + region.width) * width), left + 1)
    bottom = max(round((region.y + region.height) * height), top + 1)
    return frame[top:bottom, left:right]


def encode(
    pixels: UInt8Array, dtype: DType, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Turn pixels of shape ``(h, w, c)`` into a model's input of shape ``(1, h, w, c)``.

    int8 models take exactly pixel - 128, which in two's complement is the byte
    with its highest bit flipped; uint8 and float32 models take the pixel values 0..255.

    Args:
        pixels: uint8.
        dtype: of the model's input.
        out: array of the result's shape and dtype to write into; a new one if None.
    """
    if out is None:
        out = np.empty((1, *pixels.shape), dtype.value)
    if dtype is DType.INT8:
        np.bitwise_xor(pixels, _HIGHEST_BIT, out=out[0].view(np.uint8))
    else:
        np.copyto(out[0], pixels)
    return out


def _check_frame(frame: UInt8Array) -> None:
    shape = frame.shape
    shaped = shape[2:] == (3,) or frame.ndim == _GREY
    if frame.dtype != np.uint8 or 0 in shape or not shaped:
        raise DataError(
            "expected a uint8 frame of shape (height, width, 3) in BGR or (height, width), "
            f"got {frame.dtype} of shape {frame.shape}"
        )


class _Way:
    """The steps from frames of one shape to the model's pixels, and the images between them.

    Args:
        spec: where they lead.
        frame_shape: ``(h, w, 3)`` or ``(h, w)``.
    """

    def __init__(self, spec: PreprocessSpec, frame_shape: tuple[int, ...]) -> None:
        self.frame_shape = frame_shape
        self._region = spec.region
        height, width = crop(np.empty(frame_shape[:2], np.uint8), spec.region).shape
        self._channels = frame_shape[2:]
        inner = (spec.height, spec.width)
        self._boxed: UInt8Array | None = None
        if spec.fit is Fit.LETTERBOX:
            inner = _inner_size(spec, height, width)
            self._boxed = self._image((spec.height, spec.width))
            self._boxed.fill(LETTERBOX_VALUE)
        self._rows = slice(None)
        self._averaged: list[tuple[tuple[slice, slice], UInt8Array]] = []
        self._plan(spec.resize, (height, width), inner)
        self._small = self._inner_image(spec, inner)
        self._colour = spec.colour
        self._is_resized = self._size != inner

    def go(self, frame: UInt8Array, out: UInt8Array) -> None:
        """Take the way with a frame of the shape; ``out`` takes the pixels."""
        if self._region is not None:
            frame = crop(frame, self._region)
        for part, image in self._averaged:
            frame = _scale(frame[part], image, cv2.INTER_AREA)
        small = frame
        if self._is_resized or self._boxed is not None:
            small = self._small
            # INTER_LINEAR differs between x86 and ARM in up to a third of the values.
            if self._is_resized:
                _scale(frame[self._rows], small, cv2.INTER_LINEAR_EXACT)
            else:
                np.copyto(small, frame)
        _convert(small if self._boxed is None else self._boxed, self._colour, out)

    def _plan(self, method: Resize, size: tuple[int, int], inner: tuple[int, int]) -> None:
        """Plan what comes before the bilinear resize."""
        rows, columns = size[0] // inner[0], size[1] // inner[1]
        if method is Resize.AREA_LINEAR_EXACT and max(rows, columns) > 1:
            # Whole blocks only: averages of parts of pixels differ between x86 and ARM.
            blocks = (max(rows, 1), max(columns, 1))
            whole = (_middle(size[0], blocks[0]), _middle(size[1], blocks[1]))
            size = (size[0] // blocks[0], size[1] // blocks[1])
            self._averaged.append((whole, self._image(size)))
        elif method is Resize.ROWS_EXACT and min(rows, columns) > 1:
            while min(size[0] // inner[0], size[1] // inner[1]) > _LARGEST_FACTOR:
                size = (size[0] // 2, size[1] // 2)
                even = (slice(2 * size[0]), slice(2 * size[1]))
                self._averaged.append((even, self._image(size)))
            step = size[0] // inner[0]
            self._rows = slice(step // 2, None, step)
            size = (len(range(size[0])[self._rows]), size[1])
        self._size = size

    def _image(self, size: tuple[int, int]) -> UInt8Array:
        return np.empty((*size, *self._channels), np.uint8)

    def _inner_image(self, spec: PreprocessSpec, inner: tuple[int, int]) -> UInt8Array:
        """Return where the bilinear resize writes to, between the bars if there are any."""
        if self._boxed is None:
            return self._image(inner)
        top, left = (spec.height - inner[0]) // 2, (spec.width - inner[1]) // 2
        return self._boxed[top : top + inner[0], left : left + inner[1]]


def _middle(length: int, block: int) -> slice:
    """Return as many whole blocks as there are; what is left is shared by both ends."""
    start = length % block // 2
    return slice(start, start + length // block * block)


def _inner_size(spec: PreprocessSpec, height: int, width: int) -> tuple[int, int]:
    factor = min(spec.width / width, spec.height / height)
    return (
        max(1, min(spec.height, round(height * factor))),
        max(1, min(spec.width, round(width * factor))),
    )


def _scale(frame: UInt8Array, into: UInt8Array, interpolation: int) -> UInt8Array:
    cv2.resize(frame, (into.shape[1], into.shape[0]), into, 0, 0, interpolation)
    return into


def _convert(small: UInt8Array, colour: Colour, out: UInt8Array) -> None:
    grey = not small.shape[2:]
    if colour is Colour.RGB:
        cv2.cvtColor(small, cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB, dst=out)
    elif grey:
        out[..., 0] = small
    else:
        cv2.cvtColor(small, cv2.COLOR_BGR2GRAY, dst=out[..., 0])
