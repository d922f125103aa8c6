"""The photographs of the demo: solar cells of the pip package ``elpv-dataset``.

Electroluminescence images of 2,624 solar cells with their probability of being
defective (Buerhop-Lutz et al., "A benchmark for visual identification of defective
solar cells in electroluminescence imagery", EU PVSEC 2018; CC BY-NC-SA 4.0, for
non-commercial use only).
"""

import importlib
import logging
import os
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import DataError
from linegate_bundle.images import find_images
from linegate_bundle.preprocess import UInt8Array

_LOG = logging.getLogger(__name__)
GOOD, DEFECT = "functional", "defective"
_DEFECTIVE_AT_LEAST = 0.5
"""Probabilities are 0, 1/3, 2/3 and 1: the share of experts' doubt."""
_CELLS = 2624


def lay_out(folder: Path) -> Path:
    """Write the photographs as a user's own would be: one folder a class.

    ``folder/functional`` and ``folder/defective`` get grey PNG files
    ``cell0001.png`` and so on, numbered in the order of the set, in which cells of one
    module follow each other. A folder that is complete is left as it is.

    Returns:
        ``folder``.

    Raises:
        DataError: the package is not installed, holds another number of images, or
            ``folder`` is there and holds other things.
        OSError: the disk is full or the folder not writable.
    """
    present = [path.name for path in find_images(folder)] if folder.is_dir() else []
    if sorted(present) == [_file_name(number) for number in range(1, _CELLS + 1)]:
        return folder
    if folder.exists() and any(folder.iterdir()):
        raise DataError(
            f"{folder}: expected an empty folder, or the {_CELLS} photographs of the demo, got "
            f"{len(present)} images; remove it"
        )
    images, probabilities = _load()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        for name in (GOOD, DEFECT):
            (temporary / name).mkdir(parents=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            cells = enumerate(zip(images, probabilities, strict=True), start=1)
            list(pool.map(lambda cell: _write(temporary, cell[0], *cell[1]), cells))
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _LOG.info("laid out %d photographs in %s", len(images), folder)
    return folder


def _load() -> tuple[UInt8Array, npt.NDArray[np.float64]]:
    """Return images of shape ``(cells, 300, 300)``, grey, and probabilities ``(cells,)``."""
    try:
        package = importlib.import_module("elpv_dataset.utils")
    except ImportError as error:
        raise DataError(
            "the demo's photographs are in the pip package elpv-dataset, which is not installed; "
            'run `pip install "linegate[demo]"` (images for non-commercial use only)'
        ) from error
    images, probabilities, _ = package.load_dataset()
    if len(images) != _CELLS or len(probabilities) != _CELLS or images.dtype != np.uint8:
        raise DataError(
            f"elpv-dataset: expected {_CELLS} uint8 images with probabilities, got {len(images)} "
            f"of {images.dtype}; install the version that linegate's extra `demo` names"
        )
    return images, probabilities


def _write(folder: Path, number: int, image: UInt8Array, probability: float) -> None:
    label = DEFECT if probability >= _DEFECTIVE_AT_LEAST else GOOD
    _, encoded = cv2.imencode(".png", image)
    (folder / label / _file_name(number)).write_bytes(encoded.tobytes())


def _file_name(number: int) -> str:
    return f"cell{number:04d}.png"
