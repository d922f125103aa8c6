"""The record: real SQLite files, real kills, and what is refused."""

import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import PartRow, Recorded
from linegate_runtime.record import Access, Entry, Record
from linegate_runtime.record_schema import FIRST_HASH, link, to_values
from linegate_runtime.record_upkeep import enrol, lost, remove_oldest, waiting
from tests.runtime.sink_support import recorded


def row(part: int = 1, run: str = "a run") -> PartRow:
    return msgspec.structs.replace(recorded(part).row, uuid=str(uuid.uuid4()), run=run)


def append(record: Record, *rows: PartRow) -> list[Recorded]:
    return record.append([Entry(one) for one in rows])


def append_many(record: Record, count: int) -> None:
    for part in range(1, count):
        append(record, row(part))


def read(path: Path) -> list[PartRow]:
    with Record(path, Access.READ) as record:
        return [one.row for one in record.rows()]


def test_rows_come_back_as_they_went_in_and_in_order(tmp_path: Path) -> None:
    rows = [row(part) for part in (1, 2, 3)]
    with Record(tmp_path / "record.sqlite") as record:
        for each in rows:
            append(record, each)
        assert [one.row for one in record.rows()] == rows
        assert [one.number for one in record.rows()] == [1, 2, 3]
    assert read(tmp_path / "record.sqlite") == rows


def test_a_class_map_comes_back_with_its_shape_and_a_row_without_one_has_none(
    tmp_path: Path,
) -> None:
    first, second = row(1), row(2)
    values = np.linspace(-3, 4, 5 * 4 * 2).reshape(5, 4, 2)
    with Record(tmp_path / "record.sqlite") as record:
        record.append([Entry(first, values), Entry(second)])
        kept = record.class_map(first.uuid)
        assert kept is not None
        np.testing.assert_array_equal(kept, values.astype(np.float32))
        assert record.class_map(second.uuid) is None
        assert [one.row for one in record.rows()] == [first, second]


@given(
    label=st.text(min_size=1, max_size=20),
    probability=st.floats(0, 1),
    age_ms=st.floats(0, 1e6),
    verdict=st.sampled_from(Verdict),
)
def test_any_values_come_back(
    label: str, probability: float, age_ms: float, verdict: Verdict
) -> None:
    changed = msgspec.structs.replace(
        row(),
        label=label,
        probabilities={label: probability},
        defect_probability=probability,
        frame_age_ms=age_ms,
        verdict=verdict,
    )
    # A name without a file: SQLite keeps the database in memory.
    with Record(Path(":memory:")) as record:
        append(record, changed)
        assert [one.row for one in record.rows()] == [changed]


def test_a_row_is_durable_by_write_ahead_log_and_full_sync(tmp_path: Path) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        pragmas = [
            record._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]
    assert pragmas == ["wal", 2]


