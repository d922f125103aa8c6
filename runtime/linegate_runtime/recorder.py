"""Puts parts on record in a thread of its own, so that no disk stalls the inspection.

Parts that come while the disk is busy share the next commit. What cannot be recorded is tried
again until it can; nobody is told of it before, and what was accepted is rejected by then.
"""

import collections
import dataclasses
import datetime as dt
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from linegate_bundle.errors import OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.keeping import Keeping
from linegate_runtime.machine import clock_synced
from linegate_runtime.part_row import Recorded
from linegate_runtime.reason import Reason
from linegate_runtime.record import DamagedRecordError, Entry, Record
from linegate_runtime.record_rescue import move_aside
from linegate_runtime.record_upkeep import enrol, lost, remove_oldest

_LOG = logging.getLogger(__name__)

_RETRY_S = 0.2
"""So soon a disk that failed is tried again."""

_OVERDUE_S = 1.0
"""A disk that has not taken a part for so long after it should have, counts as failing."""

_NOTE_S = 1.0
"""Places of sinks are written with the next parts, and alone after so long without any."""

_MOST_WAITING = 10_000
"""Of more parts that cannot be recorded the oldest are given up; some minutes at 30 a second."""

_SLICE = 200
"""Old rows are removed so many at a time, a few milliseconds of work."""

_LOOK_S = 10.0
"""So often it is looked whether anything is too old."""

_REPEAT_S = 10.0
"""The same complaint is logged again after so long only."""


@dataclasses.dataclass(frozen=True)
class Commit:
    """Parts that are on disk now.

    Attributes:
        parts: in their order.
        monotonic_ns: ``time.monotonic_ns()`` when they were.
    """

    parts: Sequence[Recorded]
    monotonic_ns: int


