"""Finding rows of a record by what they say, in short reads while a line adds to it."""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from linegate_bundle.errors import OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.feed import Feed
from linegate_runtime.part_row import PartRow, Recorded
from linegate_runtime.reason import Reason
from linegate_runtime.record import ROWS, Chain, Record
from linegate_runtime.record_sums import bundle_title

_LOG = logging.getLogger(__name__)

SLICE = 4096
"""So many rows are read at a time, some ten milliseconds: as long as somebody reads, SQLite
cannot empty its log."""

_POLL_S = 0.2
"""So often it is looked for new rows."""

_HASH_DIGITS = 6
"""So many digits of a bundle's hash name it at least; fewer are too easily a name's."""

BUNDLE_TITLE = "bundle_name || ' ' || bundle_version || ' ' || substr(bundle_sha256, 1, 12)"
"""In SQL what :func:`~linegate_runtime.record_sums.bundle_title` is."""

_BUNDLE = (
    f"? IN (bundle_name, bundle_name || ' ' || bundle_version, {BUNDLE_TITLE}, "
    f"substr(bundle_sha256, 1, max({_HASH_DIGITS}, length(?))))"
)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What rows must be; of several values one must fit, and none at all asks for nothing.

    Attributes:
        since, until: the wall clock at the verdict, as in ``PartRow.time_utc``; from the one,
            before the other; None leaves that side open.
        verdict, reason, camera, region, label, uuid, run: values of these fields.
        bundle: a bundle's name, name and version, or the beginning of its hash.
    """

    since: str | None = None
    until: str | None = None
    verdict: tuple[Verdict, ...] = ()
    reason: tuple[Reason, ...] = ()
    camera: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    uuid: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    bundle: tuple[str, ...] = ()

    def matches(self, row: PartRow) -> bool:
        """Say whether a row is asked for; the same as :attr:`condition` says in SQL."""
        return (
            (self.since is None or row.time_utc >= self.since)
            and (self.until is None or row.time_utc < self.until)
            and all(
                not getattr(self, name) or getattr(row, name) in getattr(self, name)
                for name in _FIELDS
            )
            and (not self.bundle or any(_is_bundle(row, text) for text in self.bundle))
        )

    @property
    def condition(self) -> "Condition":
        """The same for SQLite."""
        texts, values = ["true"], []
        if self.since is not None:
            texts.append("time_utc >= ?")
            values.append(self.since)
        if self.until is not None:
            texts.append("time_utc < ?")
            values.append(self.until)
        for name in _FIELDS:
            wanted = getattr(self, name)
            if wanted:
                # The plus keeps SQLite from its index of runs, by which it would read and sort all
                # rows of one; that of UUIDs is good.
                column = name if name == "uuid" else f"+{name}"
                texts.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values += [str(value) for value in wanted]
        if self.bundle:
            texts.append(f"({' OR '.join([_BUNDLE] * len(self.bundle))})")
            values += [text for text in self.bundle for _ in range(2)]
        return Condition(" AND ".join(texts), tuple(values))


_FIELDS = ("verdict", "reason", "camera", "region", "label", "uuid", "run")


class Condition(NamedTuple):
    """A condition in SQL.

    Attributes:
        text: with a question mark for each value.
        values: in their order.
    """

    text: str
    values: tuple[str, ...]


def _is_bundle(row: PartRow, text: str) -> bool:
    names = (row.bundle_name, f"{row.bundle_name} {row.bundle_version}", bundle_title(row))
    return text in names or row.bundle_sha256[: max(_HASH_DIGITS, len(text))] == text


@contextlib.contextmanager
def snapshot(record: Record) -> Iterator[sqlite3.Connection]:
    """Let all reads of the block see the record as it was at one moment; must be short.

    Raises:
        OutputError: the record cannot be read.
    """
    with record.reading("it cannot be read") as database:
        database.execute("BEGIN")
        try:
            yield database
        finally:
            # A file that is damaged may have ended it.
            if database.in_transaction:
                database.execute("ROLLBACK")


def slices(record: Record, query: Query) -> Iterator[list[Recorded]]:
    """Read the rows that are asked for, a slice of the record at a time; slices may be empty.

    They come in the record's order; those of a span in the order of their times, which is
    another one only where the clock was set back.

    Raises:
        OutputError: the record cannot be read.
    """
    yield from _slices(record, query, _OLDEST_FIRST)


def newest(record: Record, query: Query, limit: int) -> list[Recorded]:
    """Return the newest rows that are asked for, in the record's order.

    Args:
        record: open.
        query: what is asked for.
        limit: so many at most.

    Raises:
        OutputError: the record cannot be read.
    """
    found = [one for some in _slices(record, query, _NEWEST_FIRST, limit) for one in some]
    return sorted(found, key=lambda one: one.number)


class _Direction(NamedTuple):
    """How SQL says it: what comes after a place, what lies not beyond another, and the order."""

    after: str
    not_beyond: str
    order: str


_OLDEST_FIRST = _Direction(">", "<=", "")
_NEWEST_FIRST = _Direction("<", ">=", " DESC")


def _slices(
    record: Record, query: Query, direction: _Direction, limit: int | None = None
) -> Iterator[list[Recorded]]:
    has_span = query.since is not None or query.until is not None
    columns = ("time_utc", "number") if has_span else ("number",)
    key, marks = ", ".join(columns), ", ".join("?" * len(columns))
    ordered = ", ".join(column + direction.order for column in columns)
    span = Query(since=query.since, until=query.until).condition
    wanted, values = query.condition
    left = -1 if limit is None else limit
    after = ""
    place: tuple[str | int, ...] = ()
    while True:
        found = record_values(
            record,
            f"SELECT {key} FROM parts WHERE {after}{span.text} "  # noqa: S608 - values are bound
            f"ORDER BY {ordered} LIMIT 1 OFFSET {SLICE - 1}",
            (*place, *span.values),
        )
        end = f"({key}) {direction.not_beyond} ({marks}) AND " if found else ""
        rows = list(
            record.select(
                f"{ROWS} WHERE {after}{end}{wanted} ORDER BY {ordered} LIMIT {left}",
                (*place, *found, *values),
            )
        )
        yield rows
        if limit is not None:
            left -= len(rows)
        if not found or left == 0:
            return
        after, place = f"({key}) {direction.after} ({marks}) AND ", found


def record_values(
    record: Record, query: str, values: Sequence[str | int] = ()
) -> tuple[str | int, ...]:
    """Return the first row of a query's result; nothing if it has none.

    Raises:
        OutputError: the record cannot be read.
    """
    with record.reading("it cannot be read") as database:
        cursor = database.execute(query, values)
        found: tuple[str | int, ...] = cursor.fetchone() or ()
        cursor.close()
        return found


def follow(
    path: Path, query: Query, chain: Chain, is_stopped: Callable[[], bool]
) -> Iterator[list[Recorded]]:
    """Give the rows that are asked for as they are recorded, until it is to stop.

    A record that is moved aside and begun anew is followed into the new one.

    Args:
        path: the record.
        query: what is asked for.
        chain: of the record when it was read before; what has come since then is given.
        is_stopped: asked a few times a second.
    """
    feed = Feed(path, chain.record, chain.last_number)
    complaint = ""
    try:
        while not is_stopped():
            try:
                rows = feed.read(SLICE)
            except OutputError as error:
                rows = []
                if str(error) != complaint:
                    _LOG.warning("%s; waiting for the record", error)
                complaint = str(error)
            else:
                complaint = ""
            if rows:
                feed.advance(rows[-1].number)
                yield [one for one in rows if query.matches(one.row)]
            else:
                time.sleep(_POLL_S)
    finally:
        feed.close()
