"""What stands in an image file besides its pixels: bits a sample, and when it was taken."""

import dataclasses
import datetime as dt
import io
import math
import struct

from PIL import ExifTags, Image

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24
"""Where a PNG file has its bit depth (ISO/IEC 15948, 11.2.2)."""
_TIFF_BITS_PER_SAMPLE = 258
_DAMAGED = (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for headers that are damaged; the pixels may be fine all the same."""


@dataclasses.dataclass(frozen=True)
class Header:
    """Facts about an image file.

    Attributes:
        bits: of a sample, 8 unless the file says otherwise.
        taken_s: when the picture was taken, in seconds since an arbitrary moment, by the
            camera's clock (EXIF); not a number if the file does not say.
    """

    bits: int = 8
    taken_s: float = math.nan


def read_header(content: bytes) -> Header:
    """Read what the bytes of an image file say about it; a damaged header says nothing."""
    if content.startswith(_PNG_START) and len(content) > _PNG_DEPTH:
        return Header(bits=content[_PNG_DEPTH])
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "TIFF")) as image:
            exif = image.getexif()
            details = exif.get_ifd(ExifTags.IFD.Exif)
    except _DAMAGED:
        return Header()
    bits = exif.get(_TIFF_BITS_PER_SAMPLE, 8) if image.format == "TIFF" else 8
    text = details.get(ExifTags.Base.DateTimeOriginal)
    fraction = details.get(ExifTags.Base.SubsecTimeOriginal, "")
    return Header(
        bits=int(max(bits) if isinstance(bits, tuple) else bits),
        taken_s=_seconds(str(text), str(fraction)),
    )


def _seconds(text: str, fraction: str) -> float:
    try:
        moment = dt.datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=dt.UTC)
    except ValueError:
        return math.nan
    digits = fraction.strip()
    return moment.timestamp() + (float(f"0.{digits}") if digits.isdecimal() else 0.0)
