"""The photographs of a run, read once, checked against the split, preprocessed once."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import DataError
from linegate_bundle.images import decode_image
from linegate_bundle.manifest import Label, PreprocessSpec, Role
from linegate_bundle.preprocess import Preprocessor, UInt8Array
from linegate_bundle.run_folder import Part, SplitRow
from linegate_export.progress import bar

BoolArray = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Preprocessed pictures of one part.

    Attributes:
        rows: where each comes from, in the order of the split.
        pixels: uint8 ``(n, height, width, channels)``, what every artifact gets.
    """

    rows: tuple[SplitRow, ...]
    pixels: UInt8Array

    @property
    def labels(self) -> tuple[str, ...]:
        """The true label of each picture."""
        return tuple(row.label for row in self.rows)

    def defective(self, labels: Sequence[Label]) -> BoolArray:
        """Tell for each picture whether its true label has the role defect, shape ``(n,)``."""
        defects = {label.name for label in labels if label.role is Role.DEFECT}
        return np.array([row.label in defects for row in self.rows], np.bool_)

    def truth(self, labels: Sequence[Label]) -> tuple[Label, ...]:
        """Return the true label of each picture, with its role."""
        known = {label.name: label for label in labels}
        return tuple(known[row.label] for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def check_split(rows: Sequence[SplitRow], labels: Sequence[Label]) -> None:
    """Check that a split can be exported with.

    Raises:
        DataError: a label that the model does not know, no picture to calibrate
            int8 with, or a calibration or test part that lacks good or defective ones.
    """
    known = {label.name: label.role for label in labels}
    unknown = sorted({row.label for row in rows} - set(known))
    if unknown:
        raise DataError(
            f"expected pictures of the model's labels {list(known)}, "
            f"split.csv also has {unknown}; train again with these pictures"
        )
    if not any(row.part is Part.TRAIN for row in rows):
        raise DataError("expected a train part in split.csv, there is none; train again")
    for part in (Part.CALIBRATION, Part.TEST):
        roles = Counter(known[row.label] for row in rows if row.part is part)
        for role in Role:
            if not roles[role]:
                raise DataError(
                    f"expected pictures of good and of defective parts in the part {part} of "
                    f"split.csv, got {roles[Role.GOOD]} good and {roles[Role.DEFECT]} defective; "
                    "train again with a split that holds both"
                )
    shown = {row.label for row in rows if row.part is Part.TEST}
    unseen = [label.name for label in labels if label.name not in shown]
    if unseen:
        raise DataError(
            f"expected pictures of every label in the part test of split.csv, there are none of "
            f"{', '.join(unseen)}, so whether int8 still knows them cannot be told; train again "
            "with a split that holds them, or without these labels"
        )


REPRESENTATIVE_PICTURES = 384
HELD_OUT_PICTURES = 256


def choose_for_int8(rows: Sequence[SplitRow]) -> tuple[list[SplitRow], list[SplitRow]]:
    """Choose the pictures that set the ranges of int8, and those that it is held to float on.

    Args:
        rows: the whole split.
    """
    # A quarter at least is left to hold int8 against float, where the validation part is small.
    most = 3 * sum(row.part is Part.TRAIN for row in rows) // 4
    representative = choose_representative(rows, min(REPRESENTATIVE_PICTURES, most))
    return representative, choose_held_out(rows, representative, HELD_OUT_PICTURES)


def choose_representative(rows: Sequence[SplitRow], count: int) -> list[SplitRow]:
    """Choose pictures of the train part that set the ranges of int8, in the labels' proportions.

    Every label is there. Within a label the SHA-256 decides, so the choice is the
    same every time and has nothing to do with names or order.

    Args:
        rows: the whole split.
        count: how many, if there are so many; at least one a label is taken.
    """
    by_label: dict[str, list[SplitRow]] = {}
    for row in rows:
        if row.part is Part.TRAIN:
            by_label.setdefault(row.label, []).append(row)
    total = sum(map(len, by_label.values()))
    chosen: list[SplitRow] = []
    for _, members in sorted(by_label.items()):
        share = max(1, min(len(members), round(count * len(members) / total)))
        chosen += sorted(members, key=lambda row: (row.sha256, row.path))[:share]
    return sorted(chosen, key=lambda row: (row.sha256, row.path))


def choose_held_out(
    rows: Sequence[SplitRow], representative: Sequence[SplitRow], count: int
) -> list[SplitRow]:
    """Choose pictures on which an int8 model is held against the float one.

    Those of the validation part first; what lacks is taken from the train part, as far as the
    ranges of int8 do not come from there. Of a picture no label is used. Where all pictures
    of the train part are representative, these must do.

    Args:
        rows: the whole split.
        representative: what :func:`choose_representative` chose from it.
        count: how many, if there are so many.
    """
    taken = {row.path for row in representative}
    rest = [row for row in rows if row.part is Part.TRAIN and row.path not in taken]
    chosen: list[SplitRow] = []
    for candidates in ([row for row in rows if row.part is Part.VALIDATION], rest):
        ordered = sorted(candidates, key=lambda row: (row.sha256, row.path))
        chosen += ordered[: count - len(chosen)]
    return chosen or list(representative[:count])


def load_pictures(
    rows: Iterable[SplitRow], folder: Path, spec: PreprocessSpec, title: str
) -> Pictures:
    """Read, check and preprocess pictures.

    Args:
        rows: which pictures, at least one.
        folder: the data folder that the paths are relative to.
        spec: how to preprocess them.
        title: what the progress bar is called.

    Raises:
        DataError: a picture is missing, or is not the one that was split (it is named).
    """
    chosen = tuple(rows)
    preprocess = Preprocessor(spec)
    pixels = np.empty((len(chosen), *spec.shape), np.uint8)
    for index, row in enumerate(bar(chosen, title, len(chosen))):
        preprocess(read_checked(row, folder), out=pixels[index])
    return Pictures(chosen, pixels)


def read_checked(row: SplitRow, folder: Path) -> UInt8Array:
    """Read one picture as BGR uint8 ``(height, width, 3)``, see :func:`load_pictures`."""
    content = checked_content(row, folder)
    try:
        return decode_image(content)
    except DataError as error:
        raise DataError(f"{folder / row.path}: {error}") from error


def checked_content(row: SplitRow, folder: Path) -> bytes:
    """Return the bytes of a picture's file, see :func:`load_pictures`."""
    path = folder / row.path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; if the pictures have moved, "
            "say where they are with --data"
        ) from error
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise DataError(
            f"{path}: is not the picture of the split, its content has changed; "
            "restore it or train again"
        )
    return content
