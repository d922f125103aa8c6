"""Every image preprocessed once, and kept as a memory-mapped array on disk.

The cache's name is a hash over the preprocessing and the images' contents: the same
pictures under other names, in other folders or splits find it again.
"""

import dataclasses
import hashlib
import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
from tqdm import tqdm

from linegate_bundle.atomic import atomic_file, write_atomic
from linegate_bundle.errors import DataError
from linegate_bundle.images import read_image
from linegate_bundle.manifest import PreprocessSpec
from linegate_bundle.preprocess import Preprocessor, UInt8Array
from linegate_training.data.scan import Dataset, Photo

_LOG = logging.getLogger(__name__)
_FORMAT = "linegate pixels 1"
"""Part of the hash: change it when preprocessing gives other pixels for the same spec."""
_AHEAD = 64
"""Images that may wait, preprocessed, until they are written."""


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Preprocessed images on disk.

    Attributes:
        array: uint8 of shape ``(images, height, width, channels)``, read-only, one row
            for each different content.
        rows: row by the SHA-256 of an image's content.
        corrupt: what is wrong with an image that cannot be decoded, by its SHA-256.
    """

    array: UInt8Array
    rows: dict[str, int]
    corrupt: dict[str, str]


def default_cache() -> Path:
    """Return the folder for caches of the user who runs this."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "linegate"


def preprocess_all(dataset: Dataset, spec: PreprocessSpec, cache: Path) -> Pixels:
    """Preprocess all images of a dataset, or find them in the cache.

    An interrupted or failed call leaves no cache behind. Images that cannot be decoded
    are reported in the result, not raised.

    Raises:
        DataError: the cache cannot be written.
    """
    photos = sorted({photo.sha256: photo for photo in dataset.photos}.values(), key=_sha256)
    key = _key([photo.sha256 for photo in photos], spec)
    path = cache / f"{key}.npy"
    try:
        if not path.is_file():
            cache.mkdir(parents=True, exist_ok=True)
            _build(dataset, photos, spec, path)
        array = np.load(path, mmap_mode="r")
        corrupt = msgspec.json.decode(_corrupt_file(path).read_bytes(), type=dict[str, str])
    except OSError as error:
        raise DataError(
            f"{path}: the cache of preprocessed images, {_size_mb(len(photos), spec):.0f} MB, "
            f"cannot be written or read: {error.strerror or error}; make room, or give another "
            "folder with --cache DIR"
        ) from error
    expected = (len(photos), *spec.shape)
    if array.shape != expected or array.dtype != np.uint8:
        raise DataError(
            f"{path}: expected uint8 of shape {expected}, got {array.dtype} of {array.shape}; "
            "delete the file"
        )
    return Pixels(array, {photo.sha256: row for row, photo in enumerate(photos)}, corrupt)


def _build(dataset: Dataset, photos: Sequence[Photo], spec: PreprocessSpec, path: Path) -> None:
    """Write pixels row by row; images that fail get a black row and an entry in the list."""
    corrupt: dict[str, str] = {}
    black = np.zeros(spec.shape, np.uint8)
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(photos), *spec.shape)}
    # A plain file, because a full disk under a memory map kills the process.
    with atomic_file(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        images = _preprocess_in_order(dataset, photos, spec)
        progress = tqdm(images, "preprocessing", len(photos), unit=" images", disable=None)
        for photo, image in zip(photos, progress, strict=True):
            if isinstance(image, DataError):
                corrupt[photo.sha256] = str(image)
            file.write((black if isinstance(image, DataError) else image).data)
        write_atomic(_corrupt_file(path), msgspec.json.encode(corrupt))
    _LOG.info("preprocessed %d images into %s", len(photos), path)


def _preprocess_in_order(
    dataset: Dataset, photos: Sequence[Photo], spec: PreprocessSpec
) -> Iterator[UInt8Array | DataError]:
    """Preprocess in threads (OpenCV lets others run), a bounded number ahead of the reader."""

    def preprocess(photo: Photo) -> UInt8Array | DataError:
        path = dataset.file(photo)
        try:
            return Preprocessor(spec)(read_image(path))
        except DataError as error:
            # The cache outlives the file's name.
            return DataError(str(error).removeprefix(f"{path}: "))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        remaining = iter(photos)
        waiting: list[Future[UInt8Array | DataError]] = [
            pool.submit(preprocess, photo) for photo in itertools.islice(remaining, _AHEAD)
        ]
        try:
            while waiting:
                image = waiting.pop(0).result()
                waiting += [
                    pool.submit(preprocess, photo) for photo in itertools.islice(remaining, 1)
                ]
                yield image
        finally:
            pool.shutdown(cancel_futures=True)


def _key(hashes: Sequence[str], spec: PreprocessSpec) -> str:
    digest = hashlib.sha256(_FORMAT.encode())
    digest.update(msgspec.json.encode(spec, order="deterministic"))
    for sha256 in hashes:
        digest.update(bytes.fromhex(sha256))
    return digest.hexdigest()[:32]


def _corrupt_file(path: Path) -> Path:
    return path.with_suffix(".corrupt.json")


def _sha256(photo: Photo) -> str:
    return photo.sha256


def _size_mb(images: int, spec: PreprocessSpec) -> float:
    return images * spec.height * spec.width * spec.colour.channels / 1e6
