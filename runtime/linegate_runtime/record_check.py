"""Checking a record: does each row still follow from the one before it, and are none missing.

The hashes of a row and of all before it are computed anew from what is stored. That shows what
was changed by somebody who did not compute them anew as well. Who did, is found by a row's number
and hash that were noted elsewhere: they are a promise about that row and all before it.
"""

import re
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from linegate_bundle.errors import OutputError
from linegate_runtime.record import ROWS, Chain, DamagedRecordError, Record
from linegate_runtime.record_query import SLICE, record_values, snapshot
from linegate_runtime.record_schema import COLUMNS, FIRST_HASH, link
from linegate_runtime.record_sums_check import sums_problem

_NOTED = re.compile(r"(\d{1,18}):([0-9a-fA-F]{64})")
_TIME = COLUMNS.index("time_utc")


class Noted(msgspec.Struct, frozen=True):
    """A row that was noted elsewhere.

    Attributes:
        number: of the row; 0 is the beginning of every record.
        hash: 64 hexadecimal digits.
    """

    number: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> "Noted":
        """Read ``NUMBER:HASH``.

        Raises:
            ValueError: it is something else.
        """
        found = _NOTED.fullmatch(text.strip())
        if found is None:
            raise ValueError(
                "expected NUMBER:HASH with 64 hexadecimal digits, as `linegate log verify` "
                f"prints it, got {text!r}"
            )
        return cls(int(found[1]), found[2].lower())

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


class Problem(msgspec.Struct, frozen=True):
    """Something that is wrong with a record.

    Attributes:
        number: of the first row that it is about; None if it is about none.
        what: as a sentence.
    """

    number: int | None
    what: str


class Place(msgspec.Struct, frozen=True):
    """A row's number, and its wall clock as in ``PartRow.time_utc``."""

    number: int
    time_utc: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found.

    Attributes:
        record: the record's own name, a UUID.
        rows: how many follow from each other, from the oldest on.
        removed: number of the newest row that was removed because of its age; 0 for none.
        first, last: of these rows.
        head: the last of them, to be noted elsewhere.
        are_sums_checked: whether the sums were compared with the rows too.
        problems: none if all is well.
    """

    record: str
    rows: int
    removed: int
    first: Place | None
    last: Place | None
    head: Noted
    are_sums_checked: bool
    problems: tuple[Problem, ...]


class _Stored(NamedTuple):
    """A row as it is stored."""

    number: int
    hash: bytes
    values: tuple[object, ...]

    def follows(self, before: bytes) -> bool:
        """Say whether the hash is that of the values after another row's."""
        return self.hash == self.link(before)

    def link(self, before: bytes) -> bytes | None:
        """Return what the hash should be; None if the values can have none."""
        try:
            return link(before, self.number, self.values)
        except TypeError:  # bytes, where the table's own types were taken away
            return None


def check(record: Record, noted: Sequence[Noted] = (), *, with_sums: bool = True) -> Checked:
    """Check a record from its oldest row to its newest, while a line may add to it.

    Args:
        record: open.
        noted: rows that must be there.
        with_sums: compare ``minutes`` and ``durations`` with the rows; takes a third as long
            again. Left out where rows are wrong.

    Raises:
        OutputError: the record cannot be read.
        DamagedRecordError: the file is damaged.
    """
    walk = _Walk(record)
    problem = walk.run() or _outbox_problem(record)
    is_checked = with_sums and problem is None
    if is_checked:
        what = sums_problem(record)
        problem = None if what is None else Problem(None, what)
    problems = [] if problem is None else [problem]
    problems += [found for one in noted if (found := _noted_problem(record, one))]
    return Checked(
        record=record.chain.record,
        rows=walk.rows,
        removed=walk.removed,
        first=walk.first,
        last=walk.last,
        head=Noted(walk.place, walk.hash.hex()),
        are_sums_checked=is_checked,
        problems=tuple(problems),
    )


