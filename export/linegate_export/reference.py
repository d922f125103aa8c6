"""Is the float ONNX model, which all is measured against, really the trained Keras model?"""

import numpy as np
import numpy.typing as npt

from linegate_bundle.manifest import LOGITS
from linegate_bundle.preprocess import UInt8Array
from linegate_export.conversion import ConversionError
from linegate_export.evaluate import Evaluation
from linegate_export.graph import Deployable

COMPARED = 32
"""Pictures that are compared; a wrong conversion is wrong on the first."""

_TOLERATED_SHARE = 1e-3
"""Of the largest logit; a right conversion differs by some 1e-5, from another order of sums."""


def ensure_same(model: Deployable, evaluation: Evaluation, pixels: UInt8Array) -> float:
    """Compare logits and probabilities with Keras on the first pictures.

    Args:
        model: the trained model.
        evaluation: of the float ONNX model on ``pixels``.
        pixels: uint8 ``(n, height, width, channels)``.

    Returns:
        The largest difference of a logit.

    Raises:
        ConversionError: they differ by more than a thousandth of the largest logit, or
            the probabilities that follow from the logits are not those of the trained model.
    """
    batch = pixels[:COMPARED].astype(np.float32)
    logits = np.asarray(model.raw(batch, training=False)[LOGITS], np.float64)
    difference = _largest(logits - evaluation.logits[:COMPARED])
    tolerated = _TOLERATED_SHARE * max(1.0, _largest(logits))
    # "not <=" so that NaN fails.
    if not difference <= tolerated:
        raise ConversionError(
            f"expected float32 ONNX to give the logits of Keras within {tolerated:.2g}, "
            f"they differ by {difference:.2g}"
        )
    whole = np.asarray(model.whole(batch, training=False), np.float64)
    # A sigmoid gives the second label only; the last column is the same for softmax.
    last = evaluation.probabilities[:COMPARED, -1]
    if not _largest(whole[:, -1] - last) <= tolerated:
        raise ConversionError(
            "expected the trained model's own probabilities to follow from its logits, "
            f"they differ by {_largest(whole[:, -1] - last):.2g}"
        )
    return difference


def _largest(values: npt.NDArray[np.float64]) -> float:
    return float(np.abs(values).max())
