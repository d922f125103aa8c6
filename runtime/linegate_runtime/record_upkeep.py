"""Upkeep of a record: the places of its sinks, and the removal of what is old."""

import logging
from collections.abc import Sequence

from linegate_runtime.part_row import Recorded
from linegate_runtime.record import Record
from linegate_runtime.record_sums import subtract_sums

_LOG = logging.getLogger(__name__)


def enrol(record: Record, sinks: Sequence[str]) -> dict[str, int]:
    """Keep the places of these sinks in the outbox, and of no others.

    Returns:
        By name, up to which row each has got them; a new one begins after the newest.

    Raises:
        OutputError: the disk is full or failing.
    """
    with record.writing("the outbox cannot be written") as database:
        known = dict(database.execute("SELECT sink, delivered FROM outbox"))
        gone = [(sink,) for sink in known if sink not in sinks]
        for (sink,) in gone:
            missing = record.chain.last_number - known[sink]
            if missing > 0:
                _LOG.warning(
                    "output %s is not configured any more; %d part(s) that it had not got it will "
                    "not get",
                    *(sink, missing),
                )
        database.executemany("DELETE FROM outbox WHERE sink = ?", gone)
        places = {sink: known.get(sink, record.chain.last_number) for sink in sinks}
        database.executemany(
            "INSERT OR IGNORE INTO outbox (sink, delivered) VALUES (?, ?)", list(places.items())
        )
    return places


def waiting(record: Record) -> dict[str, int]:
    """Return how many rows each sink has not got yet; OutputError if that cannot be read."""
    with record.reading("the outbox cannot be read") as database:
        query = "SELECT sink, last_number - delivered FROM outbox, chain"
        return dict(database.execute(query))


def lost(record: Record) -> dict[str, int]:
    """Return how many rows were removed before a sink had got them, by sink; only above zero."""
    with record.reading("the outbox cannot be read") as database:
        return dict(database.execute("SELECT sink, lost FROM outbox WHERE lost > 0"))


def remove_oldest(record: Record, most: int, before_utc: str | None = None) -> int:
    """Remove the oldest rows, all or none; the newest always stays.

    Rows that a sink has not got yet are kept from removal by age; without an age they are removed
    too, and the outbox counts them as lost.

    Args:
        record: open for writing.
        most: so many at most.
        before_utc: only such with an older wall clock, as far as it was set by a time server, and
            what came before them; None for any age.

    Returns:
        How many were removed.

    Raises:
        OutputError: the disk is full or failing.
    """
    chain = record.chain
    found = [
        one for one in record.rows(chain.before_number, most) if one.number < chain.last_number
    ]
    if before_utc is not None:
        found = _removable(record, found, before_utc)
    if not found:
        return 0
    last = found[-1]
    with record.writing("old rows cannot be removed") as database:
        subtract_sums(database, [one.row for one in found])
        database.executemany(
            "DELETE FROM class_maps WHERE uuid = ?", [(one.row.uuid,) for one in found]
        )
        database.execute("DELETE FROM parts WHERE number <= ?", (last.number,))
        database.execute(
            "UPDATE outbox SET lost = lost + ? - delivered, delivered = ? WHERE delivered < ?",
            (last.number,) * 3,
        )
        database.execute(
            "UPDATE chain SET before_number = ?, before_hash = ?",
            (last.number, bytes.fromhex(last.hash)),
        )
    record.refresh()
    return len(found)


def _removable(record: Record, found: Sequence[Recorded], before_utc: str) -> list[Recorded]:
    with record.reading("the outbox cannot be read") as database:
        delivered = database.execute("SELECT min(delivered) FROM outbox").fetchone()[0]
    # The chain has no holes, so rows go up to one that is surely old: whose clock was not set by a
    # time server says nothing, but what came before an old one is older.
    old = 0
    for place, one in enumerate(found, 1):
        if delivered is not None and one.number > delivered:
            break
        if one.row.clock_synced is not False:
            if one.row.time_utc >= before_utc:
                break
            old = place
    return list(found[:old])