class Recorder:
    """Takes parts from the inspection and puts them on record.

    Args:
        record: open for writing; closed with this.
        sinks: names of those whose places are kept.
        keeping: how rows are written and how long they are kept.
        on_commit: called in the recorder's thread with what is on disk; must return at once.
        alarm: what was found wrong with the record when it was opened.
    """

    def __init__(
        self,
        record: Record,
        sinks: Sequence[str] = (),
        keeping: Keeping | None = None,
        *,
        on_commit: Callable[[Commit], None],
        alarm: str | None = None,
    ) -> None:
        self._record = record
        self._is_open = True
        self._sinks = list(sinks)
        self._keeping = keeping or Keeping()
        self._on_commit = on_commit
        self._changed = threading.Condition()
        self._waiting: collections.deque[Entry] = collections.deque()
        self._taken: list[Entry] = []
        self._taken_at: float | None = None
        self._places: dict[str, int] = {}
        self._is_closing = False
        self._has_given_up = False
        self._failure: str | None = None
        self._complained = ("", float("-inf"))
        self._look_at = 0.0
        self.alarm = alarm
        self.places = enrol(record, self._sinks)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Take a part; returns at once."""
        with self._changed:
            self._waiting.append(entry)
            if len(self._waiting) > _MOST_WAITING:  # the disk hangs; the line is not ready
                self._waiting.popleft()
            if self._taken_at is None:
                self._taken_at = time.monotonic()
            self._changed.notify()

    def note_place(self, sink: str, record: str, number: int) -> None:
        """Take note of up to which row a sink has got them; returns at once.

        Args:
            sink: its name.
            record: the own name of the record that it read; another one's places mean nothing.
            number: of the row.
        """
        with self._changed:
            if record == self._record.chain.record:
                self._places[sink] = max(number, self._places.get(sink, 0))

    @property
    def path(self) -> Path:
        """The record's file."""
        return self._record.path

    @property
    def name(self) -> str:
        """The record's own name."""
        return self._record.chain.record

    @property
    def last_number(self) -> int:
        """Number of the newest row."""
        return self._record.chain.last_number

    @property
    def problem(self) -> str | None:
        """Why nothing can be recorded just now, as a sentence; None if it can."""
        since = self._taken_at
        limit_s = _OVERDUE_S + self._keeping.commit_within_s
        if self._failure is None and since is not None and time.monotonic() - since > limit_s:
            return f"{self._record.path}: the disk has not taken a part for over {limit_s:g} s"
        return self._failure

    @property
    def depth(self) -> int:
        """How many parts wait to be recorded."""
        return len(self._waiting) + len(self._taken)

    def flush(self, limit_s: float = 1.0) -> None:
        """Wait until all parts are on record, for so long at most."""
        end = time.monotonic() + limit_s
        with self._changed:
            self._changed.wait_for(lambda: not self.depth, max(0.0, end - time.monotonic()))

    def close(self, limit_s: float = 1.5) -> None:
        """Put what waits on record, and close it.

        Raises:
            OutputError: that could not be done in time.
        """
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(limit_s)
        if self._thread.is_alive() or self.depth:
            raise OutputError(
                f"{self._failure or self.problem or 'the disk is busy'}; {self.depth} part(s) "
                "could not be recorded"
            )

    def _run(self) -> None:
        try:
            while self._wait():
                self._step()
        except Exception:
            _LOG.exception("the recorder has ended; nothing is recorded any more")
            self._failure = "the recorder has ended by a bug in linegate; start the line anew"
            raise
        finally:
            self._record.close()

    def _wait(self) -> bool:
        """Wait until there is something to do; False if it is to end."""
        with self._changed:
            if self._taken:  # what could not be recorded
                self._changed.wait_for(lambda: self._is_closing, _RETRY_S)
            else:
                self._changed.wait_for(self._has_work, _NOTE_S)
                within_s = self._keeping.commit_within_s
                if within_s and self._waiting and not self._is_closing:
                    self._changed.wait_for(lambda: self._is_closing, within_s)
            self._taken += self._waiting
            self._waiting.clear()
            is_done = self._has_given_up or not (self._taken or self._places)
            return not (self._is_closing and is_done)

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._is_closing

    def _step(self) -> None:
        places: dict[str, int] = {}
        try:
            if not self._is_open:
                self._open_again()
            with self._changed:
                places, self._places = self._places, {}
            if self._taken or places or self._failure is not None:
                self._commit(places)
            self._keep_up()
        except OutputError as error:
            self._fail(error)
            with self._changed:
                self._places = {**places, **self._places}
                self._has_given_up = self._is_closing

    def _commit(self, places: dict[str, int]) -> None:
        try:
            recorded = self._record.append(self._taken, places)
        except OutputError as error:
            if not isinstance(error.__cause__, sqlite3.IntegrityError):
                raise
            recorded = self._append_singly(self._taken)
        now_ns = time.monotonic_ns()
        self._failure = None
        if recorded:
            self._on_commit(Commit(recorded, now_ns))
        with self._changed:
            self._taken = []
            self._taken_at = time.monotonic() if self._waiting else None
            self._changed.notify_all()

    def _append_singly(self, entries: Sequence[Entry]) -> list[Recorded]:
        """Record what can be: a part that has a row already must not keep others from theirs."""
        recorded: list[Recorded] = []
        for entry in entries:
            try:
                recorded += self._record.append([entry])
            except OutputError as error:
                if not isinstance(error.__cause__, sqlite3.IntegrityError):
                    raise
                _LOG.error("a part is left out: %s", error)
        return recorded

    def _fail(self, error: OutputError) -> None:
        """Note a failure; what was accepted and is not on record is not accepted."""
        last, logged_at = self._complained
        if str(error) != last or time.monotonic() - logged_at > _REPEAT_S:
            self._complained = (str(error), time.monotonic())
            _LOG.error("nothing is accepted: %s; trying again", error)
        self._failure = str(error)
        if len(self._taken) > _MOST_WAITING:
            _LOG.error("%d part(s) are given up", len(self._taken) - _MOST_WAITING)
        self._taken = [_overridden(entry) for entry in self._taken[-_MOST_WAITING:]]
        if getattr(error.__cause__, "sqlite_errorname", None) == "SQLITE_FULL":
            return
        if self._is_open:
            self._record.close()
            self._is_open = False
        if isinstance(error, DamagedRecordError):
            try:
                self.alarm = move_aside(self._record.path, error)
            except OutputError as failure:
                self._failure = str(failure)

    def _open_again(self) -> None:
        """Open the record anew: after a failed sync the system may take lost pages for clean."""
        opened = Record(self._record.path)
        with self._changed:
            if opened.chain.record != self._record.chain.record:
                self._places = {}
                # One that was damaged has told so.
                self.alarm = self.alarm or f"a new record was begun: {self._failure}"
            self._record, self._is_open = opened, True
        enrol(self._record, self._sinks)
        # A commit that failed may have reached the disk all the same.
        found = [self._record.find(entry.row.uuid) for entry in self._taken]
        there = [one for one in found if one is not None]
        self._taken = [entry for entry, one in zip(self._taken, found, strict=True) if one is None]
        if there:
            self._on_commit(Commit(there, time.monotonic_ns()))

    def _keep_up(self) -> None:
        """Remove what is old; that it cannot be is no reason to accept nothing."""
        try:
            self._remove_old()
        except DamagedRecordError:
            raise
        except OutputError as error:
            if self.alarm != str(error):
                self.alarm = str(error)
                _LOG.error("%s", error)

    def _remove_old(self) -> None:
        """Remove a few rows that are too many or too old, if there are such."""
        keeping = self._keeping
        most_bytes = keeping.most_bytes
        if most_bytes is not None and self._record.size_bytes > most_bytes:
            remove_oldest(self._record, _SLICE)
            self._tell_of_losses()
        # A clock that nobody sets may be wrong by years, and what was removed does not come back.
        is_due = keeping.keep_days is not None and time.monotonic() >= self._look_at
        if keeping.keep_days is not None and is_due and clock_synced() is not False:
            limit = dt.datetime.now(dt.UTC) - dt.timedelta(days=keeping.keep_days)
            before = limit.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            if remove_oldest(self._record, _SLICE, before) < _SLICE:
                self._look_at = time.monotonic() + _LOOK_S

    def _tell_of_losses(self) -> None:
        for sink, count in lost(self._record).items():
            text = (
                f"output {sink}: {count} part(s) were removed from the full record before it got "
                "them; give [record] more max_mb, or see why it takes none"
            )
            if text != self.alarm:
                self.alarm = text


def _overridden(entry: Entry) -> Entry:
    """Return a part that waits for a disk: rejected, and without the map, which takes memory."""
    row = entry.row
    if row.verdict is Verdict.ACCEPT:
        row = msgspec.structs.replace(row, verdict=Verdict.REJECT, reason=Reason.OVERRIDE)
    return Entry(row)
