"""``linegate log export``: files read back by others equal the rows."""

import csv
import datetime as dt
import hashlib
import io
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from linegate_runtime import record_export, record_query
from linegate_runtime.cli import main
from linegate_runtime.part_row import PartRow, Recorded
from linegate_runtime.record import Entry, Record
from linegate_runtime.spreadsheet import disarmed
from tests.runtime.log_support import make_record, objects, reading, varied

_ROWS = 100
_FIELDS = ["number", "hash", *PartRow.__struct_fields__]


@pytest.fixture(scope="module", autouse=True)
def small_slices() -> Iterator[None]:
    # So that a few rows are many slices and groups.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_query, "SLICE", 11)
        patch.setattr(record_export, "_GROUP_ROWS", 30)
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    odd = varied(_ROWS, camera='a, "b"\nc\u20ac', label="=cmd()", region="-1", picture="a.jpg")
    return make_record(tmp_path / "record.sqlite", [*map(varied, range(1, _ROWS)), odd])


@pytest.fixture
def rows(path: Path) -> list[Recorded]:
    with reading(path) as record:
        return list(record.rows())


def exported(path: Path, format_: str, *options: str) -> Path:
    out = path.with_name(f"out.{format_}")
    arguments = ["log", "export", str(path), "--format", format_, "--out", str(out), *options]
    assert main(arguments) == 0
    return out


def values(one: Recorded) -> dict[str, Any]:
    return {"number": one.number, "hash": one.hash, **msgspec.structs.asdict(one.row)}


def arrow(module: str) -> Any:
    """Return a module of pyarrow, or skip the test."""
    return pytest.importorskip(module, reason="pip install 'linegate[parquet]'")


def as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return disarmed(str(value))
    return msgspec.json.encode(value).decode() if isinstance(value, bool | dict) else str(value)


