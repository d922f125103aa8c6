"""The recorder: grouped commits, disks that fail and come back, old rows that go."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from linegate_bundle.errors import OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.keeping import Keeping
from linegate_runtime.part_row import PartRow, Recorded
from linegate_runtime.reason import Reason
from linegate_runtime.record import Access, Entry, Record
from linegate_runtime.record_upkeep import waiting
from linegate_runtime.recorder import Commit, Recorder
from tests.disk import room_for
from tests.runtime.live_support import wait_until
from tests.runtime.test_record import row

Open = Callable[..., Recorder]


@pytest.fixture
def commits() -> list[Commit]:
    return []


@pytest.fixture
def recorder_on(tmp_path: Path, commits: list[Commit]) -> Iterator[Open]:
    opened: list[Recorder] = []

    def open_one(sinks: Sequence[str] = (), keeping: Keeping | None = None) -> Recorder:
        record = Record(tmp_path / "record.sqlite")
        opened.append(Recorder(record, sinks, keeping, on_commit=commits.append))
        return opened[-1]

    yield open_one
    for recorder in opened:
        recorder.close()


def accepted(part: int) -> PartRow:
    return msgspec.structs.replace(row(part), verdict=Verdict.ACCEPT)


def rows_in(folder: Path) -> list[PartRow]:
    with Record(folder / "record.sqlite", Access.READ) as record:
        return [one.row for one in record.rows()]


def test_a_part_is_on_disk_before_anybody_is_told(
    tmp_path: Path, recorder_on: Open, commits: list[Commit]
) -> None:
    recorder = recorder_on()
    one = row(1)
    recorder.put(Entry(one))
    recorder.flush()
    assert rows_in(tmp_path) == [one]
    (commit,) = commits
    assert [part.row for part in commit.parts] == [one]
    assert 0 <= time.monotonic_ns() - commit.monotonic_ns < 5e9
    assert recorder.problem is None


def test_parts_share_commits_only_as_long_as_they_may(
    recorder_on: Open, commits: list[Commit]
) -> None:
    recorder = recorder_on(keeping=Keeping(commit_within_s=0.3))
    started = time.monotonic_ns()
    for part in range(1, 21):
        recorder.put(Entry(row(part)))
        time.sleep(0.005)
    recorder.flush()
    assert sum(len(commit.parts) for commit in commits) == 20
    assert len(commits) <= 2
    assert 0.3e9 <= commits[0].monotonic_ns - started < 2e9


def test_a_full_disk_is_a_problem_until_there_is_room_and_nothing_was_accepted_meanwhile(
    tmp_path: Path, recorder_on: Open, commits: list[Commit]
) -> None:
    recorder = recorder_on()
    recorder.put(Entry(accepted(1)))
    recorder.flush()
    with room_for(100):
        recorder.put(Entry(accepted(2)))
        assert wait_until(lambda: recorder.problem is not None, 1.0)
        recorder.put(Entry(row(3)))
        time.sleep(0.5)
        assert len(commits) == 1
        assert recorder.depth == 2
    assert wait_until(lambda: recorder.problem is None, 2.0)
    recorder.flush()
    verdicts = [(one.verdict, one.reason) for one in rows_in(tmp_path)]
    assert verdicts == [
        (Verdict.ACCEPT, Reason.VOTE),
        (Verdict.REJECT, Reason.OVERRIDE),
        (Verdict.REJECT, Reason.VOTE),
    ]


def test_a_record_that_is_locked_by_another_program_is_a_problem_within_a_second(
    tmp_path: Path, recorder_on: Open
) -> None:
    recorder = recorder_on()
    other = sqlite3.connect(tmp_path / "record.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    recorder.put(Entry(accepted(1)))
    assert wait_until(lambda: recorder.problem is not None, 1.0)
    assert "locked" in str(recorder.problem)
    other.execute("ROLLBACK")
    other.close()
    recorder.flush(3.0)
    assert recorder.problem is None
    assert [one.reason for one in rows_in(tmp_path)] == [Reason.OVERRIDE]


def test_a_record_that_is_damaged_while_the_line_runs_is_moved_aside(
    tmp_path: Path, recorder_on: Open, commits: list[Commit]
) -> None:
    recorder = recorder_on(["sink"])
    path = tmp_path / "record.sqlite"
    first_name = recorder.name
    for part in range(1, 400):
        recorder.put(Entry(row(part)))
    recorder.flush()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    recorder.note_place("sink", first_name, 300)
    for part in range(400, 500):
        recorder.put(Entry(row(part)))
    assert wait_until(lambda: recorder.alarm is not None, 5.0)
    recorder.flush(5.0)
    assert recorder.problem is None
    assert len(list(tmp_path.glob("record.sqlite.damaged-*[0-9]"))) == 1
    assert recorder.name != first_name
    parts = [one.part for one in rows_in(tmp_path)]
    assert parts == sorted(parts)
    assert parts[-1] == 499
    told = [part.row.part for commit in commits for part in commit.parts]
    assert told == list(range(1, 500))
    with Record(path, Access.READ) as record:
        assert waiting(record) == {"sink": len(parts)}


def test_a_part_that_has_a_row_already_keeps_no_other_from_its_own(
    tmp_path: Path, recorder_on: Open, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_on(keeping=Keeping(commit_within_s=0.1))
    for part in (1, 2, 2, 3):
        recorder.put(Entry(row(part)))
    recorder.flush()
    assert [one.part for one in rows_in(tmp_path)] == [1, 2, 3]
    assert "a part is left out" in caplog.text


def test_places_are_written_with_the_next_part_or_soon_without(
    tmp_path: Path, recorder_on: Open
) -> None:
    recorder = recorder_on(["sink"])
    recorder.put(Entry(row(1)))
    recorder.flush()
    recorder.note_place("sink", "another record", 7)
    recorder.note_place("sink", recorder.name, 1)

    def place() -> int:
        with sqlite3.connect(tmp_path / "record.sqlite") as other:
            found = other.execute("SELECT delivered FROM outbox").fetchone()[0]
        other.close()
        return int(found)

    assert wait_until(lambda: place() == 1, 3.0)


def test_the_oldest_rows_go_when_there_are_too_many(tmp_path: Path, recorder_on: Open) -> None:
    recorder = recorder_on(keeping=Keeping(most_bytes=1_000_000))
    for part in range(1, 5001):
        recorder.put(Entry(row(part)))
        if part % 100 == 0:
            recorder.flush()
    left = [one.part for one in rows_in(tmp_path)]
    assert left[-1] == 5000
    assert left[0] > 1000
    assert (tmp_path / "record.sqlite").stat().st_size < 2_000_000


def test_rows_that_are_too_old_go(
    tmp_path: Path, recorder_on: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linegate_runtime.recorder.clock_synced", lambda: True)
    with Record(tmp_path / "record.sqlite") as record:
        record.append([Entry(row(part)) for part in range(1, 11)])  # of January
    recorder_on(keeping=Keeping(keep_days=1.0))
    assert wait_until(lambda: len(rows_in(tmp_path)) == 1, 5.0)


def test_a_record_that_is_removed_while_the_line_runs_is_begun_anew_and_nothing_accepted_unseen(
    tmp_path: Path, recorder_on: Open, commits: list[Commit]
) -> None:
    recorder = recorder_on()
    recorder.put(Entry(accepted(1)))
    recorder.flush()
    for path in tmp_path.glob("record.sqlite*"):
        path.unlink()
    recorder.put(Entry(accepted(2)))
    recorder.flush(3.0)
    assert [(one.part, one.verdict) for one in rows_in(tmp_path)] == [(2, Verdict.REJECT)]
    told = [part.row for commit in commits for part in commit.parts]
    assert [(row.part, row.reason) for row in told] == [(1, Reason.VOTE), (2, Reason.OVERRIDE)]
    assert "a new record was begun" in str(recorder.alarm)


def test_a_part_that_reached_the_disk_by_a_commit_that_failed_is_told_of_all_the_same(
    tmp_path: Path, recorder_on: Open, commits: list[Commit], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = recorder_on()
    append = Record.append

    def fails_once(self: Record, *given: Any) -> list[Recorded]:
        append(self, *given)
        monkeypatch.setattr(Record, "append", append)
        raise OutputError("the sync failed")

    monkeypatch.setattr(Record, "append", fails_once)
    one = accepted(1)
    recorder.put(Entry(one))
    recorder.flush(3.0)
    assert rows_in(tmp_path) == [one]
    assert [part.row for commit in commits for part in commit.parts] == [one]
    assert recorder.problem is None


def test_old_rows_that_cannot_be_removed_are_an_alarm_and_no_reason_to_accept_nothing(
    tmp_path: Path, recorder_on: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linegate_runtime.recorder.clock_synced", lambda: True)
    with Record(tmp_path / "record.sqlite") as record:
        record.append([Entry(row(part)) for part in range(1, 4)])
    with contextlib.closing(sqlite3.connect(tmp_path / "record.sqlite")) as database, database:
        database.execute("UPDATE parts SET verdict = 'maybe' WHERE part = 1")
    recorder = recorder_on(keeping=Keeping(keep_days=1.0))
    recorder.put(Entry(row(9)))
    recorder.flush()
    assert wait_until(lambda: "maybe" in str(recorder.alarm), 3.0)
    assert recorder.problem is None
    assert recorder.depth == 0


def test_a_clock_that_nobody_sets_removes_nothing(
    tmp_path: Path, recorder_on: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linegate_runtime.recorder.clock_synced", lambda: False)
    with Record(tmp_path / "record.sqlite") as record:
        record.append([Entry(row(part)) for part in range(1, 4)])
    recorder_on(keeping=Keeping(keep_days=1.0))
    time.sleep(1.5)
    assert len(rows_in(tmp_path)) == 3


def test_what_cannot_be_recorded_at_the_end_is_said(tmp_path: Path, commits: list[Commit]) -> None:
    recorder = Recorder(Record(tmp_path / "record.sqlite"), on_commit=commits.append)
    recorder.put(Entry(row(1)))
    recorder.flush()
    with room_for(100):
        recorder.put(Entry(row(2)))
        with pytest.raises(OutputError, match=r"1 part\(s\) could not be recorded"):
            recorder.close()
    assert len(commits) == 1
