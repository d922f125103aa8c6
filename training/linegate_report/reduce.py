"""Making pictures smaller for people to look at."""

import cv2
import numpy as np

from linegate_bundle.preprocess import UInt8Array


def reduced(picture: UInt8Array, side: int) -> UInt8Array:
    """Return a picture whose longer side is at most ``side`` pixels, each new one a mean.

    Args:
        picture: uint8 ``(height, width)`` or ``(height, width, channels)``; one that is small
            enough stays as it is.
        side: in pixels; the shorter side has at least one.
    """
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).view(np.uint8)