class _Walk:
    """Goes along the chain.

    Attributes:
        rows: how many have followed so far.
        removed: number of the row before the first one.
        first, last: of them.
        place, hash: of the last row that follows.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self.rows = 0
        self.removed = 0
        self.first: Place | None = None
        self.last: Place | None = None
        self.place = 0
        self.hash = FIRST_HASH

    def run(self) -> Problem | None:
        """Go to the end, or to the first row that does not follow."""
        chain = self._record.refresh()
        self._begin(chain)
        problem = self._begin_problem(chain)
        while problem is None:
            chain, rows = self._slice()
            if chain.before_number > self.place:
                self._begin(chain)  # these were removed meanwhile
                continue
            problem = self._take(rows, chain.last_number)
            if len(rows) < SLICE or rows[-1].number > chain.last_number:
                return problem or self._end_problem(chain, rows)
        return problem

    def _begin(self, chain: Chain) -> None:
        self.place, self.hash = chain.before_number, chain.before_hash
        self.rows, self.removed = 0, chain.before_number
        self.first = self.last = None

    def _slice(self) -> tuple[Chain, list[_Stored]]:
        """Return the next rows, and the chain at the same moment."""
        try:
            return self._read()
        except DamagedRecordError:
            raise
        except OutputError as error:
            if not isinstance(error.__cause__, sqlite3.OperationalError):
                raise
        # A text that is no UTF-8 was put in; read so, it shows as a row that was edited.
        with self._record.reading("it cannot be read") as database:
            database.text_factory = lambda raw: raw.decode(errors="surrogateescape")
        return self._read()

    def _read(self) -> tuple[Chain, list[_Stored]]:
        with snapshot(self._record) as database:
            return self._record.refresh(), _stored(database, self.place, SLICE)

    def _take(self, rows: Sequence[_Stored], last: int) -> Problem | None:
        for row in rows:
            if row.number > last:
                return None  # the chain ends before it
            if row.number != self.place + 1:
                return _missing(self.place + 1, row.number - 1)
            if not row.follows(self.hash):
                return self._broken(row)
            self.place, self.hash = row.number, row.hash
            self.rows += 1
            self.last = Place(row.number, str(row.values[_TIME]))
            self.first = self.first or self.last
        return None

    def _broken(self, row: _Stored) -> Problem:
        """Say what was done to a row, as far as the next one tells."""
        computed = row.link(self.hash)
        with snapshot(self._record) as database:
            chain = self._record.refresh()
            after = _stored(database, row.number, 1)
        if after:
            is_kept = after[0].follows(row.hash)
            is_due = computed is not None and after[0].follows(computed)
        else:
            is_kept, is_due = chain.last_hash == row.hash, chain.last_hash == computed
        if is_due:
            what = "its hash was changed; its values are as they were recorded"
        elif is_kept and self.rows == 0 and self.removed > 0:
            what = "the row was edited, or the beginning of the chain in the table chain was"
        elif is_kept:
            what = "the row was edited"
        else:
            what = (
                f"it does not follow from row {self.place}: put in, exchanged, moved, or edited "
                "with its hash"
            )
        return Problem(row.number, f"row {row.number}: {what}")

    def _begin_problem(self, chain: Chain) -> Problem | None:
        if chain.before_number < 0 or (
            chain.before_number == 0 and chain.before_hash != FIRST_HASH
        ):
            return Problem(None, "the table chain was edited: it begins with no row's hash")
        query = "SELECT number FROM parts WHERE number <= ? ORDER BY number LIMIT 1"
        with snapshot(self._record):
            before = self._record.refresh().before_number
            found = record_values(self._record, query, (before,))
        if not found:
            return None
        number = int(found[0])
        return Problem(
            number,
            f"row {number} lies before the beginning of the chain, row {before + 1}: it was put "
            "in, or the table chain was edited",
        )

    def _end_problem(self, chain: Chain, rows: Sequence[_Stored]) -> Problem | None:
        """Say what is wrong where the chain ends, or should.

        Args:
            chain: where it should.
            rows: the last ones there are.
        """
        if self.place < chain.last_number:
            return _missing(self.place + 1, chain.last_number, ", the newest")
        if rows and rows[-1].number > chain.last_number:
            number = next(row.number for row in rows if row.number > chain.last_number)
            return Problem(
                number,
                f"row {number} lies behind the end of the chain, row {chain.last_number}: it was "
                "put in, or the table chain was edited",
            )
        if self.hash != chain.last_hash:
            what = (
                f"the table chain was edited: it names another hash for the last row {self.place}"
            )
            return Problem(self.place, what)
        return None


def _stored(database: sqlite3.Connection, after: int, most: int) -> list[_Stored]:
    query = f"{ROWS} WHERE number > ? ORDER BY number LIMIT ?"
    return [
        _Stored(number, bytes(digest), tuple(values))
        for number, digest, *values in database.execute(query, (after, most))
    ]


def _missing(first: int, last: int, which: str = "") -> Problem:
    if first == last:
        return Problem(first, f"row {first} is missing{which}")
    return Problem(first, f"rows {first} to {last} are missing{which}")


def _outbox_problem(record: Record) -> Problem | None:
    """Find an output that has got more than there is: the chain was cut, its end written anew."""
    found = record_values(
        record,
        "SELECT sink, delivered, last_number FROM outbox, chain WHERE delivered > last_number",
    )
    if not found:
        return None
    sink, delivered, last = found
    what = f"the output {sink} has got rows up to {delivered}, but the newest is row {last}"
    return Problem(int(last) + 1, what)


def _noted_problem(record: Record, noted: Noted) -> Problem | None:
    """Say what is wrong with a row that was noted; nothing if it is there as it was."""
    with snapshot(record):
        chain = record.refresh()
        query = "SELECT lower(hex(hash)) FROM parts WHERE number = ?"
        found = record_values(record, query, (noted.number,))
    digest = found[0] if found else None
    if noted.number == 0:
        digest = FIRST_HASH.hex()
    elif noted.number == chain.before_number:
        digest = chain.before_hash.hex()
    if digest == noted.hash:
        return None
    if digest is not None:
        what = (
            "has another hash here: it or one before it was changed and hashes computed anew, or "
            "it was noted of another record"
        )
    elif noted.number < chain.before_number:
        what = (
            f"is not there: all up to row {chain.before_number} were removed because of their "
            "age or the file's size; expect a newer one"
        )
    else:
        what = f"is not there: the newest is row {chain.last_number}"
    return Problem(noted.number, f"row {noted.number}, noted elsewhere, {what}")
