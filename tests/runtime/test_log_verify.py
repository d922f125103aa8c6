"""``linegate log verify``: records that were really tampered with, and such that were not."""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate_bundle.manifest import Verdict
from linegate_runtime import record_check, record_sums_check
from linegate_runtime.cli import main
from linegate_runtime.record import ROWS, Entry, Record
from linegate_runtime.record_check import Noted, Problem, check
from linegate_runtime.record_schema import COLUMNS, link
from linegate_runtime.record_upkeep import enrol, remove_oldest
from tests.runtime.log_support import make_record, reading, tamper, varied

_ROWS = 60
_REMOVED = 9
_OK, _BROKEN = 0, 7


@pytest.fixture(scope="module", autouse=True)
def small_slices() -> Iterator[None]:
    # So that a few rows are many slices.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_check, "SLICE", 7)
        patch.setattr(record_sums_check, "SLICE", 7)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "record.sqlite"
    return make_record(path, (varied(part) for part in range(1, _ROWS + 1)))


@pytest.fixture(scope="module")
def shortened(whole: Path) -> Path:
    """A record whose oldest rows were removed as the line does it."""
    path = whole.with_name("shortened.sqlite")
    shutil.copy(whole, path)
    with Record(path) as record:
        assert remove_oldest(record, _REMOVED) == _REMOVED
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path))


def problems(path: Path, *noted: Noted) -> tuple[Problem, ...]:
    with reading(path) as record:
        return check(record, noted).problems


