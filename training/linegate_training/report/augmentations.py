"""The pictures on which a report shows what the augmentation does."""

import numpy as np

from linegate_bundle.preprocess import UInt8Array
from linegate_bundle.run_folder import Part
from linegate_training.data.prepare import Prepared

_PICTURES = 6


def choose_pictures(prepared: Prepared, count: int = _PICTURES) -> UInt8Array:
    """Return pictures of the train part, of each label in turn, ``(n, height, width, c)``."""
    by_label: dict[str, list[int]] = {}
    for row in prepared.rows:
        if row.part is Part.TRAIN:
            by_label.setdefault(row.label, []).append(prepared.pixels.rows[row.sha256])
    turns = max(len(places) for places in by_label.values())
    every = [
        places[turn] for turn in range(turns) for places in by_label.values() if turn < len(places)
    ]
    return np.stack([prepared.pixels.array[place] for place in every[:count]])
