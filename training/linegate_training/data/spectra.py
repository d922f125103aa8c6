"""Neighbours of an image among thousands, whichever way it was turned, mirrored or shifted.

An image is described by the magnitude of its low spatial frequencies: a shift changes only
their phase, half a turn changes nothing, and the other turns and flips only swap them. So
four variants stand for all eight orientations.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
import scipy.fft

from linegate_bundle.preprocess import UInt8Array

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

TURNS = 8
"""Ways to turn and mirror a picture, see :func:`turned`."""
_VARIANTS = 4
_FREQUENCIES = 12
"""Highest frequency that counts, in periods an image; above is noise and coding."""
_BLOCK = 512
"""Images described, or compared with all others, at once."""
_MOST_VALUES = 1 << 25
"""Similarities in memory at once; with many images the blocks are smaller."""
FLAT_GREY_LEVELS = 1.0
"""A picture with a smaller standard deviation shows nothing."""


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """Some of the nearest neighbours of each image, nearest first.

    Attributes:
        ranks: which neighbours, ascending; 0 is the nearest.
        index: numbers of the neighbours, shape ``(images, ranks)``.
        turn: of the neighbour towards the image, see :func:`turned`, up to half a turn,
            shape ``(images, ranks)``.
        similarity: cosine from -1 to 1, shape ``(images, ranks)``.
    """

    ranks: tuple[int, ...]

    index: IntArray
    turn: IntArray
    similarity: Float32Array


def turned(picture: Float32Array, turn: int) -> Float32Array:
    """Turn or mirror a square picture.

    Args:
        picture: shape ``(side, side)``.
        turn: 0..7: 4 mirrors at the diagonal, 2 upside down, 1 turns by half; they add up.
    """
    if turn & 4:
        picture = picture.T
    if turn & 2:
        picture = picture[::-1]
    return picture[::-1, ::-1] if turn & 1 else picture


def standardize(thumbnails: UInt8Array) -> Float32Array:
    """Return pictures of mean 0 and deviation 1; flat ones stay nearly 0.

    Args:
        thumbnails: grey, shape ``(images, side, side)``.
    """
    pictures = thumbnails.astype(np.float32)
    pictures -= pictures.mean(axis=(1, 2), keepdims=True)
    deviation = pictures.std(axis=(1, 2), keepdims=True)
    pictures /= np.maximum(deviation, FLAT_GREY_LEVELS)
    return pictures


def describe(pictures: Float32Array) -> Float32Array:
    """Return the descriptions of standardized pictures, unit vectors.

    Args:
        pictures: shape ``(images, side, side)``.

    Returns:
        Shape ``(4, images, values)``: of the pictures as they are, and of the other three
        variants; each value is relative to its mean and deviation over all images.
    """
    side = pictures.shape[1]
    window = np.hanning(side).astype(np.float32)
    low = np.arange(-_FREQUENCIES, _FREQUENCIES + 1) % side
    planes = [
        np.log1p(np.abs(scipy.fft.fft2(block * np.outer(window, window))))[:, low][:, :, low]
        for block in np.array_split(pictures, max(1, len(pictures) // _BLOCK))
    ]
    plane = np.concatenate(planes).astype(np.float32)
    # The other half of the plane says the same.
    half = (len(plane), -1)
    variants = [
        np.ascontiguousarray(variant[:, :, _FREQUENCIES:]).reshape(half)
        for swapped in (plane, plane.transpose(0, 2, 1))
        for variant in (swapped, swapped[:, ::-1])
    ]
    mean, deviation = variants[0].mean(axis=0), variants[0].std(axis=0)
    stack = (np.stack(variants) - mean) / (deviation + np.float32(1e-3))
    stack /= np.maximum(np.linalg.norm(stack, axis=2, keepdims=True), np.float32(1e-6))
    result: Float32Array = stack.astype(np.float32)
    return result


def nearest(descriptions: Float32Array, ranks: tuple[int, ...]) -> Neighbours:
    """Find neighbours of every image.

    Args:
        descriptions: see :func:`describe`.
        ranks: which neighbours, ascending, each below the number of images less one.
    """
    images = descriptions.shape[1]
    everything = descriptions.reshape(_VARIANTS * images, -1).T
    index = np.empty((images, len(ranks)), np.int64)
    turn = np.empty((images, len(ranks)), np.int64)
    similarity = np.empty((images, len(ranks)), np.float32)
    step = max(1, min(_BLOCK, _MOST_VALUES // (_VARIANTS * images)))
    for start in range(0, images, step):
        rows = slice(start, min(start + step, images))
        block = (descriptions[0, rows] @ everything).reshape(-1, _VARIANTS, images)
        best = block.max(axis=1)
        own = np.arange(len(best))
        best[own, own + start] = -np.inf
        near = np.argpartition(-best, ranks[-1], axis=1)[:, : ranks[-1] + 1]
        order = np.argsort(-np.take_along_axis(best, near, axis=1), axis=1, kind="stable")
        chosen = np.take_along_axis(near, order[:, list(ranks)], axis=1)
        index[rows] = chosen
        turn[rows] = 2 * np.take_along_axis(block.argmax(axis=1), chosen, axis=1)
        similarity[rows] = np.take_along_axis(best, chosen, axis=1)
    return Neighbours(ranks, index, turn, similarity)
