"""Finding the photographs of a folder, one sub-folder a class, and hashing them."""

import dataclasses
import enum
import hashlib
import logging
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from linegate_bundle.errors import DataError
from linegate_bundle.images import IMAGE_SUFFIXES, find_images
from linegate_bundle.run_folder import Part, sha256_file

_LOG = logging.getLogger(__name__)
_SHOWN = 10
"""So many names of files stand in a message; the rest is counted."""


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photograph on disk, and what was said about it; None stands for nothing.

    Attributes:
        path: relative to the data folder, with ``/``; absolute if it lies elsewhere.
        label: name of its class.
        sha256: hash of the file's content.
        group: images that belong together have the same.
        part: of the split, where the data come with one.
        weight: how much it counts in the loss.
        soft_label: as in :class:`linegate_bundle.run_folder.SplitRow`.
        stratum: each part of the split gets its share of every stratum of a class.
    """

    path: str
    label: str
    sha256: str
    group: str | None = None
    part: Part | None = None
    weight: float | None = None
    soft_label: str | None = None
    stratum: str = ""

    @property
    def file_name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Photographs in the order of their paths; every class has at least one.

    Attributes:
        source: the folder or CSV file that they were found in.
        root: the folder that their paths are relative to.
        photos: all of them.
    """

    source: Path
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


class GivenPart(enum.StrEnum):
    """Names of folders that hold one part of a split, each with one sub-folder a class."""

    TRAIN = "train"
    VALIDATION = "validation"
    VAL = "val"
    CALIBRATION = "calibration"
    TEST = "test"

    @property
    def part(self) -> Part:
        """The part of the split."""
        return Part.VALIDATION if self is GivenPart.VAL else Part(self.value)


def scan(root: Path) -> Dataset:
    """Find and hash all images of a folder.

    Images directly in the folder, and hidden files and folders, are no part of it. A folder
    that holds ``train`` and ``test`` (perhaps ``val`` or ``validation``, and
    ``calibration``), and nothing else, with the class folders inside these, comes with
    its split.

    Raises:
        DataError: not a folder, fewer than two classes, a class without images, class
            names that differ only in case, or a file name that is not UTF-8.
    """
    given = _part_folders(root)
    folders: list[tuple[Path, Part | None]]
    if given:
        _LOG.info("%s comes with its split: %s", root, ", ".join(f.name for f in given))
        folders = [(inner, part) for folder, part in given.items() for inner in _folders(folder)]
    else:
        folders = [(folder, None) for folder in _folders(root)]
    found = [
        Photo(path.relative_to(root).as_posix(), folder.name, "", part=part)
        for folder, part in folders
        for path in find_images(folder)
    ]
    for photo in found:
        _check_name(photo.path)
    check_classes(
        root, {folder.name for folder, _ in folders}, Counter(photo.label for photo in found)
    )
    return hash_all(root, root, found)


def hash_all(source: Path, root: Path, photos: Sequence[Photo]) -> Dataset:
    """Hash the files of photographs whose ``sha256`` is still empty.

    Args:
        source: the folder or CSV file that they were found in.
        root: the folder that their paths are relative to.
        photos: in any order.

    Raises:
        DataError: a file cannot be read.
    """
    # Hashing waits for the disk and lets other threads run, so threads are enough.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hashes = pool.map(lambda photo: _hash(root / photo.path), photos)
        progress = tqdm(hashes, "reading files", len(photos), unit=" images", disable=None)
        hashed = [
            dataclasses.replace(photo, sha256=sha256)
            for photo, sha256 in zip(photos, progress, strict=True)
        ]
    counts = Counter(photo.label for photo in hashed)
    listed = ", ".join(f"{label} {count}" for label, count in sorted(counts.items()))
    _LOG.info("%d images in %s: %s", len(hashed), source, listed)
    return Dataset(source, root, tuple(sorted(hashed, key=lambda photo: photo.path)))


def check_classes(source: Path, labels: Iterable[str], images: Counter[str]) -> None:
    """Raise :class:`DataError` unless there are at least two classes and none is empty.

    Args:
        source: the folder or CSV file, for the message.
        labels: names of all classes.
        images: number of images of each class.
    """
    labels = sorted(labels)
    if len(labels) < 2:  # noqa: PLR2004 - a gate needs a good and a defective class
        raise DataError(
            f"{source}: expected at least two sub-folders, one a class, such as good/ and "
            f"defective/, or two labels in a CSV file, got {', '.join(labels) or 'none'}"
        )
    empty = [label for label in labels if not images[label]]
    if empty:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(
            f"{source}: expected images ({suffixes}) in every class, found none in "
            f"{', '.join(empty)}; add some, or remove the folder"
        )
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        spellings[unicodedata.normalize("NFC", label).casefold()].append(label)
    several = [
        " and ".join(f"{label!a} ({images[label]} images)" for label in same)
        for same in spellings.values()
        if len(same) > 1
    ]
    if several:
        raise DataError(
            f"{source}: expected every class in one spelling, got {', '.join(several)}; write each "
            "in one way"
        )


def name_some(names: Iterable[str], separator: str = ", ") -> str:
    """List the first few names, and count the others."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return separator.join(names[:_SHOWN]) + more


def _part_folders(root: Path) -> dict[Path, Part]:
    """Return the folders of a given split with their parts; none if the data have no split."""
    names = set(GivenPart)
    folders = _folders(root)
    parts = {
        folder: GivenPart(folder.name.casefold()).part
        for folder in folders
        if folder.name.casefold() in names and _folders(folder)
    }
    whole = len(parts) == len(folders) == len(set(parts.values()))
    return parts if whole and {Part.TRAIN, Part.TEST} <= set(parts.values()) else {}


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(
            path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
        )
    except OSError as error:
        raise DataError(
            f"{root}: expected a folder with one sub-folder a class: {error.strerror}"
        ) from error


def _check_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"expected file names in UTF-8, got {os.fsencode(path)!r}, perhaps from an old "
            "share or archive; rename the file"
        ) from error


def _hash(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def find_conflicts(photos: Iterable[Photo]) -> list[tuple[Photo, ...]]:
    """Return identical files that are in several classes, those of one content together."""
    by_content: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_content[photo.sha256].append(photo)
    return [tuple(same) for same in by_content.values() if len({photo.label for photo in same}) > 1]


def check_conflicts(photos: Iterable[Photo]) -> None:
    """Raise :class:`DataError` if identical files are in several classes."""
    conflicts = [" = ".join(photo.path for photo in same) for same in find_conflicts(photos)]
    if conflicts:
        raise DataError(
            f"expected every image in one class, but {len(conflicts)} are in several: "
            f"{name_some(conflicts)}; remove the wrong ones"
        )
