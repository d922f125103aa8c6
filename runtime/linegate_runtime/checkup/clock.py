"""Is the clock right? Rows of the record, certificates and tokens need one."""

import datetime as dt

from linegate_runtime.checkup.base import Finding, Subject, failed, passed, warned
from linegate_runtime.machine import clock_synced

_EARLIEST_YEAR = 2026
"""This release is of that year; a clock that says less was never set."""


def check_clock(now: dt.datetime, *, is_synced: bool | None) -> Finding:
    """Say whether the clock can be right.

    Args:
        now: what it says.
        is_synced: whether a time server sets it; None if the system does not tell.
    """
    text = f"{now:%Y-%m-%d %H:%M} UTC"
    if now.year < _EARLIEST_YEAR:
        return failed(
            Subject.CLOCK,
            f"expected {_EARLIEST_YEAR} or later, it is {text} here",
            "give the board a network with a time server, or a battery for its clock; "
            "see `timedatectl`",
        )
    if is_synced is None:
        return passed(Subject.CLOCK, f"{text}; this machine does not tell whether it is set")
    if not is_synced:
        return warned(
            Subject.CLOCK,
            f"{text}, which no time server sets; times on record may be wrong",
            "see `timedatectl`; sudo timedatectl set-ntp true",
        )
    return passed(Subject.CLOCK, f"{text}, set by a time server")


def check_clock_here() -> Finding:
    """Look at this machine's clock, see :func:`check_clock`."""
    return check_clock(dt.datetime.now(dt.UTC), is_synced=clock_synced())
