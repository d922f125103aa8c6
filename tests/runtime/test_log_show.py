"""``linegate log show``: which rows are shown, and rows that are followed."""

import argparse
import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate_bundle.errors import OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime import record_query
from linegate_runtime.cli import main
from linegate_runtime.commands.log_options import moment
from linegate_runtime.part_row import Recorded
from linegate_runtime.reason import Reason
from linegate_runtime.record import Entry, Record
from linegate_runtime.record_query import Query, newest, slices
from linegate_runtime.record_rescue import move_aside
from tests.runtime.log_support import make_record, objects, reading, time_after, varied

_ROWS = 120


@pytest.fixture(scope="module", autouse=True)
def small_slices() -> Iterator[None]:
    # So that a few rows are many slices.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_query, "SLICE", 11)
        yield


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / "record.sqlite"
    # The clock was set back by ten minutes once, and several parts had the same millisecond.
    rows = [
        varied(part, time_utc=time_after(part // 3 * 60 - (600 if part > 90 else 0)))
        for part in range(1, _ROWS + 1)
    ]
    return make_record(path, rows)


@pytest.fixture(scope="module")
def rows(path: Path) -> list[Recorded]:
    with reading(path) as record:
        return list(record.rows())


def shown(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> list[dict[str, Any]]:
    assert main(["log", "show", str(path), "--json", *options]) == 0
    return objects(capsys.readouterr().out)


def numbers(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> list[int]:
    return [one["number"] for one in shown(capsys, path, *options)]


def test_the_newest_fifty_are_shown_the_newest_last(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert numbers(capsys, path) == list(range(71, 121))
    assert numbers(capsys, path, "--limit", "3") == [118, 119, 120]
    assert numbers(capsys, path, "--limit", "10000") == list(range(1, 121))


def test_json_lines_hold_all_of_a_row_with_its_number_and_hash(
    path: Path, rows: Sequence[Recorded], capsys: pytest.CaptureFixture[str]
) -> None:
    for one, row in zip(shown(capsys, path, "--limit", "200"), rows, strict=True):
        number, digest = one.pop("number"), one.pop("hash")
        assert Recorded(number, digest, msgspec.convert(one, type(row.row))) == row


def test_people_get_a_table(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "show", str(path), "--limit", "2"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    names = "number time part camera/region verdict reason label p(defect) age ms bundle"
    assert head.split() == names.split()
    assert first.split() == [
        "119",
        "2026-01-01T00:29:00.000Z",
        "119",
        "http://camera/3/top",
        "accept",
        "override",
        "=1+1",
        "0.9000",
        "9.0",
        "tiny",
        "1.2.0",
        "abababababab",
    ]
    assert second.split()[:4] == ["120", "2026-01-01T00:30:00.000Z", "120", "left"]


def test_what_a_terminal_would_obey_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_record(tmp_path / "record.sqlite", [varied(1, camera="a\x1b[2Jb\nc")])
    assert main(["log", "show", str(path)]) == 0
    text = capsys.readouterr().out
    assert "a?[2Jb?c" in text
    assert text.count("\n") == 2


_SOME = st.integers(0, 2)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_filter_finds_what_a_look_at_all_rows_finds(
    path: Path, rows: Sequence[Recorded], data: st.DataObject
) -> None:
    def of(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(data.draw(st.lists(st.sampled_from(values), max_size=2)))

    times = st.none() | st.integers(-2, 45).map(lambda minute: time_after(minute * 60))
    titles = ["tiny", "tiny 1.1.0", "tiny 1.0.0 abababababab", "ababab", "abab", "tin", "ab" * 32]
    query = Query(
        since=data.draw(times),
        until=data.draw(times),
        verdict=of(list(Verdict)),
        reason=of(list(Reason)),
        camera=of(["left", "right", "nosuch"]),
        region=of(["", "top"]),
        label=of(["functional", "=1+1", ""]),
        bundle=of(titles),
        uuid=of([rows[5].row.uuid, rows[6].row.uuid, "x"]) if data.draw(st.booleans()) else (),
        run=of([rows[0].row.run, "x"]),
    )
    wanted = [one for one in rows if query.matches(one.row)]
    by_hand = [one for one in rows if by_hand_matches(query, one)]
    assert wanted == by_hand
    limit = data.draw(st.integers(1, 40))
    with reading(path) as record:
        found = [one for some in slices(record, query) for one in some]
        last = newest(record, query, limit)
    if query.since is None and query.until is None:
        assert found == wanted
        assert last == wanted[-limit:]
    else:
        in_time = sorted(wanted, key=lambda one: (one.row.time_utc, one.number))
        assert found == in_time
        assert last == sorted(in_time[-limit:], key=lambda one: one.number)


def by_hand_matches(query: Query, one: Recorded) -> bool:
    row = one.row
    title = f"tiny {row.bundle_version}"
    names = {"tiny", title, f"{title} abababababab", "ababab", "ab" * 32}
    return (
        (query.since or "") <= row.time_utc < (query.until or "9")
        and row.verdict in (query.verdict or [row.verdict])
        and row.reason in (query.reason or [row.reason])
        and row.camera in (query.camera or [row.camera])
        and row.region in (query.region or [row.region])
        and row.label in (query.label or [row.label])
        and row.uuid in (query.uuid or [row.uuid])
        and row.run in (query.run or [row.run])
        and (not query.bundle or bool(names & set(query.bundle)))
    )


def test_filters_come_from_the_command_line(
    path: Path, rows: Sequence[Recorded], capsys: pytest.CaptureFixture[str]
) -> None:
    found = numbers(
        capsys,
        path,
        *("--verdict", "reject", "--verdict", "unsure", "--camera", "left", "--region", ""),
        *("--since", "2026-01-01T00:10Z", "--until", "2026-01-01T02:20:00+02:00"),
        *(
            "--reason",
            "vote",
            "--label",
            "functional",
            "--bundle",
            "tiny",
            "--run",
            rows[0].row.run,
        ),
    )
    wanted = [
        one.number
        for one in rows
        if one.row.verdict is not Verdict.ACCEPT
        and (one.row.camera, one.row.region, one.row.label) == ("left", "", "functional")
        and one.row.reason is Reason.VOTE
        and "2026-01-01T00:10" <= one.row.time_utc < "2026-01-01T00:20"
    ]
    assert found == wanted != []
    assert numbers(capsys, path, "--uuid", rows[41].row.uuid) == [42]


@pytest.fixture
def in_kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "NPT-5:45")  # as in Nepal, 5 h 45 min before UTC
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_kathmandu")
@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-31T13:00Z", "2026-01-31T13:00:00"),
        ("2026-01-31T13:00:01.5+01:00", "2026-01-31T12:00:01.500000"),
        ("2026-01-31 13:00", "2026-01-31T07:15:00"),
        ("2026-01-31", "2026-01-30T18:15:00"),
    ],
)
def test_times_have_a_zone_or_the_machines(text: str, utc: str) -> None:
    assert moment(text) == dt.datetime.fromisoformat(utc).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1.5h", 5400), ("30m", 1800), ("3d", 259_200), ("1w", 604_800)],
)
def test_times_can_be_ages(text: str, seconds: float) -> None:
    found = moment(text)
    age = dt.datetime.now(dt.UTC) - found
    assert seconds <= age.total_seconds() < seconds + 5


@pytest.mark.parametrize(
    "text", ["soon", "2h30", "-2h", "2026-13-01", "999999999w", "0001-01-01", ""]
)
def test_what_is_no_time_is_refused_with_what_is(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "NPT-5:45")
        time.tzset()
        with pytest.raises(argparse.ArgumentTypeError, match=r"expected a time such as .* 2h, 3d"):
            moment(text)
    time.tzset()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--since", "soon", "or an age such as 90s, 30m, 2h, 3d or 1w, got 'soon'"),
        ("--verdict", "good", "choose from"),
        ("--reason", "none", "choose from"),
        ("--limit", "0", "expected a whole number from 1 up, got '0'"),
        ("--limit", "10001", "expected 10000 at most, got 10001; `linegate log export` writes"),
    ],
)
def test_wrong_options_are_refused_with_what_is_valid(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["log", "show", option, value])
    assert message in capsys.readouterr().err


class Following:
    """``linegate log show --follow --json`` in a process of its own."""

    def __init__(self, path: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "linegate_runtime", "log", "show"),
                *("--follow", "--json", str(path), *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.lines: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(msgspec.json.decode(line))

    def wait_for(self, count: int) -> list[int]:
        end = time.monotonic() + 15
        while len(self.lines) < count and time.monotonic() < end:
            time.sleep(0.02)
        return [one["number"] for one in self.lines]

    def close(self, number: signal.Signals) -> tuple[int, str]:
        os.kill(self.process.pid, number)
        try:
            code = self.process.wait(10)
        finally:
            self.process.kill()
            self._thread.join()
            assert self.process.stdout is not None
            assert self.process.stderr is not None
            errors = self.process.stderr.read()
            self.process.stdout.close()
            self.process.stderr.close()
        return code, errors


_FILLER = """
import pathlib, sys, time
from linegate_runtime.record import Entry, Record
from tests.runtime.log_support import varied
with Record(pathlib.Path(sys.argv[1])) as record:
    for part in range(6, 306):
        record.append([Entry(varied(part))])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_rows_that_another_process_records_are_followed_until_ctrl_c(
    tmp_path: Path, number: signal.Signals
) -> None:
    path = make_record(tmp_path / "record.sqlite", [varied(part) for part in range(1, 6)])
    following = Following(path, "--limit", "3")
    try:
        assert following.wait_for(3) == [3, 4, 5]
        filler = [sys.executable, "-c", _FILLER, str(path)]
        subprocess.run(filler, check=True, timeout=30, cwd=Path(__file__).parents[2])
        assert following.wait_for(303) == list(range(3, 306))
    finally:
        code, errors = following.close(number)
    assert (code, errors) == (0, "")


def test_only_what_is_asked_for_is_followed_and_into_a_record_that_was_begun_anew(
    tmp_path: Path,
) -> None:
    path = make_record(tmp_path / "record.sqlite", [varied(part) for part in range(1, 7)])
    following = Following(path, "--camera", "left")
    try:
        assert following.wait_for(2) == [3, 6]
        with Record(path) as record:
            record.append([Entry(varied(part)) for part in range(7, 13)])
            assert following.wait_for(4) == [3, 6, 9, 12]
            move_aside(path, OutputError("a test says so"))
        time.sleep(0.5)  # so that it is seen to be away
        make_record(path, [varied(part) for part in range(1, 5)])
        assert following.wait_for(5) == [3, 6, 9, 12, 3]
    finally:
        code, errors = following.close(signal.SIGINT)
    assert code == 0
    assert errors.count("waiting for the record") == 1
