"""Heat maps that need no more than a function from pictures to logits, or feature maps."""

from collections.abc import Callable

import numpy as np

from linegate_bundle.decide import Float64Array
from linegate_bundle.preprocess import UInt8Array
from linegate_training.explain.explanation import Float32Array

LogitsOf = Callable[[UInt8Array], Float64Array]
"""Takes pictures uint8 ``(n, height, width, channels)``, returns logits ``(n, logits)``."""

_PATCHES_A_SIDE = 6
_STEPS_A_PATCH = 2


def occlusion(pixels: UInt8Array, logits_of: LogitsOf, logit: int) -> Float32Array:
    """Return how much a logit falls where the picture is covered, ``(height, width)``.

    Zeiler and Fergus, 2014. A patch of a sixth of the shorter side, in the picture's
    mean colour, moves over the picture in steps of half its side; every pixel gets the
    mean over all patches that covered it.

    Args:
        pixels: uint8 ``(height, width, channels)``.
        logits_of: the model.
        logit: which of its logits.
    """
    height, width = pixels.shape[:2]
    side = max(1, round(min(height, width) / _PATCHES_A_SIDE))
    corners = [(top, left) for top in _starts(height, side) for left in _starts(width, side)]
    covered = np.repeat(pixels[np.newaxis], len(corners), axis=0)
    grey = pixels.mean(axis=(0, 1)).round().astype(np.uint8)
    for picture, (top, left) in zip(covered, corners, strict=True):
        picture[top : top + side, left : left + side] = grey
    falls = logits_of(pixels[np.newaxis])[0, logit] - logits_of(covered)[:, logit]
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for fall, (top, left) in zip(falls, corners, strict=True):
        total[top : top + side, left : left + side] += fall
        count[top : top + side, left : left + side] += 1
    result: Float32Array = (total / count).astype(np.float32)
    return result


def weighted_maps(maps: Float32Array, gradients: Float32Array) -> Float32Array:
    """Return the Grad-CAM of feature maps, ``(height, width)``.

    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via
    gradient-based localization", 2017, equations 1 and 2, without the rectifier at the
    end: what speaks against the label is of interest too.

    Args:
        maps: float32 ``(height, width, channels)``.
        gradients: of the logit by the maps, the same shape.
    """
    result: Float32Array = (maps @ gradients.mean(axis=(0, 1))).astype(np.float32)
    return result


def _starts(length: int, side: int) -> list[int]:
    """Return where patches start so that they reach from edge to edge."""
    step = max(1, side // _STEPS_A_PATCH)
    return [*range(0, length - side, step), length - side]
