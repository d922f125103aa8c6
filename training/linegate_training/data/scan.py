"""Finding the photographs of a folder, one sub-folder a class."""

import dataclasses
import hashlib
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from linegate_bundle.errors import DataError
from linegate_bundle.images import IMAGE_SUFFIXES, find_images
from linegate_bundle.run_folder import sha256_file

_LOG = logging.getLogger(__name__)
_SHOWN = 10
"""So many names of files stand in a message; the rest is counted."""


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photograph on disk.

    Attributes:
        path: relative to the data folder, with ``/``.
        label: name of the class's folder.
        sha256: hash of the file's content.
    """

    path: str
    label: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Photographs in the order of their paths; every class has at least one."""

    root: Path
    photos: tuple[Photo, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, sorted."""
        return tuple(sorted({photo.label for photo in self.photos}))

    def file(self, photo: Photo) -> Path:
        """Return where a photograph is."""
        return self.root / photo.path

    def sha256(self) -> str:
        """Hash over every image's path, label and content."""
        digest = hashlib.sha256()
        for photo in self.photos:
            digest.update(f"{photo.path}\t{photo.label}\t{photo.sha256}\n".encode())
        return digest.hexdigest()


def scan(root: Path) -> Dataset:
    """Find and hash all images of a folder.

    Images directly in the folder, and hidden files and folders, are no part of it.

    Raises:
        DataError: not a folder, fewer than two classes, a class without images, class
            names that differ only in case, or one image in two classes.
    """
    folders = _class_folders(root)
    found = [(path, folder.name) for folder in folders for path in find_images(folder)]
    check_classes(root, [folder.name for folder in folders], Counter(label for _, label in found))
    # Hashing waits for the disk and lets other threads run, so threads are enough.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hashes = pool.map(lambda entry: _hash(entry[0]), found)
        progress = tqdm(hashes, "reading files", len(found), unit=" images", disable=None)
        photos = tuple(
            Photo(path.relative_to(root).as_posix(), label, sha256)
            for (path, label), sha256 in zip(found, progress, strict=True)
        )
    _check_conflicts(photos)
    dataset = Dataset(root, tuple(sorted(photos, key=lambda photo: photo.path)))
    counts = Counter(photo.label for photo in photos)
    _LOG.info(
        "%d images in %s: %s",
        len(photos),
        root,
        ", ".join(f"{label} {count}" for label, count in sorted(counts.items())),
    )
    return dataset


def check_classes(root: Path, labels: Iterable[str], images: Counter[str]) -> None:
    """Raise :class:`DataError` unless there are at least two classes and none is empty.

    Args:
        root: the data folder, for the message.
        labels: names of all classes.
        images: number of images of each class.
    """
    labels = sorted(labels)
    if len(labels) < 2:  # noqa: PLR2004 - a gate needs a good and a defective class
        raise DataError(
            f"{root}: expected at least two sub-folders, one a class, such as good/ and "
            f"defective/, got {', '.join(labels) or 'none'}"
        )
    empty = [label for label in labels if not images[label]]
    if empty:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(
            f"{root}: expected images ({suffixes}) in every class, found none in "
            f"{', '.join(empty)}; add some, or remove the folder"
        )
    alike = [name for name, count in Counter(map(str.casefold, labels)).items() if count > 1]
    if alike:
        raise DataError(
            f"{root}: the classes {', '.join(sorted(alike))} are there in several spellings; "
            "put each into one folder"
        )


def name_some(names: Iterable[str]) -> str:
    """List the first few names, and count the others."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _class_folders(root: Path) -> list[Path]:
    try:
        return sorted(
            path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
        )
    except OSError as error:
        raise DataError(
            f"{root}: expected a folder with one sub-folder a class: {error.strerror}"
        ) from error


def _hash(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _check_conflicts(photos: Iterable[Photo]) -> None:
    by_content: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_content[photo.sha256].append(photo)
    conflicts = [
        " = ".join(photo.path for photo in same)
        for same in by_content.values()
        if len({photo.label for photo in same}) > 1
    ]
    if conflicts:
        raise DataError(
            f"expected every image in one class, but {len(conflicts)} are in several: "
            f"{name_some(conflicts)}; remove the wrong ones"
        )
