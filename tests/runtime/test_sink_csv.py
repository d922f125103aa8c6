"""The sink csv: rows that survive kills, power cuts and full disks."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from linegate_bundle.errors import OutputError
from linegate_runtime.sinks import SINKS
from linegate_runtime.sinks.csv import CsvOptions, CsvSink
from linegate_runtime.sinks.payload import FIELDS
from tests.disk import room_for
from tests.runtime.sink_support import recorded


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows as a program reads them; all lines must be whole."""
    content = path.read_bytes()
    assert content.endswith(b"\r\n")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert all(None not in row and None not in row.values() for row in rows)
    assert content.count(b"\n") == len(rows) + 1
    return rows


def parts_in(*paths: Path) -> list[int]:
    return [int(row["part"]) for path in paths for row in read(path)]


def write(path: Path, *numbers: int, **options: Any) -> None:
    sink = CsvSink(CsvOptions(path=path, **options))
    try:
        sink.deliver([recorded(number) for number in numbers])
    finally:
        sink.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "parts.csv"


def test_it_is_registered() -> None:
    assert SINKS.load("csv") is CsvSink


def test_a_row_has_a_column_for_each_field(path: Path) -> None:
    write(path, 1)
    write(path, 2)
    first, second = read(path)
    assert tuple(first) == FIELDS
    assert first["uuid"] == recorded(1).row.uuid
    assert first["verdict"] == "reject"
    assert first["clock_synced"] == "true"
    assert first["picture"] == ""
    assert first["frame_age_ms"] == "21.5"
    assert first["record"] == "1"
    assert json.loads(first["probabilities"]) == {"functional": 0.125, "bright": 0.875}
    assert second["record_hash"] == recorded(2).hash


def test_making_a_sink_writes_nothing(path: Path) -> None:
    CsvSink(CsvOptions(path=path)).close()
    assert not path.exists()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\tx", "\r=1", "\n=1"])
def test_texts_cannot_be_formulas(path: Path, text: str) -> None:
    sink = CsvSink(CsvOptions(path=path))
    sink.deliver([recorded(1, camera=text)])
    sink.close()
    (row,) = read(path)
    assert row["camera"].startswith("'")
    assert row["camera"][1:].strip() == text.strip()


@hypothesis.settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(text=strategies.text(alphabet=strategies.characters(codec="utf-8")))
def test_any_text_is_read_again_after_the_file_was_opened_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.csv"
    path.unlink(missing_ok=True)
    sink = CsvSink(CsvOptions(path=path))
    sink.deliver([recorded(1, label=text)])
    sink.close()
    write(path, 1, 2)
    first, second = read(path)
    blanked = text.translate(str.maketrans("\r\n\0", "   "))
    assert first["label"] in {blanked, "'" + blanked}
    assert second["part"] == "2"


def test_what_was_written_is_not_written_again(path: Path) -> None:
    write(path, 1, 2, 3)
    write(path, 2, 3, 4)
    sink = CsvSink(CsvOptions(path=path))
    for _ in range(2):
        sink.deliver([recorded(4), recorded(5)])
    sink.close()
    assert parts_in(path) == [1, 2, 3, 4, 5]


def test_a_whole_batch_is_recognized_in_a_long_file(path: Path) -> None:
    for begin in range(1, 2001, 500):
        write(path, *range(begin, begin + 500))
    write(path, *range(1501, 2001))
    assert parts_in(path) == list(range(1, 2001))


@pytest.mark.parametrize("kept", [1, 40, 500, 701, 702])
def test_a_line_that_was_cut_short_is_removed(path: Path, kept: int) -> None:
    write(path, 1)
    size = path.stat().st_size
    write(path, 2)
    content = path.read_bytes()
    path.write_bytes(content[: min(size + kept, len(content) - 1)])
    write(path, 2, 3)
    assert parts_in(path) == [1, 2, 3]


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_header_that_was_cut_short_is_written_again(path: Path, size: int) -> None:
    write(path, 1)
    path.write_bytes(path.read_bytes()[:size])
    write(path, 1)
    assert parts_in(path) == [1]
    path.write_bytes(b"\0" * 4096)
    write(path, 1)
    assert parts_in(path) == [1]


def test_pages_that_a_power_cut_left_empty_are_removed_with_what_follows(path: Path) -> None:
    write(path, 1, 2)
    size = path.stat().st_size
    write(path, *range(3, 30))
    content = bytearray(path.read_bytes())
    content[size + 100 : size + 4196] = bytes(4096)
    path.write_bytes(content)
    write(path, *range(3, 30))
    assert parts_in(path) == list(range(1, 30))


_CHILD = """
import sys
from pathlib import Path
from linegate_runtime.sinks.csv import CsvOptions, CsvSink
from tests.runtime.sink_support import recorded
sink = CsvSink(CsvOptions(path=Path(sys.argv[1]), max_mb=0.05))
begin = int(sys.argv[2])
while True:
    sink.deliver([recorded(number) for number in range(begin, begin + 20)])
    begin += 20
    print(begin, flush=True)
"""


