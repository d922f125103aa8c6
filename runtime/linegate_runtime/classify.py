"""Judging pictures and recorded video from disk, one by one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import msgspec

from linegate_bundle.decide import Decision, decide
from linegate_bundle.errors import DataError
from linegate_bundle.images import IMAGE_SUFFIXES, clear_colour, find_images, read_image
from linegate_bundle.preprocess import Preprocessor, UInt8Array
from linegate_runtime.model import Model

VIDEO_SUFFIXES = frozenset({".avi", ".mjpeg", ".mkv", ".mov", ".mp4", ".webm"})
"""File name endings, in lower case, that are taken for video."""


class Classified(msgspec.Struct, frozen=True, kw_only=True):
    """One picture with what became of it.

    Attributes:
        path: the file.
        frame: number of the frame in a video, from 0; None for a picture.
        decision: None if the file could not be read.
        error: why it could not be read, or None.
        is_of_other_colour: whether it shows colour and the training's pictures did not, or the
            reverse; then the decision is a guess.
    """

    path: str
    frame: int | None
    decision: Decision | None
    error: str | None
    is_of_other_colour: bool = False


def classify(model: Model, paths: Sequence[Path], every: int = 1) -> Iterator[Classified]:
    """Judge every picture of ``paths``.

    Args:
        model: an open model.
        paths: image files, video files, and folders (with all images below them).
        every: of a video, judge every n-th frame.

    Yields:
        One result a picture or frame, in order; a file that cannot be read gives one
        with ``error`` set.

    Raises:
        DataError: a path does not exist, or a folder holds no image.
    """
    manifest = model.manifest
    expected = manifest.provenance.coloured
    preprocess = Preprocessor(manifest.preprocess)
    for path in expand(paths):
        frames = _frames(path, every)
        while True:
            try:
                number, frame = next(frames)
            except StopIteration:
                break
            except DataError as error:
                yield Classified(path=str(path), frame=None, decision=None, error=str(error))
                break
            yield Classified(
                path=str(path),
                frame=number,
                decision=decide(model.probabilities(frame), manifest.labels, manifest.policy),
                error=None,
                is_of_other_colour=expected is not None
                and clear_colour(preprocess(frame)) is (not expected),
            )


def expand(paths: Sequence[Path]) -> list[Path]:
    """Replace folders by the images below them.

    Raises:
        DataError: a path does not exist, or a folder holds no image.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            images = find_images(path)
            if not images:
                suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
                raise DataError(f"{path}: expected images ({suffixes}) in the folder, found none")
            files += images
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"{path}: no such file or folder")
    return files


def _frames(path: Path, every: int) -> Iterator[tuple[int | None, UInt8Array]]:
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        yield None, read_image(path)
        return
    video = cv2.VideoCapture(str(path))
    number = 0
    try:
        while video.grab():
            if number % every == 0:
                decoded, frame = video.retrieve()
                if not decoded:
                    raise DataError(f"{path}: frame {number} cannot be decoded")
                yield number, frame.view("uint8")
            number += 1
    finally:
        video.release()
    if number == 0:
        raise DataError(f"{path}: expected a video that OpenCV can decode, got no frame")
