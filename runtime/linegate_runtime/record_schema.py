"""The tables of a record, and how rows are stored and chained.

Every row holds the SHA-256 of the row before it and of its own values, so that a row that was
changed, taken out or put in breaks the chain. The table ``chain`` says where it begins, for the
oldest rows are removed in time, and where it ends.
"""

import hashlib
import json

import msgspec

from linegate_runtime.part_row import PartRow

SCHEMA_VERSION = 4
"""``PRAGMA user_version`` of the files that this release writes and reads."""

APPLICATION_ID = 0x4C474154
"""``PRAGMA application_id`` that marks a file as a record of linegate ("LGAT")."""

FIRST_HASH = bytes(32)
"""What the first row of a record is linked to."""

COLUMNS = PartRow.__struct_fields__

Value = str | int | float | None

_ENCODER = json.JSONEncoder(separators=(",", ":"))

_TYPES = {
    "part": "INTEGER NOT NULL",
    "clock_synced": "INTEGER",
    "monotonic_ns": "INTEGER NOT NULL",
    "frame_number": "INTEGER",
    "frame_age_ms": "REAL",
    "wait_ms": "REAL",
    "model_ms": "REAL",
    "label": "TEXT",
    "defect_probability": "REAL",
    "frames_voted": "INTEGER NOT NULL",
    "picture": "TEXT",
}
"""All others are ``TEXT NOT NULL``."""

_REALS = tuple(name for name, type_ in _TYPES.items() if type_ == "REAL")

_PARTS = f"""
CREATE TABLE parts (
    number INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    {", ".join(f"{name} {_TYPES.get(name, 'TEXT NOT NULL')}" for name in COLUMNS)},
    UNIQUE (uuid),
    UNIQUE (run, camera, region, part)
) STRICT
"""

TABLES = (
    _PARTS,
    "CREATE INDEX parts_by_time ON parts (time_utc)",
    """
    CREATE TABLE chain (
        record TEXT NOT NULL,
        before_number INTEGER NOT NULL,
        before_hash BLOB NOT NULL,
        last_number INTEGER NOT NULL,
        last_hash BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE outbox (
        sink TEXT PRIMARY KEY,
        delivered INTEGER NOT NULL,
        lost INTEGER NOT NULL DEFAULT 0
    ) STRICT
    """,
    """
    CREATE TABLE class_maps (
        uuid TEXT PRIMARY KEY REFERENCES parts (uuid),
        height INTEGER NOT NULL,
        width INTEGER NOT NULL,
        logits INTEGER NOT NULL,
        float32 BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE minutes (
        minute INTEGER NOT NULL,
        camera TEXT NOT NULL,
        region TEXT NOT NULL,
        bundle TEXT NOT NULL,
        label TEXT NOT NULL,
        verdict TEXT NOT NULL,
        reason TEXT NOT NULL,
        parts INTEGER NOT NULL,
        PRIMARY KEY (minute, camera, region, bundle, label, verdict, reason)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE durations (
        minute INTEGER NOT NULL,
        stage TEXT NOT NULL,
        bucket INTEGER NOT NULL,
        parts INTEGER NOT NULL,
        PRIMARY KEY (minute, stage, bucket)
    ) STRICT, WITHOUT ROWID
    """,
)
"""``chain`` has one row: the record's own name, the last row that was removed, and the newest.
``outbox`` has one a sink: what it has got, and how many rows were removed before it got them.
``minutes`` and ``durations`` are sums over ``parts``, kept in the same transactions."""


def to_values(row: PartRow) -> tuple[Value, ...]:
    """Return a row as it is stored, in the order of :data:`COLUMNS`."""
    values = msgspec.structs.asdict(row)
    values.update(verdict=row.verdict.value, reason=row.reason.value, policy=row.policy.value)
    values["probabilities"] = msgspec.json.encode(row.probabilities).decode()
    if row.clock_synced is not None:
        values["clock_synced"] = int(row.clock_synced)
    for name in _REALS:
        values[name] = _stored_real(values[name])
    return tuple(values.values())


def _stored_real(value: float | None) -> float | None:
    """Return a number as SQLite gives it back, else its row would not have the hash it was given.

    It stores integers as reals, has no negative zero, and NULL instead of what is no number.
    """
    return None if value is None or value != value else float(value) + 0.0  # noqa: PLR0124


def from_values(values: tuple[object, ...]) -> PartRow:
    """Return a row that was stored.

    Raises:
        msgspec.MsgspecError: a value cannot be.
    """
    document = dict(zip(COLUMNS, values, strict=True))
    document["probabilities"] = msgspec.json.decode(str(document["probabilities"]))
    if document["clock_synced"] is not None:
        document["clock_synced"] = bool(document["clock_synced"])
    return msgspec.convert(document, PartRow)


def link(before: bytes, number: int, values: tuple[object, ...]) -> bytes:
    """Return the hash of a row: SHA-256 over a JSON array in ASCII.

    It holds the hash before in hexadecimal, the number and the stored values, with ``,`` and
    no space between; numbers as Python writes them. So another program can check it.
    """
    text = _ENCODER.encode([before.hex(), number, *values])
    return hashlib.sha256(text.encode()).digest()
