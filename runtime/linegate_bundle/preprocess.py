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

LETTERBOX_VALUE = 114
"""Grey of the bars around a letterboxed image, the middle of natural pictures."""


class Preprocessor:
    """Turns frames into pixels of one :class:`PreprocessSpec`; not safe to share by threads."""

    def __init__(self, spec: PreprocessSpec) -> None:
        self.spec = spec

    def __call__(self, frame: UInt8Array, out: UInt8Array | None = None) -> UInt8Array:
        """Return the pixels of shape ``(height, width, channels)``, uint8.

        Args:
            frame: BGR ``(h, w, 3)`` or grey ``(h, w)``, uint8.
            out: contiguous array of the result's shape to write into; a new one if None.

        Raises:
            DataError: ``frame`` has another shape or dtype, or no pixels.
        """
        _check_frame(frame)
        spec = self.spec
        small = _fit(crop(frame, spec.region), spec)
        if out is None:
            out = np.empty(spec.shape, np.uint8)
        _convert(small, spec.colour, out)
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


def encode(pixels: UInt8Array, dtype: DType) -> npt.NDArray[Any]:
    """Turn pixels of shape ``(h, w, c)`` into a model's input of shape ``(1, h, w, c)``.

    int8 models take exactly pixel - 128, which in two's complement is the byte
    with its highest bit flipped; uint8 and float32 models take the pixel values 0..255.
    """
    if dtype is DType.INT8:
        return np.bitwise_xor(pixels, np.uint8(0x80)).view(np.int8)[np.newaxis]
    if dtype is DType.UINT8:
        return pixels[np.newaxis]
    return pixels.astype(np.float32)[np.newaxis]


def _check_frame(frame: UInt8Array) -> None:
    shaped = frame.ndim in {2, 3} and frame.shape[2:] in {(), (3,)}
    if frame.dtype != np.uint8 or frame.size == 0 or not shaped:
        raise DataError(
            "expected a uint8 frame of shape (height, width, 3) in BGR or (height, width), "
            f"got {frame.dtype} of shape {frame.shape}"
        )


def _fit(frame: UInt8Array, spec: PreprocessSpec) -> UInt8Array:
    if spec.fit is Fit.STRETCH:
        return _resize(frame, spec.width, spec.height, spec.resize)
    height, width = frame.shape[:2]
    factor = min(spec.width / width, spec.height / height)
    inner_width = max(1, min(spec.width, round(width * factor)))
    inner_height = max(1, min(spec.height, round(height * factor)))
    inner = _resize(frame, inner_width, inner_height, spec.resize)
    boxed = np.full((spec.height, spec.width, *frame.shape[2:]), LETTERBOX_VALUE, np.uint8)
    top = (spec.height - inner_height) // 2
    left = (spec.width - inner_width) // 2
    boxed[top : top + inner_height, left : left + inner_width] = inner
    return boxed


def _resize(frame: UInt8Array, width: int, height: int, method: Resize) -> UInt8Array:
    if method is Resize.AREA_LINEAR_EXACT:
        frame = _average_blocks(frame, frame.shape[1] // width, frame.shape[0] // height)
    if frame.shape[:2] == (height, width):
        return frame
    # INTER_LINEAR differs between x86 and ARM in up to a third of the values; this does not.
    resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return resized.view(np.uint8)


def _average_blocks(frame: UInt8Array, columns: int, rows: int) -> UInt8Array:
    """Average blocks of whole pixels; a remainder at the right and bottom edge joins by scale."""
    if max(columns, rows) <= 1:
        return frame
    columns, rows = max(columns, 1), max(rows, 1)
    size = (frame.shape[1] // columns, frame.shape[0] // rows)
    averaged = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return averaged.view(np.uint8)


def _convert(small: UInt8Array, colour: Colour, out: UInt8Array) -> None:
    grey = not small.shape[2:]
    if colour is Colour.RGB:
        cv2.cvtColor(small, cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB, dst=out)
    elif grey:
        out[..., 0] = small
    else:
        cv2.cvtColor(small, cv2.COLOR_BGR2GRAY, dst=out[..., 0])