def test_no_acknowledged_row_is_lost_when_the_program_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    program = (
        "import itertools, sys, pathlib\n"
        "from linegate_runtime.record import Entry, Record\n"
        "from tests.runtime.test_record import row\n"
        "record = Record(pathlib.Path(sys.argv[1]))\n"
        "for part in itertools.count(1):\n"
        "    record.append([Entry(row(part))])\n"
        "    print(part, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 20:
                os.kill(writer.pid, signal.SIGKILL)
                break
        rest = writer.stdout.read().split()
    acknowledged = max([20, *map(int, rest)])
    parts = [each.part for each in read(path)]
    assert parts[:acknowledged] == list(range(1, acknowledged + 1))


def test_a_part_cannot_have_two_rows_in_one_run(tmp_path: Path) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        append(record, row(1))
        with pytest.raises(OutputError, match="part 1 cannot be recorded: UNIQUE"):
            append(record, row(1))
        append(record, row(1, run="another run"))
        assert len(list(record.rows())) == 2


def test_runs_add_to_a_record(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    for run in ("first", "second"):
        with Record(path) as record:
            append(record, row(1, run))
    assert [each.run for each in read(path)] == ["first", "second"]


def test_a_record_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    Record(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(OutputError, match=r"record\.sqlite: .*schema version 4, got 7; move it"):
        Record(path)


def test_another_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE music (title TEXT)")
    database.close()
    content = path.read_bytes()
    with pytest.raises(OutputError, match="got another SQLite file; choose another path"):
        Record(path)
    assert path.read_bytes() == content


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database " * 100)
    with pytest.raises(OutputError, match=r"expected a record of .*: file is not a database"):
        Record(path)
    assert path.read_text() == "no database " * 100


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"expected an existing folder .*nosuch; make it first"):
        Record(tmp_path / "nosuch" / "record.sqlite")


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no such file"):
        Record(tmp_path / "record.sqlite", Access.READ)
    assert list(tmp_path.iterdir()) == []


def test_a_record_opened_for_reading_cannot_be_written_to(tmp_path: Path) -> None:
    Record(tmp_path / "record.sqlite").close()
    with (
        Record(tmp_path / "record.sqlite", Access.READ) as record,
        pytest.raises(OutputError, match="readonly"),
    ):
        append(record, row())


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with Record(path) as record:
        append(record, row())
    with sqlite3.connect(path) as database:
        database.execute("UPDATE parts SET verdict = 'perhaps'")
    database.close()
    with pytest.raises(OutputError, match=r"a row cannot be read: .*perhaps"):
        read(path)


def test_a_row_that_cannot_be_written_leaves_the_record_usable(tmp_path: Path) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        record._database.execute("PRAGMA max_page_count = 30")
        with pytest.raises(OutputError, match="database or disk is full"):
            append_many(record, 1000)
        before = len(list(record.rows()))
        record._database.execute("PRAGMA max_page_count = 1000")
        append(record, row(1000))
        assert len(list(record.rows())) == before + 1


def test_each_row_is_linked_to_the_one_before(tmp_path: Path) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        first, second, third = (*append(record, row(1), row(2)), *append(record, row(3)))
        before = FIRST_HASH
        for one in (first, second, third):
            before = link(before, one.number, to_values(one.row))
            assert one.hash == before.hex()
        assert record.chain.last_hash == before
        assert list(record.rows()) == [first, second, third]


def test_rows_that_fail_together_leave_no_trace(tmp_path: Path) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        append(record, row(1))
        before = record.chain
        with pytest.raises(OutputError, match="part 2, 1 cannot be recorded"):
            append(record, row(2), row(1))
        assert record.chain == before == record.refresh()
        (second,) = append(record, row(2))
        assert second.number == 2


def test_a_new_sink_begins_with_the_next_row_and_keeps_its_place(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with Record(path) as record:
        append(record, row(1), row(2))
        assert enrol(record, ["one"]) == {"one": 2}
        append(record, row(3))
        record.append([Entry(row(4))], {"one": 3})
        record.append([], {"one": 1})  # places never fall
        assert waiting(record) == {"one": 1}
    with Record(path) as record:
        assert enrol(record, ["one", "two"]) == {"one": 3, "two": 4}
        assert enrol(record, ["two"]) == {"two": 4}
        assert waiting(record) == {"two": 0}


def test_old_rows_are_removed_from_the_oldest_on_and_the_chain_goes_on(tmp_path: Path) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        parts = append(record, *(row(part) for part in range(1, 11)))
        assert remove_oldest(record, 4) == 4
        assert list(record.rows()) == parts[4:]
        assert record.chain.before_number == 4
        assert record.chain.before_hash.hex() == parts[3].hash
        assert remove_oldest(record, 100) == 5  # the newest stays
        assert list(record.rows()) == parts[9:]
        (next_one,) = append(record, row(11))
        assert next_one.number == 11


def test_by_age_nothing_is_removed_that_a_sink_has_not_got_but_by_size_it_is_and_counted(
    tmp_path: Path,
) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        enrol(record, ["slow"])
        append(record, *(row(part) for part in range(1, 11)))
        record.append([], {"slow": 3})
        later = "2027-01-01T00:00:00.000Z"
        assert remove_oldest(record, 100, later) == 3
        assert lost(record) == {}
        assert remove_oldest(record, 2) == 2
        assert lost(record) == {"slow": 2}
        assert waiting(record) == {"slow": 5}


def test_age_is_counted_by_the_row_not_by_its_place(tmp_path: Path) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        append(record, *(row(part) for part in (1, 2, 3)))
        limit = recorded(3).row.time_utc
        assert remove_oldest(record, 100, limit) == 2


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 40))
def test_sums_always_agree_with_the_rows(minutes: list[int], removed: int) -> None:
    with Record(Path(":memory:")) as record:
        for number, minute in enumerate(minutes, 1):
            changes = {"time_utc": f"2026-01-01T00:0{minute}:00.000Z", "model_ms": 1.0 + minute}
            append(record, msgspec.structs.replace(row(number), **changes))
        remove_oldest(record, removed)
        left = list(record.rows())
        sums = record._database.execute("SELECT sum(parts), min(parts) FROM minutes").fetchone()
        assert sums[0] == len(left)
        assert sums[1] > 0
        by_minute = dict(
            record._database.execute("SELECT minute % 60, sum(parts) FROM minutes GROUP BY minute")
        )
        times = [int(one.row.time_utc[14:16]) for one in left]
        assert by_minute == {minute: times.count(minute) for minute in set(times)}
        stages = dict(
            record._database.execute("SELECT stage, sum(parts) FROM durations GROUP BY stage")
        )
        assert stages == dict.fromkeys(("age", "wait", "model"), len(left))


def test_a_closed_record_is_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    medium = tmp_path / "medium"
    medium.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(medium)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a medium to hand over is a tmpfs, for which this test must be root")
    try:
        with Record(medium / "record.sqlite") as record:
            (part,) = append(record, row(1))
        subprocess.run(["mount", "-o", "remount,ro", str(medium)], check=True)
        assert read(medium / "record.sqlite") == [part.row]
    finally:
        subprocess.run(["umount", str(medium)], check=True)


def test_a_path_with_marks_that_mean_something_in_an_address_is_taken_as_it_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / "50%20 of #1?mode=ro.sqlite"
    with Record(path) as record:
        (part,) = append(record, row(1))
    assert path.is_file()
    assert read(path) == [part.row]


def test_two_lines_cannot_write_to_one_record(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with Record(path) as first:
        with pytest.raises(OutputError, match="that no other line writes to; give each a file"):
            Record(path)
        append(first, row(1))
    with Record(path) as second:
        append(second, row(2))
    assert [one.part for one in read(path)] == [1, 2]


def test_rows_whose_clock_nobody_set_go_with_what_is_surely_old(tmp_path: Path) -> None:
    limit = "2026-06-01T00:00:00.000Z"

    def at(part: int, time_utc: str, *, synced: bool) -> PartRow:
        return msgspec.structs.replace(row(part), time_utc=time_utc, clock_synced=synced)

    with Record(tmp_path / "record.sqlite") as record:
        append(record, at(1, "1970-01-01T00:00:01.000Z", synced=False))
        assert remove_oldest(record, 100, limit) == 0
        append(record, at(2, "2026-05-01T00:00:00.000Z", synced=True))
        append(record, at(3, "1970-01-01T00:00:02.000Z", synced=False))
        append(record, at(4, "2026-07-01T00:00:00.000Z", synced=True))
        assert remove_oldest(record, 100, limit) == 2
        assert [one.row.part for one in record.rows()] == [3, 4]


def test_a_sink_that_is_left_out_of_the_configuration_is_named_with_what_it_misses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        enrol(record, ["mqtt"])
        append(record, row(1), row(2))
        enrol(record, [])
    assert "output mqtt is not configured any more; 2 part(s)" in caplog.text
