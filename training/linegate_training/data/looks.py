"""A look at every image: a thumbnail and a few facts, computed once and kept on disk."""

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from linegate_bundle.errors import DataError
from linegate_bundle.images import decode_image
from linegate_bundle.preprocess import UInt8Array
from linegate_report.reduce import reduced
from linegate_training.data.cache import AnyArray, CachedRows, RowFormat, cached_rows
from linegate_training.data.header import Header, read_header
from linegate_training.data.scan import Dataset

THUMBNAIL_SIDE = 64
_SHARPNESS_SIDE = 256
"""Sharpness is judged on an image of at most this size, so that it compares."""
_HIGH_DEPTH = 16
_FORMAT = b"linegate looks 1"

LOOK: np.dtype[Any] = np.dtype(
    [
        ("thumbnail", np.uint8, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)),
        ("width", np.int32),
        ("height", np.int32),
        ("coloured", np.bool_),
        ("bits", np.uint8),
        ("used_bits", np.uint8),
        ("brightness", np.float32),
        ("sharpness", np.float32),
        ("taken_s", np.float64),
    ]
)
"""One look.

``thumbnail``: grey, the whole image stretched to a square. ``width``, ``height``: in pixels.
``coloured``: whether the channels differ. ``bits``: of a sample in the file; ``used_bits``:
those that its largest value needs. ``brightness``: mean grey, 0..255. ``sharpness``: variance
of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR
2000) on a reduced image. ``taken_s``: see :class:`linegate_training.data.header.Header`.
"""

Looks = CachedRows
"""A look at each different content: dtype :data:`LOOK`, shape ``(images,)``."""


def look_at_all(dataset: Dataset, cache: Path) -> Looks:
    """Look at all images of a dataset, or find the looks in the cache.

    Raises:
        DataError: the cache cannot be written.
    """
    identity = _FORMAT + repr(LOOK.descr).encode()
    form = RowFormat(identity, "looking at images", LOOK, ())
    with warnings.catch_warnings():
        # Pillow warns of every damaged tag; set here, for in threads it would be a race.
        warnings.filterwarnings("ignore", module="PIL")
        return cached_rows(dataset, form, look_at, cache)


def look_at(path: Path) -> AnyArray:
    """Return the look at an image file, dtype :data:`LOOK`, shape ``()``.

    Raises:
        DataError: the file is missing or cannot be decoded.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    image = decode_image(content)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).view(np.uint8)
    header = read_header(content)
    look = np.zeros((), LOOK)
    look["thumbnail"] = cv2.resize(
        grey, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA
    )
    look["height"], look["width"] = grey.shape
    look["coloured"] = bool(np.any(image[..., 1:] != image[..., :1]))
    look["bits"] = header.bits
    look["used_bits"] = _used_bits(content, header)
    look["brightness"] = grey.mean()
    look["sharpness"] = _sharpness(grey)
    look["taken_s"] = header.taken_s
    return look


def _sharpness(grey: UInt8Array) -> float:
    return float(cv2.Laplacian(reduced(grey, _SHARPNESS_SIDE), cv2.CV_32F).var())


def _used_bits(content: bytes, header: Header) -> int:
    if header.bits != _HIGH_DEPTH:
        return header.bits
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
    deep = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    return header.bits if deep is None else int(deep.max()).bit_length()
