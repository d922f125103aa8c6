"""Every image preprocessed once, through the device's own code, and kept on disk."""

from pathlib import Path

import msgspec
import numpy as np

from linegate_bundle.images import read_image
from linegate_bundle.manifest import PreprocessSpec
from linegate_bundle.preprocess import Preprocessor, UInt8Array
from linegate_training.data.cache import CachedRows, RowFormat, cached_rows
from linegate_training.data.scan import Dataset

Pixels = CachedRows
"""Preprocessed images on disk: uint8 of shape ``(images, height, width, channels)``."""
_FORMAT = b"linegate pixels 2"
"""Part of the hash: change it when preprocessing gives other pixels for the same spec."""


def preprocess_all(dataset: Dataset, spec: PreprocessSpec, cache: Path) -> Pixels:
    """Preprocess all images of a dataset, or find them in the cache.

    An interrupted or failed call leaves no cache behind. Images that cannot be decoded
    are reported in the result, not raised.

    Raises:
        DataError: the cache cannot be written.
    """

    def preprocess(path: Path) -> UInt8Array:
        return Preprocessor(spec)(read_image(path))

    form = RowFormat(
        identity=_FORMAT + msgspec.json.encode(spec, order="deterministic"),
        title="preprocessing",
        dtype=np.dtype(np.uint8),
        shape=spec.shape,
    )
    return cached_rows(dataset, form, preprocess, cache)