def tampered(whole: Path, *statements: tuple[str, tuple[object, ...]] | str) -> Problem:
    """Return the one problem of a copy that was tampered with."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(whole, folder))
        tamper(copy, *statements)
        [problem] = problems(copy)
        return problem


def chained(path: Path) -> None:
    """Compute all hashes anew, as somebody would who covers a change up."""
    with Record(path) as record:
        before, database = record.chain.before_hash, record._database
        for number, _, *values in database.execute(f"{ROWS} ORDER BY number").fetchall():
            before = link(before, number, tuple(values))
            database.execute("UPDATE parts SET hash = ? WHERE number = ?", (before, number))
            database.execute("UPDATE chain SET last_number = ?, last_hash = ?", (number, before))


def test_a_record_that_nobody_touched_is_whole(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["log", "verify", str(whole)]) == _OK
    text = capsys.readouterr().out
    assert "60 rows follow from each other: 1 of 2026-01-01T00:00:17.250Z to 60 of " in text
    assert "the sums agree with the rows" in text
    head = re.search(r"^head (60:[0-9a-f]{64})$", text, re.MULTILINE)
    assert head is not None
    assert main(["log", "verify", str(whole), "--expect", head[1], "--expect", head[1]]) == _OK


def test_the_record_of_rows_that_were_removed_in_order_is_whole(shortened: Path) -> None:
    with reading(shortened) as record:
        checked = check(record)
    assert checked.problems == ()
    assert checked.are_sums_checked
    assert (checked.rows, checked.removed) == (_ROWS - _REMOVED, _REMOVED)
    assert checked.first is not None
    assert checked.first.number == _REMOVED + 1


def test_programs_get_json(whole: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "verify", "--json", str(whole)]) == _OK
    document = msgspec.json.decode(capsys.readouterr().out)
    with reading(whole) as record:
        assert document["head"] == f"60:{record.chain.last_hash.hex()}"
    assert document["rows"] == _ROWS
    assert document["problems"] == []
    tamper(path, "UPDATE parts SET label = 'other' WHERE number = 5")
    assert main(["log", "verify", "--json", str(path)]) == _BROKEN
    document = msgspec.json.decode(capsys.readouterr().out)
    assert document["problems"] == [{"number": 5, "what": "row 5: the row was edited"}]
    assert document["rows"] == 4


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=9)
_REALS = st.none() | st.floats(allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.tuples(_TEXTS, _TEXTS, _TEXTS),
    probability=st.floats(0, 1),
    durations_ms=st.tuples(*[st.none() | st.floats(0, 1e9)] * 3),
    real=_REALS,
    whole_number=st.integers(-(2**63), 2**63 - 1),
)
def test_whatever_values_rows_have_their_record_is_whole(
    texts: tuple[str, str, str],
    probability: float,
    durations_ms: tuple[float | None, ...],
    real: float | None,
    whole_number: int,
) -> None:
    age_ms, wait_ms, model_ms = durations_ms
    row = varied(
        1,
        camera=texts[0],
        region=texts[1],
        label=texts[2],
        probabilities={texts[2]: probability},
        frame_age_ms=age_ms,
        wait_ms=wait_ms,
        model_ms=model_ms,
        defect_probability=real,
        monotonic_ns=whole_number,
    )
    # A name without a file: SQLite keeps the database in memory.
    with Record(Path(":memory:")) as record:
        record.append([Entry(row), Entry(varied(2))])
        assert check(record).problems == ()


@settings(max_examples=80, deadline=None)
@given(number=st.integers(1, _ROWS), field=st.sampled_from(COLUMNS))
def test_an_edited_field_of_any_row_is_found(whole: Path, number: int, field: str) -> None:
    with reading(whole) as record:
        query = f"SELECT {field}, typeof({field}) FROM parts WHERE number = ?"  # noqa: S608
        value, kind = record._database.execute(query, (number,)).fetchone()
    other = {
        "text": f"{value}x",
        "integer": 100_000,
        "real": 0.123,
        "null": "x" if field in {"label", "picture"} else 1,
    }[kind]
    problem = tampered(
        whole,
        (f"UPDATE parts SET {field} = ? WHERE number = ?", (other, number)),  # noqa: S608
    )
    assert problem == Problem(number, f"row {number}: the row was edited")


@given(number=st.integers(1, _ROWS))
@settings(max_examples=20, deadline=None)
def test_a_changed_hash_of_any_row_is_found(whole: Path, number: int) -> None:
    change = ("UPDATE parts SET hash = ? WHERE number = ?", (bytes(32), number))
    problem = tampered(whole, change)
    assert problem.number == number
    assert "its hash was changed; its values are as they were recorded" in problem.what


@settings(max_examples=30, deadline=None)
@given(first=st.integers(1, _ROWS), count=st.integers(1, 20))
def test_rows_that_were_taken_out_are_named(whole: Path, first: int, count: int) -> None:
    last = min(first + count - 1, _ROWS)
    change = ("DELETE FROM parts WHERE number BETWEEN ? AND ?", (first, last))
    problem = tampered(whole, change)
    assert problem.number == first
    which = ", the newest" if last == _ROWS else ""
    named = f"row {first} is" if first == last else f"rows {first} to {last} are"
    assert problem.what == f"{named} missing{which}"


@settings(max_examples=20, deadline=None)
@given(first=st.integers(1, _ROWS - 1), distance=st.integers(1, 20))
def test_rows_that_changed_places_are_found(whole: Path, first: int, distance: int) -> None:
    second = min(first + distance, _ROWS)
    problem = tampered(
        whole,
        ("UPDATE parts SET number = -1 WHERE number = ?", (first,)),
        ("UPDATE parts SET number = ? WHERE number = ?", (first, second)),
        ("UPDATE parts SET number = ? WHERE number = -1", (second,)),
    )
    assert problem.number == first
    assert f"row {first}: it does not follow from row {first - 1}" in problem.what


def copied(number: int, place: int) -> str:
    """Return how a row is put in once more, under another UUID and part."""
    columns = ", ".join(
        {"uuid": "'another'", "part": "100000"}.get(column, column) for column in COLUMNS
    )
    return (
        f"INSERT INTO parts (number, hash, {', '.join(COLUMNS)}) "  # noqa: S608 - a test's own
        f"SELECT {place}, hash, {columns} FROM parts WHERE number = {number}"
    )


@settings(max_examples=20, deadline=None)
@given(place=st.integers(2, _ROWS), number=st.integers(1, _ROWS))
def test_a_row_that_was_put_in_between_is_found(whole: Path, place: int, number: int) -> None:
    problem = tampered(
        whole,
        copied(number, 1000),
        ("UPDATE parts SET number = -number - 1 WHERE number BETWEEN ? AND ?", (place, _ROWS)),
        "UPDATE parts SET number = -number WHERE number < 0",
        ("UPDATE parts SET number = ? WHERE number = 1000", (place,)),
        "UPDATE chain SET last_number = last_number + 1",
    )
    assert problem.number == place
    assert "put in" in problem.what


@pytest.mark.parametrize("size", [7, 10, 59, 60, 61])
def test_a_row_that_was_put_in_at_an_end_is_found(
    whole: Path, shortened: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_check, "SLICE", size)
    problem = tampered(whole, copied(_ROWS, _ROWS + 1))
    assert problem.what.startswith("row 61 lies behind the end of the chain, row 60: it was put in")
    problem = tampered(shortened, copied(20, 3))
    assert problem.what.startswith("row 3 lies before the beginning of the chain, row 10: it was ")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            "UPDATE chain SET before_number = 5",
            "row 1 lies before the beginning of the chain, row 6",
        ),
        ("UPDATE chain SET before_number = -5", "the table chain was edited"),
        ("UPDATE chain SET before_hash = x'00'", "the table chain was edited"),
        ("UPDATE chain SET last_number = 59", "row 60 lies behind the end of the chain, row 59"),
        ("UPDATE chain SET last_number = 61", "row 61 is missing, the newest"),
        ("UPDATE chain SET last_hash = x'00'", "it names another hash for the last row 60"),
    ],
)
def test_a_changed_table_of_the_chain_is_found(whole: Path, change: str, what: str) -> None:
    assert what in tampered(whole, change).what


def test_a_changed_beginning_of_a_shortened_chain_is_found(shortened: Path) -> None:
    problem = tampered(shortened, "UPDATE chain SET before_hash = zeroblob(32)")
    assert problem.number == _REMOVED + 1
    assert "the row was edited, or the beginning of the chain in the table chain" in problem.what
    problem = tampered(shortened, "UPDATE chain SET before_number = 0, before_hash = zeroblob(32)")
    assert problem.what == "rows 1 to 9 are missing"


def test_text_that_is_none_is_an_edited_row(whole: Path) -> None:
    change = "UPDATE parts SET camera = CAST(x'ff' AS TEXT) WHERE number = 30"
    assert tampered(whole, change) == Problem(30, "row 30: the row was edited")


@pytest.mark.parametrize("table", ["minutes", "durations"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {} SET parts = parts + 1 WHERE minute = (SELECT max(minute) FROM {})",
        "DELETE FROM {} WHERE minute = (SELECT min(minute) FROM {})",
        "UPDATE {} SET minute = minute + 1000",
        "UPDATE {} SET minute = -5 WHERE minute = (SELECT max(minute) FROM {})",
    ],
)
def test_changed_sums_are_found_but_not_by_a_quick_look(
    path: Path, table: str, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tamper(path, change.format(table, table))
    assert main(["log", "verify", str(path)]) == _BROKEN
    assert f"the table {table} does not agree with the rows" in capsys.readouterr().out
    assert main(["log", "verify", "--quick", str(path)]) == _OK
    assert "sums not checked" in capsys.readouterr().out


def test_hashes_that_were_computed_anew_are_found_by_a_row_noted_elsewhere(path: Path) -> None:
    with reading(path) as record:
        rows = list(record.rows())
    tamper(path, "UPDATE parts SET defect_probability = 0.01 WHERE number = 20")
    chained(path)
    assert problems(path) == ()
    assert problems(path, Noted(19, rows[18].hash)) == ()
    for number in (20, 60):
        [problem] = problems(path, Noted(number, rows[number - 1].hash))
        assert problem.number == number
        assert "noted elsewhere, has another hash here" in problem.what


def test_newest_rows_that_were_cut_off_with_the_chain_are_missed_by_outputs_and_sums(
    path: Path,
) -> None:
    with Record(path) as record:
        noted = Noted(60, record.chain.last_hash.hex())
        enrol(record, ["mqtt"])
    tamper(path, "DELETE FROM parts WHERE number > 50")
    chained(path)
    [problem] = problems(path)
    assert problem.what == "the output mqtt has got rows up to 60, but the newest is row 50"
    tamper(path, "DELETE FROM outbox")
    [problem, other] = problems(path, noted)
    assert "does not agree with the rows" in problem.what
    assert other.what == "row 60, noted elsewhere, is not there: the newest is row 50"


def test_a_noted_row_that_was_removed_because_of_its_age_is_said_to_be(shortened: Path) -> None:
    with reading(shortened) as record:
        before = record.chain.before_hash.hex()
    assert problems(shortened, Noted(_REMOVED, before)) == ()
    [problem] = problems(shortened, Noted(_REMOVED - 1, before))
    assert "is not there: all up to row 9 were removed because of their age" in problem.what


@pytest.mark.parametrize("text", ["5", "5:12", "x:" + "0" * 64, "-1:" + "0" * 64])
def test_what_cannot_be_a_noted_row_is_refused(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["log", "verify", f"--expect={text}"])
    assert "expected NUMBER:HASH with 64 hexadecimal digits" in capsys.readouterr().err


_WRITER = """
import itertools, pathlib, sys
from linegate_runtime.record import Entry, Record
from linegate_runtime.record_upkeep import remove_oldest
from tests.runtime.log_support import varied
with Record(pathlib.Path(sys.argv[1])) as record:
    for step in itertools.count():
        first = record.chain.last_number + 1
        record.append([Entry(varied(part)) for part in range(first, first + 20)])
        if step > 20:
            remove_oldest(record, 20)
        print(step, flush=True)
"""


def test_a_record_is_whole_while_a_line_adds_rows_and_removes_old_ones(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    ) as writer:
        try:
            assert writer.stdout is not None
            for line in writer.stdout:
                if int(line) > 20:
                    break
            with reading(path) as record:
                seen = {check(record).head.number for _ in range(10)}
                end = time.monotonic() + 10
                while len(seen) < 4 and time.monotonic() < end:
                    checked = check(record)
                    assert checked.problems == ()
                    seen.add(checked.head.number)
        finally:
            writer.kill()
    assert len(seen) >= 4
    assert problems(path) == ()


def test_a_changed_verdict_with_hashes_computed_anew_is_missed_by_the_sums(path: Path) -> None:
    with reading(path) as record:
        [row] = record.rows(19, 1)
    other = Verdict.ACCEPT if row.row.verdict is not Verdict.ACCEPT else Verdict.REJECT
    tamper(path, ("UPDATE parts SET verdict = ? WHERE number = 20", (other.value,)))
    chained(path)
    [problem] = problems(path)
    assert "the table minutes does not agree" in problem.what
