"""Is this frame a new picture of the scene? Checks that the capture makes on every frame.

Pure of input and output. A camera that hangs inside often sends its last picture again
and again, and one that is covered or has lost its signal sends black; verdicts on either
would be verdicts on nothing.
"""

import enum

import numpy as np

from linegate_bundle.preprocess import UInt8Array

_ROWS_COMPARED = 8
"""So many rows are compared first: noise makes nearly every new picture differ in them."""

_GRID_STEP = 8
"""Every so many pixels along each axis are looked at for blackness."""

_BRIGHT_SHARE = 0.005
"""A picture with more bright pixels than this is dark, but not black."""


class Finding(enum.Enum):
    """What a frame is.

    The first frame of a camera could be an old one that it gives for ever; only the next one
    that differs from it is surely new.
    """

    NEW = enum.auto()
    FIRST = enum.auto()
    REPEATED = enum.auto()
    BLACK = enum.auto()


class FrameChecks:
    """Compares each frame with the one before it.

    Args:
        black_below: grey level below which a pixel is black; 0 takes no picture for black.
        repeats: whether repeated pictures are looked for.
    """

    def __init__(self, *, black_below: int, repeats: bool) -> None:
        self._black_below = black_below
        self._repeats = repeats

    def look(self, pixels: UInt8Array, before: UInt8Array | None) -> Finding:
        """Say what a frame is.

        Args:
            pixels: BGR uint8 of shape ``(height, width, 3)``.
            before: the frame before it, of the same shape; None for the first.
        """
        if self._repeats and before is not None and _are_equal(pixels, before):
            return Finding.REPEATED
        if self._black_below and _is_black(pixels, self._black_below):
            return Finding.BLACK
        return Finding.FIRST if self._repeats and before is None else Finding.NEW


def _are_equal(pixels: UInt8Array, before: UInt8Array) -> bool:
    step = max(1, len(pixels) // _ROWS_COMPARED)
    sample = slice(step // 2, None, step)
    return np.array_equal(pixels[sample], before[sample]) and np.array_equal(pixels, before)


def _is_black(pixels: UInt8Array, below: int) -> bool:
    grid = pixels[_GRID_STEP // 2 :: _GRID_STEP, _GRID_STEP // 2 :: _GRID_STEP]
    if not grid.size:
        grid = pixels
    return int(np.count_nonzero(grid >= below)) <= _BRIGHT_SHARE * grid.size
