"""What pretrained weights were trained on, and the first layer brought to other pixels.

Every network here takes RGB or grey pixels through one scale and one offset for all
channels, because only that becomes the quantization of an int8 input. Published
weights often expect more: channels in the order BGR, a mean or a deviation for each.
All of it is affine in the pixel, and an affine map before a convolution can be put
into the convolution's kernel and bias.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import ConfigError

Array = npt.NDArray[Any]
Float64Array = npt.NDArray[np.float64]

_COLOURS = 3
_WHITE = 255.0
_PROBES = np.array(
    [(0, 0, 0), (_WHITE, 0, 0), (0, _WHITE, 0), (0, 0, _WHITE), (51, 102, 204)], np.float32
)
_ROUNDING = 1e-4


@dataclasses.dataclass(frozen=True)
class PixelMap:
    """What weights were trained on: ``matrix @ pixel + offset`` of an RGB pixel 0..255.

    Attributes:
        matrix: float64 of shape ``(channels, 3)``, a row for each channel that the
            pretrained first layer takes.
        offset: float64 of shape ``(channels,)``.
    """

    matrix: Float64Array
    offset: Float64Array

    @property
    def zero(self) -> int:
        """The whole grey value, 0..255, nearest to the pixel that becomes zero."""
        pixel = np.linalg.lstsq(self.matrix, -self.offset)[0]
        return int(np.clip(round(float(pixel.mean())), 0, _WHITE))

    @staticmethod
    def of_mean_and_deviation(
        mean: tuple[float, float, float], deviation: tuple[float, float, float]
    ) -> "PixelMap":
        """Return the map ``(pixel - mean) / deviation``, RGB."""
        scale = 1 / np.asarray(deviation, np.float64)
        return PixelMap(np.diag(scale), -np.asarray(mean, np.float64) * scale)

    @staticmethod
    def of_function(preprocess: Callable[[Array], Any], name: str) -> "PixelMap":
        """Measure a function from RGB images, float32 ``(1, 1, n, 3)``, to what a layer takes.

        Raises:
            ConfigError: the function is not affine in the pixel.
        """
        values = np.asarray(preprocess(_PROBES[np.newaxis, np.newaxis].copy()), np.float64)
        values = values.reshape(len(_PROBES), -1)
        offset = values[0]
        matrix = (values[1 : 1 + _COLOURS] - offset).T / _WHITE
        expected = matrix @ _PROBES[-1].astype(np.float64) + offset
        if not np.allclose(values[-1], expected, atol=_ROUNDING * np.abs(values).max()):
            raise ConfigError(
                f"{name}: expected a preprocessing that is affine in the pixel, got another; its "
                "weights cannot be used with raw pixels, choose --weights none"
            )
        return PixelMap(matrix, offset)


def adapt_kernel(
    kernel: Array, pixels: PixelMap, scale: float, offset: float, channels: int
) -> tuple[Array, Array]:
    """Bring a first convolution to the input ``pixel * scale + offset``.

    The outputs are equal but for the rim of the picture, where a layer pads with zeros:
    zero stands for another pixel then.

    Args:
        kernel: float32 of shape ``(height, width, inputs, filters)``.
        pixels: what the kernel was trained on.
        scale: of the new input.
        offset: of the new input.
        channels: 3 for RGB; 1 for grey, which is seen as three equal colours.

    Returns:
        The new kernel, ``(height, width, channels, filters)``, and what is to be added
        to the outputs, ``(filters,)``; both float32.
    """
    exact = kernel.astype(np.float64)
    adapted = np.einsum("hwif,ic->hwcf", exact, pixels.matrix / scale)
    at_zero = pixels.offset - pixels.matrix.sum(axis=1) * (offset / scale)
    shift = np.einsum("hwif,i->f", exact, at_zero)
    if channels == 1:
        adapted = adapted.sum(axis=2, keepdims=True)
    return adapted.astype(np.float32), shift.astype(np.float32)
