"""Images much darker, brighter or more blurred than others of their class."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from linegate_training.data.findings import Kind, Outlier
from linegate_training.data.scan import Photo

Float64Array = npt.NDArray[np.float64]

_LIMIT = 3.5
"""Of the modified z-score (Iglewicz and Hoaglin, "How to detect and handle outliers", 1993)."""
_CONSISTENCY = 0.6745
"""Makes the median absolute deviation of a normal distribution its standard deviation."""
_LEAST_BRIGHTNESS_SPREAD = 5.0
"""In grey levels; images that differ by less than a few of these are all the same."""
_LEAST_SHARPNESS_SPREAD = 0.2
"""In natural logarithms: a fifth more or less sharp is the same."""


def find_outliers(
    photos: Sequence[Photo], brightness: Float64Array, sharpness: Float64Array
) -> list[Outlier]:
    """Find images that stand out in their class.

    Args:
        photos: the images.
        brightness: of each, mean grey 0..255, shape ``(images,)``.
        sharpness: of each, variance of the Laplacian, shape ``(images,)``.

    Returns:
        Outliers, farthest first.
    """
    labels = np.array([photo.label for photo in photos])
    found: list[Outlier] = []
    for label in sorted(set(labels.tolist())):
        members = np.flatnonzero(labels == label)
        bright = modified_z(brightness[members], _LEAST_BRIGHTNESS_SPREAD)
        sharp = modified_z(np.log1p(sharpness[members]), _LEAST_SHARPNESS_SPREAD)
        sharp[bright < -_LIMIT] = 0.0  # what is dark has little contrast, blurred or not
        for kind, scores, values in (
            (Kind.DARK, -bright, brightness),
            (Kind.BRIGHT, bright, brightness),
            (Kind.BLURRED, -sharp, sharpness),
        ):
            typical = float(np.median(values[members]))
            found += [
                Outlier(
                    path=photos[index].path,
                    label=label,
                    kind=kind,
                    value=float(values[index]),
                    typical=typical,
                    score=float(score),
                )
                for index, score in zip(members.tolist(), scores, strict=True)
                if score > _LIMIT
            ]
    return sorted(found, key=lambda outlier: (-outlier.score, outlier.path, outlier.kind))


def modified_z(values: Float64Array, least_spread: float) -> Float64Array:
    """Return how far each value is from the median, in robust standard deviations.

    Args:
        values: shape ``(n,)``.
        least_spread: smallest median absolute deviation that is believed.
    """
    apart = values - np.median(values)
    spread = max(float(np.median(np.abs(apart))), least_spread)
    scores: Float64Array = _CONSISTENCY * apart / spread
    return scores
