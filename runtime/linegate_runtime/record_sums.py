"""Sums over the rows of a record, by minute, so that a day of millions of parts is a short read.

They are kept in the transactions that add or remove rows and so always agree with them.
"""

import calendar
import collections
import math
import sqlite3
import time
from collections.abc import Iterable

from linegate_runtime.part_row import PartRow

BUCKETS_PER_OCTAVE = 4
"""Durations are counted in classes that are a quarter of an octave wide: within 19 %."""

_SHORTEST_MS = 0.01

STAGES = {"age": "frame_age_ms", "wait": "wait_ms", "model": "model_ms"}
"""Stages of a part whose durations are counted, with the field of its row."""


def minute_of(time_utc: str) -> int:
    """Return the minute since 1970 of a row's wall clock."""
    return calendar.timegm(time.strptime(time_utc[:16], "%Y-%m-%dT%H:%M")) // 60


def bucket_of(duration_ms: float) -> int:
    """Return the class of a duration."""
    return math.ceil(BUCKETS_PER_OCTAVE * math.log2(max(duration_ms, _SHORTEST_MS)))


def bucket_end_ms(bucket: int) -> float:
    """Return the longest duration in a class."""
    return float(2.0 ** (bucket / BUCKETS_PER_OCTAVE))


def bundle_title(row: PartRow) -> str:
    """Return what names a row's bundle in sums: name, version and the hash's beginning."""
    return f"{row.bundle_name} {row.bundle_version} {row.bundle_sha256[:12]}"


def add_sums(database: sqlite3.Connection, rows: Iterable[PartRow]) -> None:
    """Count rows that are being added."""
    _change(database, rows, 1)


def subtract_sums(database: sqlite3.Connection, rows: Iterable[PartRow]) -> None:
    """Count rows that are being removed."""
    for minute in _change(database, rows, -1):
        database.execute("DELETE FROM minutes WHERE minute = ? AND parts <= 0", (minute,))
        database.execute("DELETE FROM durations WHERE minute = ? AND parts <= 0", (minute,))


def _change(database: sqlite3.Connection, rows: Iterable[PartRow], sign: int) -> set[int]:
    """Count rows and return their minutes."""
    minutes: collections.Counter[tuple[int, str, str, str, str, str, str]] = collections.Counter()
    durations: collections.Counter[tuple[int, str, int]] = collections.Counter()
    known: dict[str, int] = {}
    for row in rows:
        text = row.time_utc[:16]
        minute = known.get(text)
        if minute is None:
            minute = known[text] = minute_of(text)
        key = (minute, row.camera, row.region, bundle_title(row), row.label or "")
        minutes[*key, row.verdict.value, row.reason.value] += sign
        for stage, field in STAGES.items():
            duration_ms = getattr(row, field)
            if duration_ms is not None:
                durations[minute, stage, bucket_of(duration_ms)] += sign
    database.executemany(
        "INSERT INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET parts = parts + excluded.parts",
        [(*key, parts) for key, parts in minutes.items()],
    )
    database.executemany(
        "INSERT INTO durations VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET parts = parts + excluded.parts",
        [(*key, parts) for key, parts in durations.items()],
    )
    return set(known.values())
