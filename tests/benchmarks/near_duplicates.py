"""How well near duplicates are found: real pictures with copies added whose origin is known.

``make bench-near-duplicates`` prints a table and writes ``build/benchmarks/near-duplicates.json``.
Pictures: solar cells of the pip package elpv-dataset (non-commercial use only), and crops of
DeepPCB.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from linegate_bundle.images import decode_image, find_images, read_image
from linegate_bundle.preprocess import UInt8Array
from linegate_training.data.alignment import Aligner
from linegate_training.data.clusters import Clusters
from linegate_training.data.duplicates import Pair, find_near_duplicates
from linegate_training.data.looks import THUMBNAIL_SIDE
from tests.benchmarks.bench import Result, write
from tests.benchmarks.deeppcb import unpack

COPIES_OF_EACH_KIND = 60
TIMED_IMAGES = 10_000

Change = Callable[[UInt8Array, np.random.Generator], UInt8Array]


@dataclasses.dataclass(frozen=True)
class Copy:
    """A copy that was added: its own number, that of its origin, and what was done to it."""

    number: int
    origin: int
    kind: str


@dataclasses.dataclass(frozen=True)
class Figures:
    """What came out for one set of pictures.

    Attributes:
        pictures: real ones.
        copies: added to them.
        recall: share of the copies that end in one cluster with their origin, by kind.
        precision: of the pairs found that hold a copy, the share that shows one picture.
        pairs_in_originals: found among the real pictures alone, with no copies added.
        images_in_originals: images in these pairs.
        cpu_seconds: of all cores together, for all pictures with copies, after decoding.
    """

    pictures: int
    copies: int
    recall: dict[str, float]
    precision: float
    pairs_in_originals: int
    images_in_originals: int
    cpu_seconds: float


def _grey(image: UInt8Array) -> UInt8Array:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).view(np.uint8)


def _jpeg(image: UInt8Array, quality: int) -> UInt8Array:
    _, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _grey(decode_image(content.tobytes()))


def _turn(image: UInt8Array, turns: int) -> UInt8Array:
    return np.ascontiguousarray(np.rot90(image, turns))


def _shift(image: UInt8Array, pixels: int, rng: np.random.Generator) -> UInt8Array:
    dx, dy = ((pixels, 0), (0, pixels), (-pixels, pixels), (pixels, -pixels))[rng.integers(4)]
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    moved = cv2.warpAffine(image, matrix, image.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return moved.view(np.uint8)


def _noise(image: UInt8Array, deviation: float, rng: np.random.Generator) -> UInt8Array:
    return (image + rng.normal(0, deviation, image.shape)).clip(0, 255).astype(np.uint8)


def _bright(image: UInt8Array, factor: float) -> UInt8Array:
    return (image * factor).clip(0, 255).astype(np.uint8)


CHANGES: dict[str, Change] = {
    "JPEG quality 70": lambda image, _: _jpeg(image, 70),
    "turned": lambda image, rng: _turn(image, int(rng.integers(1, 4))),
    "mirrored and turned": lambda image, rng: _turn(image[:, ::-1], int(rng.integers(4))),
    "10 % brighter": lambda image, _: _bright(image, 1.1),
    "10 % darker": lambda image, _: _bright(image, 0.9),
    "resized to 0.8": lambda image, _: cv2.resize(
        image, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA
    ).view(np.uint8),
    "shifted by 2 pixels": lambda image, rng: _shift(image, 2, rng),
    "noise of 5 grey levels": lambda image, rng: _noise(image, 5.0, rng),
    "turned, brighter, noise, JPEG": lambda image, rng: _jpeg(
        _noise(_bright(_turn(image, int(rng.integers(4))), 1.1), 5.0, rng), 70
    ),
}


def thumbnail(image: UInt8Array) -> UInt8Array:
    """Reduce a picture as the data check does."""
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).view(np.uint8)


def add_copies(images: Sequence[UInt8Array], seed: int) -> tuple[list[Copy], list[UInt8Array]]:
    """Return the copies of every kind, and their thumbnails."""
    rng = np.random.default_rng(seed)
    copies: list[Copy] = []
    thumbnails: list[UInt8Array] = []
    for kind, change in CHANGES.items():
        for origin in rng.choice(len(images), COPIES_OF_EACH_KIND, replace=False):
            copies.append(Copy(len(images) + len(copies), int(origin), kind))
            thumbnails.append(thumbnail(change(images[origin], rng)))
    return copies, thumbnails


def measure(images: Sequence[UInt8Array]) -> Figures:
    """Search with and without copies, and compare with what was added."""
    originals = np.stack([thumbnail(image) for image in images])
    alone = find_near_duplicates(originals, Aligner(originals))
    copies, added = add_copies(images, seed=0)
    everything = np.concatenate([originals, np.stack(added)])
    start = time.process_time()
    pairs = find_near_duplicates(everything, Aligner(everything))
    seconds = time.process_time() - start
    clusters = _clusters(len(everything), pairs)
    recall = {
        kind: float(
            np.mean(
                [
                    clusters.find(str(copy.number)) == clusters.find(str(copy.origin))
                    for copy in copies
                    if copy.kind == kind
                ]
            )
        )
        for kind in CHANGES
    }
    return Figures(
        pictures=len(images),
        copies=len(copies),
        recall=recall,
        precision=_precision(len(images), copies, pairs, alone),
        pairs_in_originals=len(alone),
        images_in_originals=len({image for pair in alone for image in (pair.first, pair.second)}),
        cpu_seconds=seconds,
    )


def _clusters(images: int, pairs: Sequence[Pair]) -> Clusters:
    clusters = Clusters(map(str, range(images)))
    for pair in pairs:
        clusters.join(str(pair.first), str(pair.second))
    return clusters


def _precision(
    images: int, copies: Sequence[Copy], pairs: Sequence[Pair], alone: Sequence[Pair]
) -> float:
    """Count pairs with a copy as right whose origins are one, or alike among the originals."""
    origin = {copy.number: copy.origin for copy in copies}
    same = _clusters(images, alone)
    right = [
        same.find(str(origin.get(pair.first, pair.first)))
        == same.find(str(origin.get(pair.second, pair.second)))
        for pair in pairs
        if pair.second >= images
    ]
    return float(np.mean(right))


def solar_cells() -> list[UInt8Array]:
    """Return the pictures of elpv-dataset, grey 300x300."""
    from elpv_dataset.utils import load_dataset

    return list(load_dataset()[0])


def deeppcb(folder: Path) -> list[UInt8Array]:
    """Return the crops below a folder, grey."""
    return [_grey(read_image(path)) for path in find_images(folder)]


def time_search(images: Sequence[UInt8Array]) -> tuple[float, float]:
    """Return wall and CPU seconds of a search among 10,000 pictures, after decoding."""
    rng = np.random.default_rng(1)
    chosen = rng.choice(len(images), TIMED_IMAGES, replace=len(images) < TIMED_IMAGES)
    thumbnails = np.stack([_noise(thumbnail(images[number]), 12.0, rng) for number in chosen])
    start, cpu = time.perf_counter(), time.process_time()
    find_near_duplicates(thumbnails, Aligner(thumbnails))
    return time.perf_counter() - start, time.process_time() - cpu


def run() -> Result:
    """Measure both sets, and time the search."""
    sets = {"solar cells": solar_cells(), "DeepPCB crops": deeppcb(unpack())}
    rows: list[tuple[str, str, float]] = []
    figures: dict[str, float] = {}
    for name, images in sets.items():
        found = measure(images)
        rows += [(name, f"recall, {kind}", share) for kind, share in found.recall.items()]
        rows += [
            (name, "precision of pairs with a copy", found.precision),
            (name, "pairs without copies", float(found.pairs_in_originals)),
            (name, "pictures in these", float(found.images_in_originals)),
            (name, "seconds of CPU", found.cpu_seconds),
        ]
        figures[f"{name}.least_recall"] = min(found.recall.values())
        figures[f"{name}.precision"] = found.precision
    wall, cpu = time_search(sets["solar cells"])
    return Result(
        name="near-duplicates",
        protocol=f"{COPIES_OF_EACH_KIND} copies of each kind are added and searched for",
        columns=("pictures", "figure", "value"),
        rows=rows,
        figures={**figures, "seconds_10000": wall, "cpu_seconds_10000": cpu},
    )


if __name__ == "__main__":
    write(run())