def test_csv_read_back_is_the_rows(path: Path, rows: Sequence[Recorded]) -> None:
    with exported(path, "csv").open(encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    assert head == _FIELDS
    assert lines == [[as_text(value) for value in values(one).values()] for one in rows]
    last = dict(zip(head, lines[-1], strict=True))
    assert last["camera"] == 'a, "b"\nc\u20ac'
    assert last["label"] == "'=cmd()"
    assert last["region"] == "'-1"
    assert msgspec.json.decode(last["probabilities"]) == {"functional": 1.0, "bright": 1e-9}


def test_what_a_spreadsheet_computes_is_disarmed_and_nothing_else() -> None:
    for text in ("=1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"):
        assert disarmed(text) == f"'{text}"
    for text in ("", "a=1", "'=1", " =1", "2026-01-01T00:00:00.000Z", "http://camera/3"):
        assert disarmed(text) == text


def test_json_lines_read_back_are_the_rows(path: Path, rows: Sequence[Recorded]) -> None:
    read = objects(exported(path, "jsonl").read_text(encoding="utf-8"))
    assert [list(one) for one in read] == [_FIELDS] * _ROWS
    for one, row in zip(read, rows, strict=True):
        number, digest = one.pop("number"), one.pop("hash")
        assert Recorded(number, digest, msgspec.convert(one, PartRow)) == row


def test_parquet_read_back_is_the_rows_with_types(path: Path, rows: Sequence[Recorded]) -> None:
    parquet = arrow("pyarrow.parquet")
    pa = arrow("pyarrow")
    out = exported(path, "parquet")
    table = parquet.read_table(out)
    text = pa.dictionary(pa.int32(), pa.string())
    kinds = {field.name: field.type for field in table.schema}
    assert list(kinds) == _FIELDS
    assert kinds["time_utc"] == pa.timestamp("ms", tz="UTC")
    assert kinds["probabilities"] == pa.map_(pa.string(), pa.float64())
    assert kinds["number"] == kinds["monotonic_ns"] == pa.int64()
    assert kinds["frame_age_ms"] == pa.float64()
    assert kinds["clock_synced"] == pa.bool_()
    assert kinds["verdict"] == kinds["camera"] == kinds["label"] == text
    assert parquet.read_metadata(out).num_row_groups == 4
    for one, row in zip(table.to_pylist(), rows, strict=True):
        wanted = values(row)
        wanted["time_utc"] = dt.datetime.fromisoformat(row.row.time_utc)
        wanted["probabilities"] = list(row.row.probabilities.items())
        assert one == wanted


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_only_what_is_asked_for_is_written(path: Path, format_: str) -> None:
    if format_ == "parquet":
        arrow("pyarrow")
    times = ("--since", "2026-01-01T00:05Z", "--until", "2026-01-01T00:20Z")
    out = exported(path, format_, "--camera", "left", "--verdict", "accept", *times)
    if format_ == "csv":
        found = [int(one["number"]) for one in csv.DictReader(io.StringIO(out.read_text()))]
    elif format_ == "jsonl":
        found = [one["number"] for one in objects(out.read_text())]
    else:
        found = arrow("pyarrow.parquet").read_table(out)["number"].to_pylist()
    seconds = {part: part * 17.25 for part in range(3, _ROWS, 3) if part % 7 % 3 == 0}
    assert found == [part for part, at in seconds.items() if 300 <= at < 1200] != []


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_no_rows_are_a_file_without_rows(path: Path, format_: str) -> None:
    if format_ == "parquet":
        parquet = arrow("pyarrow.parquet")
        table = parquet.read_table(exported(path, format_, "--camera", "nosuch"))
        assert (table.num_rows, table.column_names) == (0, _FIELDS)
    else:
        content = exported(path, format_, "--camera", "nosuch").read_text()
        assert content.split() == ([",".join(_FIELDS)] if format_ == "csv" else [])


def test_the_standard_output_gets_the_same_bytes(path: Path) -> None:
    for format_ in ("csv", "jsonl"):
        program = [sys.executable, "-m", "linegate_runtime", "log", "export", str(path)]
        done = subprocess.run(
            [*program, "--format", format_, "--out", "-"],
            capture_output=True,
            check=True,
            timeout=30,
        )
        assert done.stdout == exported(path, format_).read_bytes()


def test_parquet_without_its_library_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    out = path.with_name("out.parquet")
    out.write_text("as it was")
    before = sorted(path.parent.iterdir())
    assert main(["log", "export", str(path), "--format", "parquet", "--out", str(out)]) == 4
    assert "pip install 'linegate[parquet]'" in capsys.readouterr().err
    assert out.read_text() == "as it was"
    assert sorted(path.parent.iterdir()) == before


def test_a_file_that_cannot_be_written_is_refused(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hashlib.sha256(path.read_bytes()).digest()
    for out, code, message in (
        (path, 4, "expected another file than the record and its log"),
        (path.with_name("record.sqlite-wal"), 4, "expected another file than the record"),
        (path.parent / "nosuch" / "out.csv", 7, "expected an existing folder"),
        (path.parent, 7, "expected a file to write, got a folder"),
    ):
        arguments = ["log", "export", str(path), "--format", "csv", "--out", str(out)]
        assert main(arguments) == code
        assert message in capsys.readouterr().err
    assert main(["log", "export", str(path), "--format", "parquet", "--out", "-"]) == 4
    assert "expected a file for parquet" in capsys.readouterr().err
    assert hashlib.sha256(path.read_bytes()).digest() == before


def test_a_record_is_exported_while_a_line_adds_rows(path: Path) -> None:
    stop = threading.Event()

    def add() -> None:
        with Record(path) as record:
            for part in range(_ROWS + 1, _ROWS + 3000):
                record.append([Entry(varied(part))])
                if stop.wait(0.001):
                    return

    line = threading.Thread(target=add)
    line.start()
    try:
        sizes = []
        for _ in range(5):
            read = objects(exported(path, "jsonl").read_text())
            assert [one["number"] for one in read] == list(range(1, len(read) + 1))
            sizes.append(len(read))
    finally:
        stop.set()
        line.join()
    assert sizes[-1] > sizes[0] >= _ROWS
