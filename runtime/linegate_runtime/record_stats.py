"""Statistics of a record from its sums: fast however many rows there are.

Sums are kept by the minute of the wall clock in UTC, so a span is of whole minutes.
"""

import datetime as dt
import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from linegate_bundle.manifest import Interval, Verdict
from linegate_runtime.intervals import wilson_interval
from linegate_runtime.record import Record
from linegate_runtime.record_check import Place
from linegate_runtime.record_query import record_values, snapshot
from linegate_runtime.record_sums import STAGES, bucket_end_ms, minute_of
from linegate_runtime.record_upkeep import lost, waiting

_DAY_MINUTES = 24 * 60


class By(enum.StrEnum):
    """What parts are grouped by; ``hour`` and ``day`` are those of UTC."""

    CAMERA = "camera"
    REGION = "region"
    BUNDLE = "bundle"
    LABEL = "label"
    REASON = "reason"
    HOUR = "hour"
    DAY = "day"


_KEYS = {
    By.CAMERA: "camera",
    By.REGION: "CASE region WHEN '' THEN camera ELSE camera || '/' || region END",
    By.BUNDLE: "bundle",
    By.LABEL: "label",
    By.REASON: "reason",
    By.HOUR: "minute / 60",
    By.DAY: f"minute / {_DAY_MINUTES}",
}


class _Span(NamedTuple):
    """Whole minutes since 1970, from the one, before the other."""

    since: int
    until: int


_BY_VERDICT = ", ".join(
    f"sum(parts) FILTER (WHERE verdict = '{verdict.value}')" for verdict in Verdict
)

MOST_BUCKETS = 2_000
"""So many a chart has at most; a screen has not many more columns."""


class Rate(msgspec.Struct, frozen=True):
    """How many parts, which share that is, and its interval, see :func:`wilson_interval`."""

    parts: int
    share: float
    interval: Interval


class Group(msgspec.Struct, frozen=True):
    """Parts that have something in common.

    Attributes:
        name: what that is; empty for a label that parts without any frame have not.
        parts: how many.
        verdicts: how many of them got which verdict.
    """

    name: str
    parts: int
    verdicts: Mapping[Verdict, Rate]


class Durations(msgspec.Struct, frozen=True):
    """Durations of a stage, in milliseconds: each is the upper end of a class of 19 %.

    Attributes:
        parts: how many were counted.
        p50, p90, p99: so many of a hundred took so long at most.
        longest: of all.
    """

    parts: int
    p50: float
    p90: float
    p99: float
    longest: float


