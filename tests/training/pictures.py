"""Generated photographs: dark noise, and on defective ones a bright square."""

from pathlib import Path

import cv2
import numpy as np

from linegate_bundle.preprocess import UInt8Array
from linegate_training.data.scan import Photo

SIDE = 20


def draw(rng: np.random.Generator, label: str) -> UInt8Array:
    """Draw a picture, BGR uint8; ``scratch`` has a bright square, ``dent`` a bright row."""
    picture = rng.integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8)
    x, y = rng.integers(2, SIDE - 8, 2)
    if label == "scratch":
        picture[y : y + 6, x : x + 6] = 240
    elif label == "dent":
        picture[y : y + 2] = (0, 120, 255)
    return picture


def write_photographs(folder: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """Write so many pictures of each class as ``CLASS/part000_0.png`` and so on."""
    rng = np.random.default_rng(seed)
    number = 0
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for _ in range(count):
            path = folder / label / f"part{number // 3:03}_{number % 3}.png"
            cv2.imwrite(str(path), draw(rng, label))
            number += 1
    return folder


def photo(path: str, sha256: str | None = None) -> Photo:
    """Make up a photograph; files of different paths differ unless a hash is given."""
    label = path.split("/", maxsplit=1)[0]
    digest = sha256 or format(abs(hash(path)), "064x")
    return Photo(path=path, label=label, sha256=digest)
