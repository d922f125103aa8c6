"""A data set as a table: a CSV file with one row an image.

========== ======== ==========================================================================
column     needed   holds
========== ======== ==========================================================================
path       yes      of the image, relative to the CSV file's folder, or absolute
label      yes      its class
group      no       images of one group are never divided
split      no       train, validation, calibration or test, in every row
weight     no       how much the image counts in the loss; with 0 it is only judged
soft_label no       share of the row's label, or ``name=share;name=share``
stratum    no       every part of the split gets its share of each stratum of a class
========== ======== ==========================================================================

UTF-8, with or without byte order mark; separated by commas or semicolons, quoted where
needed. Rows are counted as a spreadsheet does: the header is row 1.
"""

import csv
import dataclasses
import enum
import io
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from linegate_bundle.errors import DataError
from linegate_bundle.run_folder import MOST_WEIGHT, Part
from linegate_training.data.scan import (
    Dataset,
    GivenPart,
    Photo,
    check_classes,
    hash_all,
    name_some,
)
from linegate_training.data.soft_label import format_soft_label, parse_soft_label

TABLE_SUFFIX = ".csv"


class Column(enum.StrEnum):
    """The columns of a table, by their names in the header."""

    PATH = "path"
    LABEL = "label"
    GROUP = "group"
    SPLIT = "split"
    WEIGHT = "weight"
    SOFT_LABEL = "soft_label"
    STRATUM = "stratum"


_REQUIRED = (Column.PATH, Column.LABEL)
Row = Mapping[Column, str]


@dataclasses.dataclass
class _Problems:
    """What is wrong with a table, collected so that it can be mended in one go."""

    table: Path
    found: list[str] = dataclasses.field(default_factory=list)

    def add(self, number: int, text: str) -> None:
        """Note what is wrong with a row."""
        self.found.append(f"row {number}: {text}")

    def check(self) -> None:
        """Raise :class:`DataError` if anything is wrong."""
        if self.found:
            raise DataError(f"{self.table}: {name_some(self.found, separator='; ')}; correct them")


def read_table(table: Path) -> Dataset:
    """Read a CSV file and hash the images that it names.

    Raises:
        DataError: the file cannot be read, has an unknown column or lacks one, or rows are
            wrong (the first ones are named by number, the others counted): an image that is
            missing or listed twice, a cell that does not fit its column, a split that is
            given for some rows only, or a group in two parts of it. Also for classes that a
            training cannot use, see :func:`linegate_training.data.scan.check_classes`.
    """
    rows = _read_rows(table)
    labels = sorted({row[Column.LABEL] for row in rows.values() if row[Column.LABEL]})
    problems = _Problems(table)
    photos: dict[int, Photo] = {}
    for number, row in rows.items():
        try:
            photos[number] = _photo(table.parent, row, labels)
        except ValueError as error:
            problems.add(number, str(error))
    _check_repeated(table.parent, photos, problems)
    _check_parts(photos, problems)
    problems.check()
    check_classes(table, labels, Counter(photo.label for photo in photos.values()))
    return hash_all(table, table.parent, list(photos.values()))


def _read_rows(table: Path) -> dict[int, Row]:
    """Return the cells of every row that is not blank, by the row's number."""
    lines = _read_lines(table)
    columns = _columns(table, lines[0] if lines else [])
    rows: dict[int, Row] = {}
    problems = _Problems(table)
    for number, line in enumerate(lines[1:], start=2):
        cells = [cell.strip() for cell in line]
        if not any(cells):
            continue
        if len(cells) != len(columns):
            problems.add(
                number, f"expected {len(columns)} cells as in the header, got {len(cells)}"
            )
            continue
        rows[number] = dict(zip(columns, cells, strict=True))
    problems.check()
    return rows


def _read_lines(table: Path) -> list[list[str]]:
    """Return the cells of all rows, the header's too."""
    try:
        text = table.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{table}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{table}: expected a CSV file in UTF-8 ({error}); save it as 'CSV UTF-8'"
        ) from error
    lines: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    try:
        lines.extend(reader)
    except csv.Error as error:
        raise DataError(
            f"{table}, row {len(lines) + 1}: expected a cell whose quotes end, and quotes inside "
            f"it doubled, got {error}; correct the row"
        ) from error
    return lines


def _separator(text: str) -> str:
    """Take what separates the header; spreadsheets of half of Europe write ``;``."""
    header = text.partition("\n")[0]
    return ";" if header.count(";") > header.count(",") else ","


def _columns(table: Path, header: list[str]) -> list[Column]:
    names = [name.strip().lower() for name in header]
    valid = ", ".join(Column)
    unknown = [name for name in names if name not in set(Column)]
    if unknown:
        raise DataError(
            f"{table}, row 1: expected columns among {valid}, got {', '.join(map(repr, unknown))}; "
            "remove or rename them"
        )
    missing = [column for column in _REQUIRED if column not in names]
    if missing or len(set(names)) != len(names):
        raise DataError(
            f"{table}, row 1: expected {' and '.join(_REQUIRED)}, and each column once (valid are "
            f"{valid}), got {', '.join(names) or 'an empty file'}"
        )
    return [Column(name) for name in names]


def _photo(folder: Path, row: Row, labels: list[str]) -> Photo:
    """Make a photograph, not hashed yet, of a row; the first thing that is wrong is raised."""
    name, label = row[Column.PATH].replace("\\", "/"), row[Column.LABEL]
    if not name or not label:
        raise ValueError("expected a path and a label, one of them is empty")
    if not (folder / name).is_file():
        raise ValueError(f"{name} is missing")
    soft = row.get(Column.SOFT_LABEL, "")
    return Photo(
        path=os.path.normpath(name).replace(os.sep, "/"),
        label=label,
        sha256="",
        group=row.get(Column.GROUP) or None,
        part=_part(row[Column.SPLIT]) if row.get(Column.SPLIT) else None,
        weight=_weight(row[Column.WEIGHT]) if row.get(Column.WEIGHT) else None,
        soft_label=format_soft_label(parse_soft_label(soft, label, labels)) if soft else None,
        stratum=row.get(Column.STRATUM, ""),
    )


def _part(text: str) -> Part:
    try:
        return GivenPart(text.lower()).part
    except ValueError as error:
        raise ValueError(f"expected the split {', '.join(Part)}, got {text!r}") from error


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError as error:
        raise ValueError(f"expected a number as weight, got {text!r}") from error
    if not 0 <= weight <= MOST_WEIGHT:
        raise ValueError(f"expected a weight from 0 to {MOST_WEIGHT:.0f}, got {text!r}")
    return weight


def _check_repeated(folder: Path, photos: Mapping[int, Photo], problems: _Problems) -> None:
    first: dict[str, int] = {}
    for number, photo in photos.items():
        earlier = first.setdefault(os.path.normpath(folder / photo.path), number)
        if earlier != number:
            problems.add(number, f"{photo.path} is in row {earlier} already")


def _check_parts(photos: Mapping[int, Photo], problems: _Problems) -> None:
    """Check that the split is given for all rows or none, and divides no group."""
    without = [number for number, photo in photos.items() if photo.part is None]
    if without and len(without) < len(photos):
        for number in without:
            problems.add(number, "expected a split, for other rows have one")
        return
    sides: dict[str, tuple[int, Part | None]] = {}
    for number, photo in photos.items():
        if photo.group is None:
            continue
        earlier, part = sides.setdefault(photo.group, (number, photo.part))
        if part is not photo.part:
            problems.add(
                number,
                f"the group {photo.group!r} is in {photo.part}, but in row {earlier} in {part}; "
                "put every image of a group into one part",
            )
