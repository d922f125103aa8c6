"""What is computed once an image, kept as a memory-mapped array on disk.

A cache's name is a hash over the images' contents and over what is computed: the same
pictures under other names, in other folders or splits find it again.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import logging
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from linegate_bundle.atomic import atomic_file, write_atomic
from linegate_bundle.errors import DataError
from linegate_training.data.scan import Dataset, Photo

_LOG = logging.getLogger(__name__)
_AHEAD = 64
"""Results that may wait in memory until they are written."""

AnyArray = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class RowFormat:
    """What is kept for each image.

    Attributes:
        identity: part of the cache's name: change it when the same image gets another row.
        title: of the progress bar.
        dtype: of a row's elements.
        shape: of a row.
    """

    identity: bytes
    title: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))


@dataclasses.dataclass(frozen=True)
class CachedRows:
    """Rows on disk.

    Attributes:
        array: shape ``(images, *format.shape)``, read-only, one row for each different content.
        rows: row by the SHA-256 of an image's content.
        corrupt: what is wrong with an image that cannot be decoded, by its SHA-256; its
            row is zero.
    """

    array: AnyArray
    rows: dict[str, int]
    corrupt: dict[str, str]


def default_cache() -> Path:
    """Return the folder for caches of the user who runs this."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "linegate"


def cached_rows(
    dataset: Dataset, form: RowFormat, make: Callable[[Path], AnyArray], cache: Path
) -> CachedRows:
    """Compute a row for each different content of a dataset, or find them in the cache.

    An interrupted or failed call leaves no cache behind, and a damaged one is made anew. Images
    that cannot be decoded are reported in the result, not raised.

    Args:
        dataset: the images.
        form: of the rows.
        make: gives the row of an image file; called by several threads. A
            :class:`DataError` that it raises marks the image as corrupt.
        cache: folder of the caches.

    Raises:
        DataError: the cache cannot be written.
    """
    photos = sorted({photo.sha256: photo for photo in dataset.photos}.values(), key=_sha256)
    path = cache / f"{_key([photo.sha256 for photo in photos], form)}.npy"
    try:
        found = _open(path, photos, form)
        if found is None:
            cache.mkdir(parents=True, exist_ok=True)
            _build(dataset, photos, form, make, path)
            found = _open(path, photos, form)
    except OSError as error:
        raise DataError(
            f"{path}: the cache of preprocessed images, {len(photos) * form.row_bytes / 1e6:.0f} "
            f"MB, cannot be written or read: {error.strerror or error}; make room, or give "
            "another folder with --cache DIR"
        ) from error
    if found is None:
        raise DataError(
            f"{path}: the cache was written, but something else is read; give another folder with "
            "--cache DIR"
        )
    return found


def _open(path: Path, photos: Sequence[Photo], form: RowFormat) -> CachedRows | None:
    """Return what the cache holds; nothing if it is missing or damaged."""
    if not path.is_file():
        return None
    try:
        array = np.load(path, mmap_mode="r")
        corrupt = msgspec.json.decode(_corrupt_file(path).read_bytes(), type=dict[str, str])
    except (ValueError, EOFError, FileNotFoundError, msgspec.DecodeError) as error:
        _LOG.warning("%s is damaged (%s) and is made anew", path, error)
        return None
    if array.shape != (len(photos), *form.shape) or array.dtype != form.dtype:
        _LOG.warning("%s is damaged (%s of %s) and is made anew", path, array.dtype, array.shape)
        return None
    return CachedRows(array, {photo.sha256: row for row, photo in enumerate(photos)}, corrupt)


def _build(
    dataset: Dataset,
    photos: Sequence[Photo],
    form: RowFormat,
    make: Callable[[Path], AnyArray],
    path: Path,
) -> None:
    """Write row by row; images that fail get a row of zeros and an entry in the list."""
    corrupt: dict[str, str] = {}
    zeros = np.zeros(form.shape, form.dtype)
    header = {
        "descr": np.lib.format.dtype_to_descr(form.dtype),
        "fortran_order": False,
        "shape": (len(photos), *form.shape),
    }
    # A plain file, because a full disk under a memory map kills the process.
    with atomic_file(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        with contextlib.closing(_in_order(dataset, photos, make)) as images:
            progress = tqdm(images, form.title, len(photos), unit=" images", disable=None)
            for photo, image in zip(photos, progress, strict=True):
                if isinstance(image, DataError):
                    corrupt[photo.sha256] = str(image)
                file.write((zeros if isinstance(image, DataError) else image).tobytes())
        write_atomic(_corrupt_file(path), msgspec.json.encode(corrupt))
    _LOG.info("%s: kept %d images in %s", form.title, len(photos), path)


def _in_order(
    dataset: Dataset, photos: Sequence[Photo], make: Callable[[Path], AnyArray]
) -> Generator[AnyArray | DataError, None, None]:
    """Compute in threads (OpenCV lets others run), a bounded number ahead of the reader."""

    def compute(photo: Photo) -> AnyArray | DataError:
        path = dataset.file(photo)
        try:
            return make(path)
        except DataError as error:
            # The cache outlives the file's name.
            return DataError(str(error).removeprefix(f"{path}: "))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        remaining = iter(photos)
        waiting: list[Future[AnyArray | DataError]] = [
            pool.submit(compute, photo) for photo in itertools.islice(remaining, _AHEAD)
        ]
        try:
            while waiting:
                image = waiting.pop(0).result()
                waiting += [pool.submit(compute, photo) for photo in itertools.islice(remaining, 1)]
                yield image
        finally:
            pool.shutdown(cancel_futures=True)


def _key(hashes: Sequence[str], form: RowFormat) -> str:
    digest = hashlib.sha256(form.identity)
    for sha256 in hashes:
        digest.update(bytes.fromhex(sha256))
    return digest.hexdigest()[:32]


def _corrupt_file(path: Path) -> Path:
    return path.with_suffix(".corrupt.json")


def _sha256(photo: Photo) -> str:
    return photo.sha256
