"""What linegate answers on this processor, as JSON: ``answers.py pixels | logits BUNDLE FOLDER``.

Runs where only the runtime is installed, on both sides, so that the answers can be compared.
"""

import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from linegate_bundle.bundle import Bundle
from linegate_bundle.images import clear_colour, decode_image, encode_jpeg, find_images, read_image
from linegate_bundle.manifest import Colour, DType, Fit, PreprocessSpec, Region, Resize
from linegate_bundle.preprocess import Preprocessor, UInt8Array, encode
from linegate_runtime.model import Model

ENGINES = ("tflite", "onnx")

_COLOURED = ((480, 640), (1080, 1920), (97, 131), (64, 64), (40, 500))
_GREY = ((480, 640), (97, 131))
"""Heights and widths: usual cameras, odd ones, smaller than the input, long and narrow."""

_INPUTS = ((96, 96), (224, 224), (64, 48))
"""Widths and heights."""

_REGIONS = (None, Region(x=0.1, y=0.25, width=0.61, height=0.5))


def draw(height: int, width: int, *, is_grey: bool) -> UInt8Array:
    """Draw a frame of blocks, slopes and noise in whole numbers, the same everywhere."""
    rng = np.random.default_rng(height * 10_000 + width)
    channels = () if is_grey else (3,)
    blocks = rng.integers(0, 180, (-(-height // 16), -(-width // 16), *channels), np.uint8)
    frame = blocks.repeat(16, 0).repeat(16, 1)[:height, :width]
    slope = (np.arange(width) * 50 // width).astype(np.uint8)
    frame = frame + slope.reshape(1, width, *(1 for _ in channels))
    drawn: UInt8Array = frame + rng.integers(0, 25, frame.shape, np.uint8)
    return drawn


def pixels() -> Iterator[tuple[str, str]]:
    """Yield each way of preprocessing and the SHA-256 of the bytes that it gives."""
    ways = itertools.product(Resize, Colour, Fit, _INPUTS, _REGIONS)
    for resize, colour, fit, (width, height), region in ways:
        spec = PreprocessSpec(
            colour=colour, region=region, width=width, height=height, resize=resize, fit=fit
        )
        preprocess = Preprocessor(spec)
        part = "whole" if region is None else "region"
        way = f"{resize} {colour} {fit} {width}x{height} {part}"
        for size, is_grey in _frames():
            given = preprocess(draw(*size, is_grey=is_grey))
            yield f"{way} of {_name(size, is_grey=is_grey)}", _digest(given)


def pictures() -> Iterator[tuple[str, str]]:
    """Yield what else pixels go through: JPEG, the model's types, the check of colour."""
    for size, is_grey in _frames():
        frame, name = draw(*size, is_grey=is_grey), _name(size, is_grey=is_grey)
        coded = encode_jpeg(frame)
        yield f"JPEG of {name}", _digest(np.frombuffer(coded, np.uint8))
        yield f"JPEG of {name}, decoded", _digest(decode_image(coded))
        if not is_grey:
            yield f"colour of {name}", str(clear_colour(frame))
            for dtype in DType:
                yield f"{dtype} of {name}", _digest(encode(frame, dtype))


def logits(bundle_path: Path, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Return the logits of every picture of a folder by engine and file name."""
    answers: dict[str, dict[str, list[float]]] = {}
    with Bundle.open(bundle_path, "0.1.0") as bundle:
        for engine in ENGINES:
            with Model.open(bundle, engine) as model:
                answers[engine] = {
                    path.name: [float(one) for one in model.logits(read_image(path))]
                    for path in find_images(folder)
                }
    return answers


def _frames() -> Iterator[tuple[tuple[int, int], bool]]:
    yield from ((size, False) for size in _COLOURED)
    yield from ((size, True) for size in _GREY)


def _name(size: tuple[int, int], *, is_grey: bool) -> str:
    return f"{size[1]}x{size[0]} {'grey' if is_grey else 'BGR'}"


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def main(what: str, *paths: str) -> None:
    """Print the answers."""
    if what == "pixels":
        found: object = dict([*pixels(), *pictures()])
    else:
        bundle, folder = map(Path, paths)
        found = logits(bundle, folder)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
