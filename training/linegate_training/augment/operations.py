"""Single augmentations: each takes and gives uint8 of shape ``(height, width, channels)``.

They draw from the generator they are given and from nothing else, so the same
generator gives the same picture. A strength is the most that is drawn.
"""

import math

import cv2
import numpy as np

from linegate_bundle.preprocess import UInt8Array

Random = np.random.Generator


def move(
    image: UInt8Array, random: Random, *, shift: float, scale: float, rotation: float
) -> UInt8Array:
    """Shift, scale and rotate about the centre in one resampling; the border is mirrored.

    Args:
        image: the picture.
        random: draws.
        shift: share of each side.
        scale: share by which the content grows or shrinks.
        rotation: degrees.
    """
    height, width = image.shape[:2]
    centre = ((width - 1) / 2, (height - 1) / 2)
    # Equal odds for half as large and twice as large.
    factor = math.exp(random.uniform(-1, 1) * math.log1p(scale))
    angle = random.uniform(-rotation, rotation)
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, angle, factor), np.float64)
    matrix[:, 2] += random.uniform(-shift, shift, 2) * (width, height)
    moved = cv2.warpAffine(
        np.ascontiguousarray(image),
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return moved.reshape(image.shape).view(np.uint8)


def light(image: UInt8Array, random: Random, *, brightness: float, contrast: float) -> UInt8Array:
    """Change brightness and contrast; values beyond black and white are cut off.

    Args:
        image: the picture.
        random: draws.
        brightness: share of 255 that is added or taken.
        contrast: share by which differences from the picture's mean grow or shrink.
    """
    mean = float(image.mean())
    added = 255 * random.uniform(-brightness, brightness)
    factor = 1 + random.uniform(-contrast, contrast)
    levels = (np.arange(256) - mean) * factor + mean + added
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return np.take(table, image)


def blur(image: UInt8Array, random: Random, *, sigma: float) -> UInt8Array:
    """Blur with a Gaussian of at most ``sigma`` pixels standard deviation."""
    drawn = random.uniform(0, sigma)
    if drawn <= 0:
        return image
    blurred = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), drawn)
    return blurred.reshape(image.shape).view(np.uint8)


def noise(image: UInt8Array, random: Random, *, deviation: float) -> UInt8Array:
    """Add Gaussian noise of at most ``deviation`` grey levels, to each value its own."""
    drawn = random.uniform(0, deviation)
    added = random.standard_normal(image.shape, np.float32) * np.float32(drawn)
    return np.clip(np.rint(image + added), 0, 255).astype(np.uint8)


def cutout(image: UInt8Array, random: Random, *, share: float) -> UInt8Array:
    """Cover a square with the picture's mean colour (DeVries and Taylor 2017).

    Args:
        image: the picture.
        random: draws.
        share: side of the square as a share of the shorter side; its centre may lie
            anywhere, so a part of it may be outside.
    """
    height, width = image.shape[:2]
    half = share * min(height, width) / 2
    y, x = random.uniform(0, height), random.uniform(0, width)
    covered = image.copy()
    rows = slice(max(0, round(y - half)), max(0, round(y + half)))
    columns = slice(max(0, round(x - half)), max(0, round(x + half)))
    covered[rows, columns] = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    return covered


def jpeg(image: UInt8Array, random: Random, *, loss: float) -> UInt8Array:
    """Code as JPEG with a quality of 100 down to ``100 - loss``, and decode again."""
    quality = 100 - round(random.uniform(0, loss))
    _, content = cv2.imencode(
        ".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded = np.asarray(cv2.imdecode(content, cv2.IMREAD_UNCHANGED), np.uint8)
    return decoded.reshape(image.shape)
