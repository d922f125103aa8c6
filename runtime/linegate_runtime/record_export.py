"""Writing rows of a record as files that other programs read."""

import csv
import datetime as dt
import enum
import importlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import msgspec

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime.part_row import Recorded
from linegate_runtime.record import Record
from linegate_runtime.record_query import Query, slices
from linegate_runtime.record_schema import COLUMNS
from linegate_runtime.spreadsheet import disarmed

_FIELDS = ("number", "hash", *COLUMNS)

_GROUP_ROWS = 16_384
"""Rows of a Parquet file are read in groups of about so many."""

_INTEGERS = ("number", "part", "monotonic_ns", "frame_number", "frames_voted")
_REALS = ("frame_age_ms", "wait_ms", "model_ms", "defect_probability")
_ALWAYS_NEW = ("hash", "uuid", "picture")
"""Texts that are another one in each row, so that a dictionary of them would save nothing."""


class Format(enum.StrEnum):
    """How rows are written.

    ``csv``: RFC 4180 in UTF-8 with a line of names, ``probabilities`` as JSON, and an apostrophe
    before what a spreadsheet would compute. ``jsonl``: one JSON object a line. ``parquet``: typed
    columns, ``probabilities`` as a map, for labels are another bundle's others.
    """

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def export(record: Record, query: Query, format_: Format, file: BinaryIO) -> int:
    """Write the rows that are asked for, in the order of :func:`slices`.

    Returns:
        How many there are.

    Raises:
        OutputError: the record cannot be read, or Parquet cannot hold a row.
        ConfigError: Parquet needs a library that is not installed.
        OSError: the file cannot be written.
    """
    if format_ is Format.PARQUET:
        return _write_parquet(file, slices(record, query))
    if format_ is Format.CSV:
        file.write(_csv([_FIELDS]))
    written = 0
    for rows in slices(record, query):
        if format_ is Format.CSV:
            file.write(_csv([_csv_values(one) for one in rows]))
        else:
            file.write(b"".join(json_line(one) for one in rows))
        written += len(rows)
    return written


def json_line(one: Recorded) -> bytes:
    """Return a row with its number and hash as a JSON object, UTF-8, and the end of the line."""
    return msgspec.json.encode(_values(one)) + b"\n"


def _values(one: Recorded) -> dict[str, Any]:
    return {"number": one.number, "hash": one.hash, **msgspec.structs.asdict(one.row)}


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _csv_values(one: Recorded) -> list[object]:
    """Return what stands in the columns; None is an empty one."""
    values = _values(one)
    for name in ("clock_synced", "probabilities"):
        if values[name] is not None:
            values[name] = msgspec.json.encode(values[name]).decode()
    return [disarmed(value) if type(value) is str else value for value in values.values()]


def _write_parquet(file: BinaryIO, rows: Iterator[list[Recorded]]) -> int:
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(
            "expected pyarrow for --format parquet, it is not installed; on the workstation "
            f"`pip install 'linegate[parquet]'`, or choose csv or jsonl ({error})"
        ) from error
    schema = arrow.schema([(name, _arrow_type(arrow, name)) for name in _FIELDS])
    written = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        batches: list[Any] = []
        for some in rows:
            batches.append(arrow.RecordBatch.from_pylist([_typed(one) for one in some], schema))
            written += len(some)
            if sum(batch.num_rows for batch in batches) >= _GROUP_ROWS:
                writer.write_table(arrow.Table.from_batches(batches, schema))
                batches = []
        writer.write_table(arrow.Table.from_batches(batches, schema))
    return written


def _arrow_type(arrow: Any, name: str) -> Any:
    types = {
        **dict.fromkeys(_INTEGERS, arrow.int64()),
        **dict.fromkeys(_REALS, arrow.float64()),
        **dict.fromkeys(_ALWAYS_NEW, arrow.string()),
        "clock_synced": arrow.bool_(),
        "time_utc": arrow.timestamp("ms", tz="UTC"),
        "probabilities": arrow.map_(arrow.string(), arrow.float64()),
    }
    return types.get(name, arrow.dictionary(arrow.int32(), arrow.string()))


def _typed(one: Recorded) -> dict[str, Any]:
    """Return a row's values as pyarrow takes them."""
    values = _values(one)
    try:
        values["time_utc"] = dt.datetime.fromisoformat(one.row.time_utc)
    except ValueError as error:
        raise OutputError(f"row {one.number}: expected a time in time_utc: {error}") from error
    values["probabilities"] = list(one.row.probabilities.items())
    for name in ("verdict", "reason", "policy"):
        values[name] = values[name].value
    return values