def test_killed_at_any_time_it_loses_no_row_and_doubles_none(path: Path) -> None:
    begin = 1
    for round_ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(path), str(begin)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        begin = int(child.stdout.readline())
        time.sleep(0.03 * round_)
        os.kill(child.pid, signal.SIGKILL)
        told, _ = child.communicate()
        begin = int(told.split()[-1]) if told else begin
    write(path, *range(begin, begin + 20))
    paths = [*sorted(path.parent.glob("parts-*.csv")), path]
    numbers = parts_in(*paths)
    assert numbers == list(range(numbers[0], begin + 20))


def test_a_full_disk_leaves_nothing_half_written(path: Path) -> None:
    sink = CsvSink(CsvOptions(path=path))
    sink.deliver([recorded(1)])
    before = path.read_bytes()
    with (
        room_for(len(before) + 1000),
        pytest.raises(OutputError, match="cannot be written: File too large; check that"),
    ):
        sink.deliver([recorded(number) for number in range(2, 50)])
    assert path.read_bytes() == before
    sink.deliver([recorded(number) for number in range(2, 50)])
    sink.close()
    assert parts_in(path) == list(range(1, 50))


def test_a_disk_that_is_full_from_the_begin_gets_its_header_later(path: Path) -> None:
    sink = CsvSink(CsvOptions(path=path))
    with room_for(10), pytest.raises(OutputError, match="cannot be written"):
        sink.deliver([recorded(1)])
    sink.deliver([recorded(1)])
    sink.close()
    assert parts_in(path) == [1]


def test_a_folder_that_is_missing_is_told_and_found_when_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "stick" / "parts.csv"
    sink = CsvSink(CsvOptions(path=path))
    with pytest.raises(OutputError, match="No such file or directory; check that its folder"):
        sink.deliver([recorded(1)])
    path.parent.mkdir()
    sink.deliver([recorded(1)])
    sink.close()
    assert parts_in(path) == [1]


def test_a_large_file_is_renamed_and_the_oldest_are_removed(path: Path) -> None:
    sink = CsvSink(CsvOptions(path=path, max_mb=0.01, keep=3))
    for begin in range(1, 201, 50):
        sink.deliver([recorded(number) for number in range(begin, begin + 50)])
    sink.close()
    renamed = sorted(path.parent.glob("parts-*Z.csv"))
    assert len(renamed) == 3
    assert all(one.stat().st_size <= 10_000 for one in [*renamed, path])
    numbers = parts_in(*renamed, path)
    assert numbers == list(range(numbers[0], 201))


def test_a_batch_that_was_cut_by_a_renaming_is_not_doubled(path: Path) -> None:
    options = {"max_mb": 0.01}
    write(path, *range(1, 51), **options)
    write(path, *range(1, 51), **options)
    assert parts_in(*sorted(path.parent.glob("parts-*Z.csv")), path) == list(range(1, 51))
    path.unlink()  # as if the power was cut before it was begun
    newest = max(path.parent.glob("parts-*Z.csv"))
    last = parts_in(newest)[-1]
    write(path, last, 100)
    assert parts_in(path) == [100]


def test_a_clock_that_was_set_back_does_not_remove_the_newest(path: Path) -> None:
    future = path.with_name("parts-21000101T000000.000000Z.csv")
    future.write_text("of a clock that was wrong")
    bystander = path.with_name("parts-21001399T000000.000000Z.csv")
    bystander.write_text("no time")
    for begin in range(1, 101, 50):
        write(path, *range(begin, begin + 50), max_mb=0.02, keep=1)
    assert bystander.exists()
    assert not future.exists()
    (newest,) = (one for one in path.parent.glob("parts-2*.csv") if one != bystander)
    numbers = parts_in(newest, path)
    assert numbers == list(range(numbers[0], 101))


def test_a_file_with_another_header_is_put_aside(path: Path) -> None:
    other = b"uuid,verdict\r\na,accept\r\n"
    path.write_bytes(other)
    write(path, 1)
    assert parts_in(path) == [1]
    (aside,) = path.parent.glob("parts-*.csv")
    assert aside.read_bytes() == other


def test_a_file_that_somebody_moved_away_is_begun_anew(path: Path) -> None:
    sink = CsvSink(CsvOptions(path=path))
    sink.deliver([recorded(1)])
    path.rename(path.with_name("taken.csv"))
    sink.deliver([recorded(1), recorded(2)])
    sink.close()
    assert parts_in(path.with_name("taken.csv"), path) == [1, 2]


def test_two_sinks_cannot_write_one_file(path: Path) -> None:
    first = CsvSink(CsvOptions(path=path))
    first.deliver([recorded(1)])
    second = CsvSink(CsvOptions(path=path))
    with pytest.raises(OutputError, match="another process writes it"):
        second.deliver([recorded(2)])
    first.close()
    second.deliver([recorded(2)])
    second.close()
    assert parts_in(path) == [1, 2]


def test_after_closing_nothing_is_written(path: Path) -> None:
    sink = CsvSink(CsvOptions(path=path))
    sink.close()
    sink.close()
    with pytest.raises(OutputError, match="the sink was closed"):
        sink.deliver([recorded(1)])
    assert not path.exists()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert list(CsvOptions(path=tmp_path).problems()) == ["path"]
    assert CsvOptions(path=tmp_path / "a.csv").problems() == {}
