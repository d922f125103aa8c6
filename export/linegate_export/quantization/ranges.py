"""The range that int8 must cover in each tensor: observed on pictures, chosen by a method.

``min_max`` covers all that was seen. ``percentile`` cuts the rarest values off at both ends, and
``least_error`` scales the seen range down to where the mean squared error of rounding and cutting
is least (see Nagel et al., "A White Paper on Neural Network Quantization", 2021, section 3.1).
Which of them serves best depends on the net and cannot be told beforehand.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from linegate_bundle.preprocess import UInt8Array
from linegate_export.graph import Normalization
from linegate_export.progress import bar
from linegate_export.quantization.probe import Probe, evenly
from linegate_export.tflite_file import Tensor, read_tflite

Float64Array = npt.NDArray[np.float64]

BINS = 2048
_SHRINKAGES = np.linspace(1.0, 0.1, 91)
_STEPS = 255
_LAST_STEP = 255


@dataclasses.dataclass(frozen=True)
class Range:
    """The real numbers from ``low`` to ``high``."""

    low: float
    high: float


Ranges = dict[str, Range]
"""By the name of the tensor."""


@dataclasses.dataclass(frozen=True)
class Observed:
    """What pictures showed of every float tensor of a graph.

    Attributes:
        tensors: names; all that is not constant, the input left out.
        lows: least value, float64 ``(pictures, tensors)``.
        highs: largest value, of the same shape.
        histograms: counts of the values of some pictures, ``(tensors, BINS)``, between the
            least and the largest of the whole column.
        given: the input's range, which nobody has to observe.
    """

    tensors: tuple[str, ...]
    lows: Float64Array
    highs: Float64Array
    histograms: npt.NDArray[np.int64]
    given: Ranges

    def min_max(self, pictures: Sequence[int] | None = None) -> Ranges:
        """Cover all that was seen, on all pictures or on those with the given numbers."""
        chosen = slice(None) if pictures is None else list(pictures)
        return self._named(self.lows[chosen].min(axis=0), self.highs[chosen].max(axis=0))

    def percentile(self, share: float) -> Ranges:
        """Cover the share of the values that lies in the middle; 1 covers all."""
        lows, highs = self.lows.min(axis=0), self.highs.max(axis=0)
        cut = (1.0 - share) / 2
        cumulative = np.cumsum(self.histograms, axis=1) / self.histograms.sum(axis=1)[:, None]
        first = np.argmax(cumulative > cut, axis=1)
        last = np.argmax(cumulative >= 1.0 - cut, axis=1)
        width = (highs - lows) / BINS
        # A range that begins at zero is that of a ReLU: nothing is rare about zero.
        starts = np.where(lows >= 0, lows, lows + first * width)
        return self._named(starts, lows + (last + 1) * width)

    def least_error(self) -> Ranges:
        """Cover what makes the mean squared error of rounding and cutting least."""
        lows, highs = self.lows.min(axis=0), self.highs.max(axis=0)
        width = ((highs - lows) / BINS)[:, None]
        centres = lows[:, None] + (np.arange(BINS) + 0.5) * width
        shares = self.histograms / self.histograms.sum(axis=1)[:, None]
        errors = []
        for shrinkage in _SHRINKAGES:
            low, high = (shrinkage * edge[:, None] for edge in (lows, highs))
            cut = np.clip(centres, low, high) - centres
            step = (np.maximum(high, 0) - np.minimum(low, 0))[:, 0] / _STEPS
            errors.append((shares * cut**2).sum(axis=1) + step**2 / 12)
        best = _SHRINKAGES[np.argmin(errors, axis=0)]
        return self._named(best * lows, best * highs)

    def _named(self, lows: Float64Array, highs: Float64Array) -> Ranges:
        chosen = {
            name: Range(float(low), float(high))
            for name, low, high in zip(self.tensors, lows, highs, strict=True)
        }
        return {**chosen, **self.given}


def observe(
    content: bytes, pictures: UInt8Array, normalization: Normalization, *, histograms_of: int
) -> Observed:
    """Run a float model over pictures and note what its tensors hold.

    Args:
        content: float32 TFLite that takes normalized pixels.
        pictures: raw pixels, uint8 ``(n, height, width, channels)``, at least one.
        normalization: turns the raw pixels into the model's input.
        histograms_of: how many pictures, spread evenly, go into the histograms.
    """
    tensors = activations(content)
    probe = Probe(content, normalization)
    lows, highs = (np.empty((len(pictures), len(tensors))) for _ in range(2))
    for place, picture in enumerate(bar(pictures, "ranges", len(pictures))):
        probe.run(picture)
        for column, tensor in enumerate(tensors):
            values = probe.values(tensor)
            lows[place, column], highs[place, column] = values.min(), values.max()
    histograms = np.zeros((len(tensors), BINS), np.int64)
    chosen = evenly(pictures, histograms_of)
    low, high = lows.min(axis=0), highs.max(axis=0)
    for picture in bar(chosen, "histograms", len(chosen)):
        probe.run(picture)
        for column, tensor in enumerate(tensors):
            histograms[column] += _counts(probe.values(tensor), low[column], high[column])
    return Observed(
        tensors=tuple(tensor.name for tensor in tensors),
        lows=lows,
        highs=highs,
        histograms=histograms,
        given=given_range(content, normalization),
    )


def activations(content: bytes) -> list[Tensor]:
    """Return the float tensors that operators write."""
    return [
        tensor
        for operator in read_tflite(content).operators
        for tensor in operator.outputs
        if tensor.dtype == "float32"
    ]


def given_range(content: bytes, normalization: Normalization) -> Ranges:
    """Return the range of the input: all pixels, so that a step of int8 is one of the pixel."""
    (image,) = read_tflite(content).inputs.values()
    last = normalization.scale * _LAST_STEP + normalization.offset
    return {image.name: Range(normalization.offset, last)}


def _counts(values: npt.NDArray[np.float32], low: float, high: float) -> npt.NDArray[np.int64]:
    if high <= low:
        return np.bincount(np.zeros(values.size, np.int64), minlength=BINS)
    factor = np.float32(BINS / (high - low))
    bins = ((values.reshape(-1) - np.float32(low)) * factor).astype(np.int32)
    return np.bincount(np.clip(bins, 0, BINS - 1), minlength=BINS)