class OutputPlace(msgspec.Struct, frozen=True):
    """How many rows an output has not got yet, and will never get for they were removed."""

    waiting: int
    lost: int


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What came out in a span.

    Attributes:
        record: the record's own name, a UUID.
        rows: how many are on record in all.
        first, newest: of them; None in an empty record.
        size_bytes: of the file, as far as it is in use.
        since, until: the span in whole minutes, ISO 8601; None in an empty record.
        total: all parts of the span.
        minutes: how many minutes the span has.
        busy_minutes: how many of them have parts.
        groups: by what was asked for, in the order of their names.
        durations: by stage, see :data:`~linegate_runtime.record_sums.STAGES`.
        outputs: by name.
    """

    record: str
    rows: int
    first: Place | None
    newest: Place | None
    size_bytes: int
    since: str | None
    until: str | None
    total: Group
    minutes: int
    busy_minutes: int
    groups: tuple[Group, ...]
    durations: Mapping[str, Durations]
    outputs: Mapping[str, OutputPlace]


class Bucket(NamedTuple):
    """Some minutes of a chart: when they begin, in seconds since 1970, and parts by verdict."""

    begin_s: int
    verdicts: Mapping[Verdict, int]


def statistics(
    record: Record,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    by: By | None = None,
) -> Stats:
    """Return what came out in a span.

    Args:
        record: open.
        since: None begins 24 hours before the end.
        until: None ends with the minute of the newest row.
        by: what to group by; None makes no groups.

    Raises:
        OutputError: the record cannot be read, or a sum is none.
    """
    with snapshot(record):
        chain = record.refresh()
        first, newest = _place(record, chain.before_number + 1), _place(record, chain.last_number)
        span = _span(newest, since, until)
        return Stats(
            record=chain.record,
            rows=chain.last_number - chain.before_number,
            first=first,
            newest=newest,
            size_bytes=record.size_bytes,
            since=_text(span.since) if newest else None,
            until=_text(span.until) if newest else None,
            total=_total(record, span),
            minutes=span.until - span.since,
            busy_minutes=_busy_minutes(record, span),
            groups=() if by is None else tuple(_groups(record, span, by)),
            durations=_durations(record, span),
            outputs=_outputs(record),
        )


def chart(
    record: Record, since: dt.datetime, until: dt.datetime, minutes: int
) -> tuple[Bucket, ...]:
    """Return parts by verdict over time.

    Args:
        record: open.
        since: begins in the first bucket.
        until: lies in the last one, or is its end.
        minutes: how long a bucket is, from 1 up; they are counted from 1970 on, so that they stay
            the same ones while time goes on.

    Raises:
        OutputError: the record cannot be read.
        ValueError: these would be too many buckets to look at.
    """
    span = _Span(_begin(since) // minutes * minutes, _end(until))
    begins = range(span.since, span.until, minutes)
    if len(begins) > MOST_BUCKETS:
        raise ValueError(f"expected {MOST_BUCKETS} buckets at most, got {len(begins)}")
    query = f"SELECT {_BY_VERDICT} FROM minutes WHERE minute >= ? AND minute < ?"  # noqa: S608
    buckets = []
    with snapshot(record) as database:
        # One short search each is quicker than letting SQLite sort all minutes into groups.
        for begin in begins:
            counts = database.execute(query, (begin, min(begin + minutes, span.until))).fetchone()
            buckets.append(Bucket(begin * 60, _verdicts(counts)))
    return tuple(buckets)


def _place(record: Record, number: int) -> Place | None:
    found = record_values(record, "SELECT time_utc FROM parts WHERE number = ?", (number,))
    return Place(number, str(found[0])) if found else None


def _span(newest: Place | None, since: dt.datetime | None, until: dt.datetime | None) -> _Span:
    if until is not None:
        end = _end(until)
    else:
        end = 0 if newest is None else minute_of(newest.time_utc) + 1
    begin = end - _DAY_MINUTES if since is None else _begin(since)
    return _Span(begin, max(begin, end))


def _begin(when: dt.datetime) -> int:
    return math.floor(when.timestamp() / 60.0)


def _end(when: dt.datetime) -> int:
    return math.ceil(when.timestamp() / 60.0)


def _time(minute: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=minute)


def _text(minute: int) -> str:
    return f"{_time(minute):%Y-%m-%dT%H:%MZ}"


def _name(by: By, key: str | int) -> str:
    if by is By.HOUR:
        return _text(int(key) * 60)
    if by is By.DAY:
        return f"{_time(int(key) * _DAY_MINUTES):%Y-%m-%d}"
    return str(key)


def _groups(record: Record, span: _Span, by: By) -> list[Group]:
    query = (
        f"SELECT {_KEYS[by]}, {_BY_VERDICT} FROM minutes "  # noqa: S608 - values are bound
        "WHERE minute >= ? AND minute < ? GROUP BY 1 ORDER BY 1"
    )
    with record.reading("the sums cannot be read") as database:
        return [
            _group(_name(by, common), _verdicts(counts))
            for common, *counts in database.execute(query, span)
        ]


def _total(record: Record, span: _Span) -> Group:
    query = f"SELECT {_BY_VERDICT} FROM minutes WHERE minute >= ? AND minute < ?"  # noqa: S608
    with record.reading("the sums cannot be read") as database:
        return _group("", _verdicts(database.execute(query, span).fetchone()))


def _verdicts(counts: Iterable[int | None]) -> dict[Verdict, int]:
    """Return the columns of :data:`_BY_VERDICT`; a sum over nothing is NULL."""
    return {one: parts or 0 for one, parts in zip(Verdict, counts, strict=True)}


def _group(name: str, verdicts: Mapping[Verdict, int]) -> Group:
    parts = sum(verdicts.values())
    return Group(name, parts, {one: _rate(verdicts[one], parts) for one in Verdict})


def _rate(parts: int, among: int) -> Rate:
    return Rate(parts, parts / among if among else 0.0, wilson_interval(parts, among))


def _busy_minutes(record: Record, span: _Span) -> int:
    query = "SELECT count(DISTINCT minute) FROM minutes WHERE minute >= ? AND minute < ?"
    return int(record_values(record, query, span)[0])


def _durations(record: Record, span: _Span) -> dict[str, Durations]:
    query = (
        "SELECT stage, bucket, sum(parts) FROM durations WHERE minute >= ? AND minute < ? "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    )
    counts: dict[str, list[tuple[int, int]]] = {}
    with record.reading("the sums cannot be read") as database:
        for stage, bucket, parts in database.execute(query, span):
            counts.setdefault(stage, []).append((bucket, parts))
    return {stage: _quantiles(counts[stage]) for stage in STAGES if stage in counts}


def _quantiles(counts: Sequence[tuple[int, int]]) -> Durations:
    """Return the quantiles of durations by class, in rising order."""
    parts = sum(one for _, one in counts)
    return Durations(
        parts=parts,
        p50=_quantile(counts, 0.5 * parts),
        p90=_quantile(counts, 0.9 * parts),
        p99=_quantile(counts, 0.99 * parts),
        longest=bucket_end_ms(counts[-1][0]),
    )


def _quantile(counts: Iterable[tuple[int, int]], wanted: float) -> float:
    """Return the end of the class in which so many parts are reached."""
    reached = 0
    for bucket, parts in counts:
        reached += parts
        if reached >= wanted:
            return bucket_end_ms(bucket)
    raise ValueError(f"expected {wanted} parts or more, got {reached}")


def _outputs(record: Record) -> dict[str, OutputPlace]:
    gone = lost(record)
    return {
        name: OutputPlace(rows, gone.get(name, 0)) for name, rows in sorted(waiting(record).items())
    }
