"""Files that ``peers.py`` makes and its children read.

Only the standard library: the children's environments have neither linegate nor msgspec.
"""

import json
from pathlib import Path
from typing import NamedTuple

FRAMES = "frames.npy"
"""BGR uint8 ``(frames, 480, 640, 3)``: first those that are compared, then noise."""

PIXELS = "pixels.npy"
"""BGR uint8 ``(frames, side, side, 3)``: the compared frames at the model's own size."""

BUNDLE = "bundle.linegate"
INT8_TFLITE = "model.int8.tflite"
INT8_ONNX = "model.int8.onnx"
FLOAT32_ONNX = "model.float32.onnx"
UINT8_TFLITE = "model.uint8.tflite"
"""For other programs, with metadata; see ``linegate_export.tflite_interop``."""

COMPARED = 32
NOISE = 8
TIMED = 16
"""Frames that are timed: all of the noise, and as many of the others."""

_FACTS = "facts.json"


class Facts(NamedTuple):
    """What somebody who writes a loop by hand writes into it.

    Attributes:
        side: width and height of the model's input.
        defect: label whose probability is judged; the logit speaks for it.
        accept_at_most: threshold on that probability.
        reject_at_least: the other.
        tflite_scale, tflite_zero_point: quantization of the logit.
        onnx_scale, onnx_zero_point: the same of the ONNX model.
    """

    side: int
    defect: str
    accept_at_most: float
    reject_at_least: float
    tflite_scale: float
    tflite_zero_point: int
    onnx_scale: float
    onnx_zero_point: int


def write_facts(folder: Path, facts: Facts) -> None:
    """Write what :func:`read_facts` reads."""
    (folder / _FACTS).write_text(json.dumps(facts._asdict()))


def read_facts(folder: Path) -> Facts:
    """Read what the parent wrote."""
    return Facts(**json.loads((folder / _FACTS).read_text()))
