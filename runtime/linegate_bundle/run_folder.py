"""The run folder: what ``linegate train`` leaves and ``linegate export`` takes.

::

    RUN/
    ├── run.json         RunRecord: what was trained, on what, with which result
    ├── split.csv        one row an image, see SplitRow
    ├── model.keras      raw pixels 0..255 in, probabilities out
    ├── history.csv      one row an epoch
    ├── predictions.csv  one row an image of validation and test: probability of each label
    ├── report.html      for people
    └── MODEL_CARD.md    for people

Neither package imports the other; this file is all that they share.
"""

import csv
import enum
import hashlib
import io
from pathlib import Path
from typing import Annotated

import msgspec

from linegate_bundle.atomic import write_atomic
from linegate_bundle.errors import DataError
from linegate_bundle.manifest import (
    Activation,
    Label,
    PreprocessSpec,
    Schema,
    Sha256,
)
from linegate_bundle.manifest_file import check_labels

RUN_SCHEMA_VERSION = 1
RECORD_FILE = "run.json"
SPLIT_FILE = "split.csv"
MODEL_FILE = "model.keras"
HISTORY_FILE = "history.csv"
PREDICTIONS_FILE = "predictions.csv"
REPORT_FILE = "report.html"
CARD_FILE = "MODEL_CARD.md"
MOST_WEIGHT = 1e6
"""A larger weight of one image would drown all others."""
_REQUIRED_COLUMNS = 5
"""So many columns of a split come first and must be there; the others have defaults."""


class Part(enum.StrEnum):
    """What an image is for; no image and no group is in two parts.

    ``train`` fits the weights, ``validation`` stops the training, ``calibration``
    sets the thresholds, and ``test`` is only reported.
    """

    TRAIN = "train"
    VALIDATION = "validation"
    CALIBRATION = "calibration"
    TEST = "test"


class SplitRow(Schema, frozen=True):
    """One image of a split.

    Attributes:
        path: relative to the data folder, with ``/``; absolute if the image lies elsewhere.
        label: name of its class.
        group: images of one group are all in one part.
        part: what it is for.
        sha256: of the file's content.
        weight: how much it counts in the loss; with 0 it is judged, but never trained on.
        soft_label: ``name=share;name=share`` where experts disagree, the shares sum to 1;
            empty if the label is certain.
    """

    path: str
    label: str
    group: str
    part: Part
    sha256: Sha256
    weight: Annotated[float, msgspec.Meta(ge=0.0, le=MOST_WEIGHT)] = 1.0
    soft_label: str = ""


class RunRecord(Schema, frozen=True):
    """What was trained, on what, with which result.

    Attributes:
        data: folder that the images' paths are relative to, absolute, at training time.
        data_sha256: hash over every image's path, label and content.
        created: end of the training, UTC, ISO 8601.
        coloured: see :class:`~linegate_bundle.manifest.Provenance`.
        configuration: the options of the training, as given or by default.
        versions: versions of Python and of the libraries that took part.
    """

    schema_version: int
    name: str
    created: str
    network: str
    weights: str
    seed: int
    labels: tuple[Label, ...]
    activation: Activation
    preprocess: PreprocessSpec
    data: str
    data_sha256: Sha256
    split_sha256: Sha256
    model_sha256: Sha256
    coloured: bool | None
    configuration: dict[str, str | int | float | bool | None]
    versions: dict[str, str]


class RunFolder:
    """A run folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def model(self) -> Path:
        """The trained Keras model."""
        return self.path / MODEL_FILE

    @property
    def split(self) -> Path:
        """The split file."""
        return self.path / SPLIT_FILE

    @property
    def record(self) -> Path:
        """The record file; it is written last, so a run without it is unfinished."""
        return self.path / RECORD_FILE

    def write_record(self, record: RunRecord) -> None:
        """Write ``run.json`` as a whole or not at all."""
        content = msgspec.json.format(msgspec.json.encode(record), indent=2)
        write_atomic(self.record, content + b"\n")

    def read_record(self) -> RunRecord:
        """Read and check ``run.json``, and that model and split are those it names.

        Raises:
            DataError: not a run folder, an unfinished or altered one, or one of another version.
        """
        try:
            content = self.record.read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.path}: expected a run folder with {RECORD_FILE}; "
                "make one with `linegate train`"
            ) from error
        try:
            record = msgspec.json.decode(content, type=RunRecord)
        except msgspec.DecodeError as error:
            raise DataError(f"{self.record}: {error}; train again with this release") from error
        if record.schema_version != RUN_SCHEMA_VERSION:
            raise DataError(
                f"{self.record}: expected schema version {RUN_SCHEMA_VERSION}, "
                f"got {record.schema_version}; train again with this release"
            )
        problems = check_labels(record.labels)
        if problems:
            raise DataError(f"{self.record}: " + "; ".join(problems))
        for path, expected in (
            (self.split, record.split_sha256),
            (self.model, record.model_sha256),
        ):
            if not path.is_file():
                raise DataError(f"{path}: expected by {RECORD_FILE}, but missing; train again")
            if sha256_file(path) != expected:
                raise DataError(f"{path}: differs from the one that was trained; train again")
        return record


def encode_split(rows: list[SplitRow]) -> bytes:
    """Write a split as CSV with a header, in the given order."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SplitRow.__struct_fields__)
    for row in rows:
        weight = repr(row.weight).removesuffix(".0")
        cells = [row.path, row.label, row.group, row.part.value, row.sha256, weight, row.soft_label]
        writer.writerow(cells)
    return text.getvalue().encode()


def read_split(path: Path) -> list[SplitRow]:
    """Read ``split.csv``.

    The columns ``weight`` and ``soft_label`` may be missing.

    Raises:
        DataError: missing, another header, a row that does not fit (with its number),
            an image twice, or a group in two parts.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except OSError as error:
        raise DataError(
            f"{path}: expected the split.csv of a run, it cannot be read: {error.strerror}"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a split file in UTF-8: {error}") from error
    columns = list(SplitRow.__struct_fields__)
    header = lines[0] if lines else []
    if header not in (columns, columns[:_REQUIRED_COLUMNS]):
        got = header or "an empty file"
        raise DataError(f"{path}: expected the columns {columns}, got {got}")
    rows: list[SplitRow] = []
    paths: dict[str, int] = {}
    parts: dict[str, Part] = {}
    for number, line in enumerate(lines[1:], start=2):
        try:
            row = msgspec.convert(dict(zip(header, line, strict=True)), SplitRow, strict=False)
        except (ValueError, msgspec.ValidationError) as error:
            valid = f"; valid parts are {', '.join(Part)}" if "$.part" in str(error) else ""
            raise DataError(f"{path}, row {number}: {error}{valid}") from error
        if row.path in paths:
            raise DataError(f"{path}, row {number}: {row.path} is in row {paths[row.path]} already")
        if parts.setdefault(row.group, row.part) is not row.part:
            raise DataError(
                f"{path}, row {number}: the group {row.group!r} is in {parts[row.group]} and in "
                f"{row.part}; put every image of a group into one part"
            )
        paths[row.path] = number
        rows.append(row)
    return rows


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
