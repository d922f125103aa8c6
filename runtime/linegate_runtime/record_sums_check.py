"""Comparing a record's sums with its rows."""

import collections
import sqlite3
from collections.abc import Iterable, Mapping

from linegate_runtime.record import Record
from linegate_runtime.record_query import BUNDLE_TITLE, SLICE, snapshot
from linegate_runtime.record_sums import STAGES, bucket_of, minute_of

_MINUTE_CHARACTERS = 16
"""Of a time such as 2026-01-02T03:04:05.678Z, up to its minute."""

_LAST_MINUTE = 2**62

_COUNTED = (
    f"SELECT substr(time_utc, 1, {_MINUTE_CHARACTERS}), camera, region, {BUNDLE_TITLE}, "  # noqa: S608
    "coalesce(label, ''), verdict, reason, count(*) FROM parts INDEXED BY parts_by_time "
    "WHERE time_utc >= ? AND time_utc < ? GROUP BY 1, 2, 3, 4, 5, 6, 7"
)

_TIMED = (
    f"SELECT time_utc, {', '.join(STAGES.values())} FROM parts INDEXED BY parts_by_time "  # noqa: S608
    "WHERE time_utc >= ? AND time_utc < ?"
)

_MINUTES = "SELECT * FROM minutes WHERE minute > ? AND minute <= ?"

_DURATIONS = "SELECT * FROM durations WHERE minute > ? AND minute <= ?"


def sums_problem(record: Record) -> str | None:
    """Compare ``minutes`` and ``durations`` with the rows; return the first difference.

    Some minutes are read at a time, in one transaction: while a line adds rows, sums and rows
    agree at any moment.

    Raises:
        OutputError: the record cannot be read.
    """
    text, minute = "", -_LAST_MINUTE
    while True:
        with snapshot(record) as database:
            query = (
                "SELECT time_utc FROM parts WHERE time_utc >= ? ORDER BY time_utc LIMIT 1 OFFSET ?"
            )
            found = database.execute(query, (text, SLICE)).fetchone()
            # In texts of times every character is below the tilde.
            end_text, end = "~", _LAST_MINUTE
            if found is not None:
                end_text = f"{found[0][:_MINUTE_CHARACTERS]}~"
                end = minute_of(found[0])
            problem = _compare(database, (text, end_text), (minute, end))
        if problem is not None or found is None:
            return problem
        text, minute = end_text, end


def _compare(
    database: sqlite3.Connection, times: tuple[str, str], minutes: tuple[int, int]
) -> str | None:
    """Compare the rows of a span of time with the sums of the same span."""
    rows = {
        (minute_of(minute), *key): parts
        for minute, *key, parts in database.execute(_COUNTED, times)
    }
    problem = _difference("minutes", rows, database.execute(_MINUTES, minutes))
    if problem is not None:
        return problem
    counter: collections.Counter[tuple[object, ...]] = collections.Counter()
    known: dict[str, int] = {}
    stages = tuple(STAGES)
    for time_utc, *durations in database.execute(_TIMED, times):
        text = time_utc[:_MINUTE_CHARACTERS]
        minute = known.get(text)
        if minute is None:
            minute = known[text] = minute_of(text)
        for stage, duration_ms in zip(stages, durations, strict=True):
            if duration_ms is not None:
                counter[minute, stage, bucket_of(duration_ms)] += 1
    return _difference("durations", counter, database.execute(_DURATIONS, minutes))


def _difference(
    table: str, rows: Mapping[tuple[object, ...], int], sums: Iterable[tuple[object, ...]]
) -> str | None:
    left = dict(rows)
    for *key, parts in sums:
        counted = left.pop(tuple(key), 0)
        if counted != parts:
            return _sentence(table, tuple(key), parts, counted)
    return next((_sentence(table, key, 0, counted) for key, counted in left.items()), None)


def _sentence(table: str, key: tuple[object, ...], parts: object, counted: int) -> str:
    minute, *rest = key
    named = ", ".join(str(one) for one in rest if one != "")
    return (
        f"the table {table} does not agree with the rows, one of them was edited: "
        f"it counts {parts} part(s) of {named} in the minute {minute} since 1970, there are "
        f"{counted}"
    )
