"""Records and calls of ``linegate log``, for its tests."""

import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import PartRow
from linegate_runtime.reason import Reason
from linegate_runtime.record import Access, Entry, Record
from tests.runtime.sink_support import recorded

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def varied(part: int, **changes: Any) -> PartRow:
    """Return a part's row; cameras, labels, verdicts and times differ from part to part."""
    is_seen = part % 11 != 0
    fields: dict[str, Any] = {
        "time_utc": time_after(part * 17.25),
        "camera": ("left", "right", "http://camera/3")[part % 3],
        "region": ("", "top")[part % 2],
        "label": ("functional", "bright", "=1+1")[part % 3] if is_seen else None,
        "verdict": list(Verdict)[part % 7 % 3],
        "reason": list(Reason)[part % 5],
        "clock_synced": (True, False, None)[part % 3],
        "frame_age_ms": 7.0 + part % 13 if is_seen else None,
        "wait_ms": 0.0 if part % 4 else 1.5,
        "model_ms": part / 3 if is_seen else None,
        "defect_probability": part % 10 / 10 if is_seen else None,
        "probabilities": {"functional": 1.0, "bright": 1e-9} if is_seen else {},
        "bundle_version": f"1.{part // 40}.0",
    }
    return recorded(part, **(fields | changes)).row


def time_after(seconds: float) -> str:
    """Return a row's time so long after the first day's begin."""
    when = START + dt.timedelta(seconds=seconds)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make_record(path: Path, rows: Iterable[PartRow]) -> Path:
    """Make a record of rows, or add them to it."""
    with Record(path) as record:
        record.append([Entry(row) for row in rows])
    return path


@contextmanager
def reading(path: Path) -> Iterator[Record]:
    """Open a record as ``linegate log`` does."""
    with Record(path, Access.READ) as record:
        yield record


def tamper(path: Path, *statements: tuple[str, Sequence[object]] | str) -> None:
    """Change a record behind linegate's back."""
    database = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in statements:
            text, values = (statement, ()) if isinstance(statement, str) else statement
            database.execute(text, values)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.close()


def objects(text: str) -> list[dict[str, Any]]:
    """Return JSON lines."""
    return [msgspec.json.decode(line) for line in text.splitlines()]
