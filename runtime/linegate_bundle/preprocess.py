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

_HIGHEST_BIT = np.uint8(0x80)

LETTERBOX_VALUE = 114
"""Grey of the bars around a letterboxed image, the middle of natural pictures."""


_LARGEST_FACTOR = 8
"""Images more than so many times as large as the input are halved before they are sampled."""


class Preprocessor:
    """Turns frames into pixels of one :class:`PreprocessSpec`; not safe to share by threads.

    It keeps its intermediate images, so that frames of the same size take no new memory.
    """

    def __init__(self, spec: PreprocessSpec) -> None:
        self.spec = spec
        self._scratch = _Scratch()

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
        small = _fit(crop(frame, spec.region), spec, self._scratch)
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
    shaped = frame.ndim in {2, 3} and frame.shape[2:] in {(), (3,)}
    if frame.dtype != np.uint8 or frame.size == 0 or not shaped:
        raise DataError(
            "expected a uint8 frame of shape (height, width, 3) in BGR or (height, width), "
            f"got {frame.dtype} of shape {frame.shape}"
        )


class _Scratch:
    """Intermediate images by their purpose; one is replaced when another size is needed."""

    def __init__(self) -> None:
        self._images: dict[str, npt.NDArray[Any]] = {}

    def image(
        self, purpose: str, shape: tuple[int, ...], dtype: npt.DTypeLike = np.uint8
    ) -> npt.NDArray[Any]:
        """Return an image for a purpose; what it shows is from the last time."""
        image = self._images.get(purpose)
        if image is None or image.shape != shape:
            image = self._images[purpose] = np.empty(shape, dtype)
        return image


def _fit(frame: UInt8Array, spec: PreprocessSpec, scratch: _Scratch) -> UInt8Array:
    if spec.fit is Fit.STRETCH:
        return _resize(frame, spec.width, spec.height, spec.resize, scratch)
    height, width = frame.shape[:2]
    factor = min(spec.width / width, spec.height / height)
    inner_width = max(1, min(spec.width, round(width * factor)))
    inner_height = max(1, min(spec.height, round(height * factor)))
    inner = _resize(frame, inner_width, inner_height, spec.resize, scratch)
    boxed = scratch.image("letterbox", (spec.height, spec.width, *frame.shape[2:]))
    boxed.fill(LETTERBOX_VALUE)
    top = (spec.height - inner_height) // 2
    left = (spec.width - inner_width) // 2
    boxed[top : top + inner_height, left : left + inner_width] = inner
    return boxed


def _resize(
    frame: UInt8Array, width: int, height: int, method: Resize, scratch: _Scratch
) -> UInt8Array:
    columns, rows = frame.shape[1] // width, frame.shape[0] // height
    if method is Resize.SAMPLES_EXACT and min(columns, rows) > 1:
        return _average_samples(frame, width, height, scratch)
    if method is Resize.AREA_LINEAR_EXACT and max(columns, rows) > 1:
        frame = _average_blocks(frame, max(columns, 1), max(rows, 1), scratch)
    if frame.shape[:2] == (height, width):
        return frame
    # INTER_LINEAR differs between x86 and ARM in up to a third of the values; this does not.
    small = scratch.image("resized", (height, width, *frame.shape[2:]))
    return _scale(frame, small, cv2.INTER_LINEAR_EXACT)


def _average_blocks(frame: UInt8Array, columns: int, rows: int, scratch: _Scratch) -> UInt8Array:
    """Average blocks of whole pixels; a remainder at the right and bottom edge joins by scale."""
    shape = (frame.shape[0] // rows, frame.shape[1] // columns, *frame.shape[2:])
    return _scale(frame, scratch.image(f"blocks {columns} {rows}", shape), cv2.INTER_AREA)


def _average_samples(frame: UInt8Array, width: int, height: int, scratch: _Scratch) -> UInt8Array:
    """Average two neighbouring pixels in each of two rows for every pixel of the result.

    The pairs of pixels that lie nearest are picked as if each were one, which costs no more
    than picking single pixels, and blocks of 2 x 2 are averaged in whole numbers.
    """
    while min(frame.shape[1] // width, frame.shape[0] // height) > _LARGEST_FACTOR:
        frame = _halve(frame, scratch)
    channels = frame.shape[2:]
    pairs = _pairs(frame)
    picked = scratch.image("picked", (2 * height, width, *channels), np.uint16)
    cv2.resize(pairs, (width, 2 * height), dst=picked, interpolation=cv2.INTER_NEAREST_EXACT)
    samples = picked.view(np.uint8).reshape(2 * height, 2 * width, *channels)
    return _scale(samples, scratch.image("resized", (height, width, *channels)), cv2.INTER_AREA)


def _pairs(frame: UInt8Array) -> npt.NDArray[np.uint16]:
    """Return the frame with each two neighbouring pixels as one of twice the bytes."""
    height, width = frame.shape[0], frame.shape[1] // 2
    even = frame[:, : 2 * width]
    if even[0].flags.c_contiguous and even.strides[0] % 2 == 0:
        flat = even.reshape(height, -1)
    else:
        flat = np.ascontiguousarray(even).reshape(height, -1)
    return flat.view(np.uint16).reshape(height, width, *frame.shape[2:])


def _halve(frame: UInt8Array, scratch: _Scratch) -> UInt8Array:
    height, width = frame.shape[0] // 2, frame.shape[1] // 2
    shape = (height, width, *frame.shape[2:])
    even = frame[: 2 * height, : 2 * width]
    return _scale(even, scratch.image(f"halved {width}", shape), cv2.INTER_AREA)


def _scale(frame: UInt8Array, into: UInt8Array, interpolation: int) -> UInt8Array:
    cv2.resize(frame, (into.shape[1], into.shape[0]), dst=into, interpolation=interpolation)
    return into


def _convert(small: UInt8Array, colour: Colour, out: UInt8Array) -> None:
    grey = not small.shape[2:]
    if colour is Colour.RGB:
        cv2.cvtColor(small, cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB, dst=out)
    elif grey:
        out[..., 0] = small
    else:
        cv2.cvtColor(small, cv2.COLOR_BGR2GRAY, dst=out[..., 0])
