"""Reading image files: every picture that a model sees from disk comes through here."""

import functools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from linegate_bundle.errors import DataError
from linegate_bundle.preprocess import UInt8Array

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
"""File name endings, in lower case, that are taken for images."""

_SILENT = 0

_AREAS = 16
"""So many rows and columns of areas tell whether a picture is coloured."""

_GREY_SPREAD = 2
"""Mean channels of a grey area differ by no more, whatever the picture was coded with."""

_VIVID_SPREAD, _VIVID_SHARE, _VIVID_AREAS = 24, 0.25, 0.02
"""Mean channels of a coloured area differ by so many levels and by this share of the highest, and
of a coloured picture more than this share of the areas are so. Lamps and white balance make
less of grey things."""

_JPEG_START = b"\xff\xd8"
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA
_JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, the restarts and the start."""
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND"


@functools.cache  # once a process is enough
def silence_opencv() -> None:
    """Keep OpenCV from writing to the terminal what our own errors say better."""
    # OpenCV 5 has the first, 4 the second.
    if hasattr(cv2.utils, "logging"):
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    else:
        cv2.setLogLevel(_SILENT)  # type: ignore[attr-defined]


def read_image(path: Path) -> UInt8Array:
    """Read an image file as BGR uint8 of shape ``(height, width, 3)``.

    16-bit images are brought to 8 bits by their high byte (colour TIFF: rounded, so up to
    1 higher), transparency is dropped, and the camera's rotation mark (EXIF) is obeyed.

    Raises:
        DataError: the file is missing, cut short or not an image.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return decode_image(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def decode_image(content: bytes) -> UInt8Array:
    """Decode the bytes of an image file as :func:`read_image` does."""
    silence_opencv()
    # OpenCV fills the missing rest of a cut JPEG or PNG with grey and says nothing.
    cut_jpeg = content.startswith(_JPEG_START) and not _ends_jpeg(content)
    cut_png = content.startswith(_PNG_START) and not _ends_png(content)
    if cut_jpeg or cut_png:
        raise DataError("expected a whole image, the file is cut short")
    if not content:
        raise DataError("expected an image, the file is empty")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise DataError(f"expected an image that OpenCV can decode: {error.err}") from error
    if image is None:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(
            f"expected an image ({suffixes}; 8 or 16 bits a sample, no floating point), got bytes "
            "that OpenCV does not take for one"
        )
    return image.view(np.uint8)


def encode_jpeg(image: UInt8Array, quality: int = 95) -> bytes:
    """Return a picture, BGR or grey uint8, as the bytes of a JPEG file.

    Raises:
        DataError: OpenCV cannot encode it, such as one of more than 65,500 pixels a side.
    """
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def encode_png(image: UInt8Array, compression: int = 1) -> bytes:
    """Return a picture, BGR or grey uint8, as the bytes of a PNG file.

    Args:
        image: the picture.
        compression: from 0, fast, to 9, small.

    Raises:
        DataError: OpenCV cannot encode it.
    """
    return _encode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, compression])


def clear_colour(image: UInt8Array) -> bool | None:
    """Say whether a picture is clearly coloured (True), or grey throughout (False), or neither.

    A grey camera's pictures are grey throughout. Those of a colour camera are coloured, or
    neither: of grey things they show the light's colour, which changes.

    Args:
        image: uint8 of shape ``(height, width, 3)``; areas are looked at, so noise is nothing.
    """
    areas = cv2.resize(image, (_AREAS, _AREAS), interpolation=cv2.INTER_AREA).astype(np.int16)
    first, second, third = areas[..., 0], areas[..., 1], areas[..., 2]
    highest = np.maximum(np.maximum(first, second), third)
    spread = highest - np.minimum(np.minimum(first, second), third)
    if spread.max() <= _GREY_SPREAD:
        return False
    vivid = (spread >= _VIVID_SPREAD) & (spread > _VIVID_SHARE * highest)
    return True if np.count_nonzero(vivid) > _VIVID_AREAS * vivid.size else None


def find_images(folder: Path) -> list[Path]:
    """Return all image files below a folder, sorted by path; hidden ones are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _encode(suffix: str, image: UInt8Array, parameters: Sequence[int]) -> bytes:
    done, content = cv2.imencode(suffix, image, parameters)
    if not done:
        raise DataError(f"expected a picture that OpenCV can encode, got shape {image.shape}")
    return content.tobytes()


def _ends_jpeg(content: bytes) -> bool:
    """Walk the segments of a JPEG file (ITU-T T.81, annex B) and say whether its end is there."""
    position = 2
    while position + 4 <= len(content):
        if content[position] != 0xFF:  # noqa: PLR2004 - the byte that starts a marker
            return False
        marker = content[position + 1]
        if marker == 0xFF:  # noqa: PLR2004 - a fill byte
            position += 1
        elif marker in _JPEG_STANDALONE:
            position += 2
        elif marker == _JPEG_END:
            return True
        else:
            position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
            if marker == _JPEG_SCAN:
                position = _after_scan(content, position)
    return content[position : position + 2] == bytes([0xFF, _JPEG_END])


def _after_scan(content: bytes, position: int) -> int:
    """Return where the entropy-coded data ends: at the next marker that is no restart."""
    while 0 <= (position := content.find(0xFF, position)) < len(content) - 1:
        if content[position + 1] != 0 and content[position + 1] not in _JPEG_STANDALONE:
            return position
        position += 2
    return len(content)


def _ends_png(content: bytes) -> bool:
    """Walk the chunks of a PNG file (ISO/IEC 15948) and say whether the last is there."""
    position = len(_PNG_START)
    while position + 12 <= len(content):
        size = int.from_bytes(content[position : position + 4], "big")
        if content[position + 4 : position + 8] == _PNG_END:
            return True
        position += 12 + size
    return False
