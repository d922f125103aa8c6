"""``linegate log stats``: the same as counting the rows by hand."""

import collections
import datetime as dt
import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate_bundle.manifest import Verdict
from linegate_runtime.cli import main
from linegate_runtime.intervals import wilson_interval
from linegate_runtime.part_row import PartRow
from linegate_runtime.record import Entry, Record
from linegate_runtime.record_stats import By, Stats, chart, statistics
from linegate_runtime.record_upkeep import enrol, remove_oldest
from tests.runtime.log_support import START, make_record, reading, tamper, time_after, varied

_ROWS = 400
_STEP_S = 311.25  # so that they take longer than a day


@pytest.fixture(scope="module")
def rows() -> list[PartRow]:
    return [varied(part, time_utc=time_after(part * _STEP_S)) for part in range(1, _ROWS + 1)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, rows: Sequence[PartRow]) -> Path:
    return make_record(tmp_path_factory.mktemp("record") / "record.sqlite", rows)


def when(row: PartRow) -> dt.datetime:
    return dt.datetime.fromisoformat(row.time_utc)


def after(minutes: float) -> dt.datetime:
    return START + dt.timedelta(minutes=minutes)


_NAMES: dict[By, Callable[[PartRow], str]] = {
    By.CAMERA: lambda row: row.camera,
    By.REGION: lambda row: f"{row.camera}/{row.region}" if row.region else row.camera,
    By.BUNDLE: lambda row: f"tiny {row.bundle_version} abababababab",
    By.LABEL: lambda row: row.label or "",
    By.REASON: lambda row: row.reason.value,
    By.HOUR: lambda row: f"{row.time_utc[:13]}:00Z",
    By.DAY: lambda row: row.time_utc[:10],
}


def counted(rows: Sequence[PartRow]) -> dict[Verdict, int]:
    return {one: sum(row.verdict is one for row in rows) for one in Verdict}


@settings(max_examples=60, deadline=None)
@given(
    since=st.none() | st.integers(-10, 2100),
    until=st.none() | st.integers(-10, 2100),
    by=st.none() | st.sampled_from(By),
)
def test_statistics_are_those_of_the_rows(
    path: Path, rows: Sequence[PartRow], since: int | None, until: int | None, by: By | None
) -> None:
    end = math.floor(_ROWS * _STEP_S / 60) + 1 if until is None else until
    begin = end - 1440 if since is None else since
    inside = [row for row in rows if after(begin) <= when(row) < after(end)]
    with reading(path) as record:
        stats = statistics(
            record,
            None if since is None else after(since),
            None if until is None else after(until),
            by,
        )
    assert {one: rate.parts for one, rate in stats.total.verdicts.items()} == counted(inside)
    assert stats.total.parts == len(inside)
    assert stats.minutes == max(0, end - begin)
    assert stats.busy_minutes == len({row.time_utc[:16] for row in inside})
    groups = collections.defaultdict(list)
    for row in inside:
        if by is not None:
            groups[_NAMES[by](row)].append(row)
    assert {group.name: group.parts for group in stats.groups} == {
        name: len(some) for name, some in groups.items()
    }
    for group in stats.groups:
        for verdict, parts in counted(groups[group.name]).items():
            rate = group.verdicts[verdict]
            assert (rate.parts, rate.share) == (parts, parts / group.parts)
            assert rate.interval == wilson_interval(parts, group.parts)
    check_durations(stats, inside)


def check_durations(stats: Stats, rows: Sequence[PartRow]) -> None:
    for stage, field in (("age", "frame_age_ms"), ("wait", "wait_ms"), ("model", "model_ms")):
        exact = sorted(
            max(0.01, getattr(row, field)) for row in rows if getattr(row, field) is not None
        )
        if not exact:
            assert stage not in stats.durations
            continue
        found = stats.durations[stage]
        assert found.parts == len(exact)
        for share, value in ((0.5, found.p50), (0.9, found.p90), (0.99, found.p99)):
            true = exact[math.ceil(share * len(exact)) - 1]
            assert true <= value * (1 + 1e-9)
            assert value < true * 2**0.25 * (1 + 1e-9)  # a class is 19 % wide
        assert exact[-1] <= found.longest * (1 + 1e-9) < exact[-1] * 1.1893


def test_without_a_span_it_is_the_day_up_to_the_newest_row(
    path: Path, rows: Sequence[PartRow], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["log", "stats", "--json", str(path)]) == 0
    document = msgspec.json.decode(capsys.readouterr().out)
    assert document["newest"] == {"number": _ROWS, "time_utc": rows[-1].time_utc}
    assert document["first"] == {"number": 1, "time_utc": rows[0].time_utc}
    assert document["until"] == f"{when(rows[-1]) + dt.timedelta(minutes=1):%Y-%m-%dT%H:%MZ}"
    assert document["minutes"] == 1440
    assert document["rows"] == _ROWS
    assert document["groups"] == []
    assert document["size_bytes"] > 100_000


