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
from linegate_runtime.policy import PolicyOrigin
from linegate_runtime.reason import Reason
from linegate_runtime.record import Access, PartRow, Record


def row(part: int = 1, run: str = "a run") -> PartRow:
    return PartRow(
        uuid=str(uuid.uuid4()),
        run=run,
        part=part,
        time_utc="2026-01-02T03:04:05.678Z",
        monotonic_ns=2**62,
        camera="http://camera/stream",
        region="",
        frame_number=12,
        label="functional",
        verdict=Verdict.UNSURE,
        reason=Reason.VOTE,
        policy=PolicyOrigin.BUNDLE,
        probabilities={"functional": 0.6, "defective": 0.4},
        defect_probability=0.4,
        frames_voted=3,
        frame_age_ms=12.5,
        latency_ms=None,
        bundle_name="cells",
        bundle_version="1.0.0",
        bundle_sha256="0" * 64,
    )


def append_many(record: Record, count: int) -> None:
    for part in range(1, count):
        record.append(row(part))


def read(path: Path) -> list[PartRow]:
    with Record(path, Access.READ) as record:
        return list(record.rows())


def test_rows_come_back_as_they_went_in_and_in_order(tmp_path: Path) -> None:
    rows = [row(part) for part in (1, 2, 3)]
    with Record(tmp_path / "record.sqlite") as record:
        for each in rows:
            record.append(each)
        assert list(record.rows()) == rows
    assert read(tmp_path / "record.sqlite") == rows


def test_a_class_map_comes_back_with_its_shape_and_a_row_without_one_has_none(
    tmp_path: Path,
) -> None:
    first, second = row(1), row(2)
    values = np.linspace(-3, 4, 5 * 4 * 2).reshape(5, 4, 2)
    with Record(tmp_path / "record.sqlite") as record:
        record.append(first, values)
        record.append(second)
        kept = record.class_map(first.uuid)
        assert kept is not None
        np.testing.assert_array_equal(kept, values.astype(np.float32))
        assert record.class_map(second.uuid) is None
        assert list(record.rows()) == [first, second]


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
        record.append(changed)
        assert list(record.rows()) == [changed]


def test_the_latency_is_noted_with_the_next_row_or_when_settled_or_closed(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    first, second, third = row(1), row(2), row(3)
    with Record(path) as record:
        record.append(first)
        record.note_latency(first.uuid, 1.5)
        assert [each.latency_ms for each in read(path)] == [None]
        record.append(second)
        assert [each.latency_ms for each in read(path)] == [1.5, None]
        record.note_latency(second.uuid, 2.5)
        record.settle()
        assert [each.latency_ms for each in read(path)] == [1.5, 2.5]
        record.append(third)
        record.note_latency(third.uuid, 3.5)
    assert [each.latency_ms for each in read(path)] == [1.5, 2.5, 3.5]


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
        "from linegate_runtime.record import Record\n"
        "from tests.runtime.test_record import row\n"
        "record = Record(pathlib.Path(sys.argv[1]))\n"
        "for part in itertools.count(1):\n"
        "    record.append(row(part))\n"
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
        record.append(row(1))
        with pytest.raises(OutputError, match="part 1 cannot be recorded: UNIQUE"):
            record.append(row(1))
        record.append(row(1, run="another run"))
        assert len(list(record.rows())) == 2


def test_runs_add_to_a_record(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    for run in ("first", "second"):
        with Record(path) as record:
            record.append(row(1, run))
    assert [each.run for each in read(path)] == ["first", "second"]


def test_a_record_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    Record(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(OutputError, match=r"record\.sqlite: .*schema version 3, got 7; move it"):
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
    with pytest.raises(OutputError, match="expected a record of linegate: file is not a database"):
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
        record.append(row())


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with Record(path) as record:
        record.append(row())
    with sqlite3.connect(path) as database:
        database.execute("UPDATE parts SET verdict = 'perhaps'")
    database.close()
    with pytest.raises(OutputError, match=r"a row cannot be read: .*perhaps"):
        read(path)


def test_a_row_that_cannot_be_written_leaves_the_record_usable(tmp_path: Path) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        record._database.execute("PRAGMA max_page_count = 8")
        with pytest.raises(OutputError, match="database or disk is full"):
            append_many(record, 1000)
        before = len(list(record.rows()))
        record._database.execute("PRAGMA max_page_count = 1000")
        record.append(row(1000))
        assert len(list(record.rows())) == before + 1
