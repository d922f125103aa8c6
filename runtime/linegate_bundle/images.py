"""Reading image files: every picture that a model sees from disk comes through here."""

from pathlib import Path

import cv2
import numpy as np

from linegate_bundle.errors import DataError
from linegate_bundle.preprocess import UInt8Array

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
"""File name endings, in lower case, that are taken for images."""

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def read_image(path: Path) -> UInt8Array:
    """Read an image file as BGR uint8 of shape ``(height, width, 3)``.

    16-bit images are brought to 8 bits by their high byte, transparency is dropped,
    and the camera's rotation mark (EXIF) is obeyed.

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
    # OpenCV fills the missing rest of a cut JPEG or PNG with grey and says nothing.
    for start, end in ((_JPEG_START, _JPEG_END), (_PNG_START, _PNG_END)):
        if content.startswith(start) and end not in content[-4096:]:
            raise DataError("expected a whole image, the file is cut short")
    if not content:
        raise DataError("expected an image, the file is empty")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise DataError(f"expected an image that OpenCV can decode: {error.err}") from error
    if image is None:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"expected an image ({suffixes}), got bytes that are none")
    return image.view(np.uint8)


def find_images(folder: Path) -> list[Path]:
    """Return all image files below a folder, sorted by path; hidden ones are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