def test_people_get_tables(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Record(path) as record:
        enrol(record, ["mqtt"])
    arguments = ["log", "stats", str(path), "--by", "label", "--since", "2026-01-01T00:00Z"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert f"{_ROWS} rows, " in text
    assert "2026-01-01T00:00Z to 2026-01-02T10:36Z" in text
    assert "400 parts, 0.2 a minute; 1.0 in the 400 minutes that have parts" in text
    for word in ("accept", "95 % interval", "functional", "=1+1", "(none)", "classes of 19 %"):
        assert word in text
    assert text.splitlines()[-1].split() == ["mqtt", "0", "0"]


@settings(max_examples=40, deadline=None)
@given(since=st.integers(-10, 2100), length=st.integers(0, 2100), minutes=st.integers(1, 200))
def test_a_chart_shows_each_part_once(
    path: Path, rows: Sequence[PartRow], since: int, length: int, minutes: int
) -> None:
    length = min(length, minutes * 1999)
    epoch = int(START.timestamp() / 60)
    begin = (epoch + since) // minutes * minutes - epoch
    wanted = {
        (epoch + minute) * 60: dict.fromkeys(Verdict, 0)
        for minute in range(begin, since + length, minutes)
    }
    for row in rows:
        if after(begin) <= when(row) < after(since + length):
            bucket_s = int(when(row).timestamp() // (minutes * 60) * minutes * 60)
            wanted[bucket_s][row.verdict] += 1
    with reading(path) as record:
        found = chart(record, after(since), after(since + length), minutes)
    assert {bucket.begin_s: bucket.verdicts for bucket in found} == wanted
    assert [bucket.begin_s for bucket in found] == sorted(wanted)


def test_a_chart_of_too_many_buckets_is_refused(path: Path) -> None:
    with reading(path) as record, pytest.raises(ValueError, match="2000 buckets at most, got 2001"):
        chart(record, after(0), after(2001), 1)


def test_rows_that_were_removed_are_counted_no_more_and_outputs_tell_what_they_missed(
    tmp_path: Path, rows: Sequence[PartRow]
) -> None:
    path = tmp_path / "record.sqlite"
    with Record(path) as record:
        enrol(record, ["mqtt", "slow"])
        record.append([Entry(row) for row in rows[:100]], {"mqtt": 90})
        remove_oldest(record, 30)
    with reading(path) as record:
        stats = statistics(record, START)
    assert stats.total.parts == stats.rows == 70
    assert stats.first is not None
    assert stats.first.number == 31
    assert {name: (one.waiting, one.lost) for name, one in stats.outputs.items()} == {
        "mqtt": (10, 0),
        "slow": (70, 30),
    }


def test_a_clock_that_was_once_wrong_does_not_move_the_default_span(
    tmp_path: Path, rows: Sequence[PartRow]
) -> None:
    wrong = msgspec.structs.replace(rows[0], time_utc="2038-01-19T03:14:07.000Z")
    path = make_record(tmp_path / "record.sqlite", [wrong, *rows[1:10]])
    with reading(path) as record:
        stats = statistics(record)
    assert stats.total.parts == 9
    assert stats.until == f"{when(rows[9]) + dt.timedelta(minutes=1):%Y-%m-%dT%H:%MZ}"


def test_a_sum_that_was_spoilt_is_said_to_be(
    tmp_path: Path, rows: Sequence[PartRow], capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_record(tmp_path / "record.sqlite", rows[:10])
    tamper(path, "UPDATE minutes SET parts = -1 WHERE verdict = 'accept'")
    assert main(["log", "stats", str(path)]) == 7
    assert "expected successes from 0 to" in capsys.readouterr().err


def test_statistics_agree_with_themselves_while_a_line_adds_rows(tmp_path: Path) -> None:
    path = make_record(tmp_path / "record.sqlite", [varied(1)])
    stop = threading.Event()

    def add() -> None:
        with Record(path) as record:
            for part in range(2, 3000):
                record.append([Entry(varied(part))])
                if stop.wait(0.001):
                    return

    line = threading.Thread(target=add)
    line.start()
    try:
        seen = []
        for _ in range(30):
            with reading(path) as record:
                stats = statistics(record, START, START + dt.timedelta(days=2))
            assert stats.newest is not None
            assert stats.rows == stats.total.parts == stats.newest.number
            seen.append(stats.rows)
    finally:
        stop.set()
        line.join()
    assert seen[-1] > seen[0]


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_those_of_the_literature(
    successes: int, trials: int, low: float, high: float
) -> None:
    interval = wilson_interval(successes, trials)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)
    mirrored = wilson_interval(trials - successes, trials)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - interval.high, 1 - interval.low))


def test_intervals_at_the_ends() -> None:
    assert (wilson_interval(0, 0).low, wilson_interval(0, 0).high) == (0.0, 1.0)
    assert wilson_interval(0, 5).low == 0.0
    assert wilson_interval(5, 5).high == 1.0
    with pytest.raises(ValueError, match="expected successes from 0 to 3, got 4"):
        wilson_interval(4, 3)
