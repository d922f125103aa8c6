"""Options that the subcommands of ``linegate log`` share: which record, and which of its rows."""

import argparse
import datetime as dt
import re
from pathlib import Path

from linegate_bundle.manifest import Verdict
from linegate_runtime.commands.arguments import positive_integer
from linegate_runtime.config import DEFAULT_RECORD
from linegate_runtime.reason import Reason
from linegate_runtime.record_query import Query

_AGE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_MOST_SHOWN = 10_000
"""More is nothing to look at, and would be held in memory."""


def moment(text: str) -> dt.datetime:
    """Read a time as ISO 8601, without a zone in that of this machine, or as an age such as 2h."""
    age = _AGE.fullmatch(text)
    try:
        if age is not None:
            ago = dt.timedelta(**{_UNITS[age[2]]: float(age[1])})
            return dt.datetime.now(dt.UTC) - ago
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            "expected a time such as 2026-01-31, 2026-01-31T13:00 (this machine's zone), "
            "2026-01-31T13:00Z or 2026-01-31T13:00+01:00, or an age such as 90s, 30m, 2h, 3d or "
            f"1w, got {text!r}"
        ) from None


def shown_limit(text: str) -> int:
    """Read how many rows are to be shown."""
    number = positive_integer(text)
    if number > _MOST_SHOWN:
        raise argparse.ArgumentTypeError(
            f"expected {_MOST_SHOWN} at most, got {text}; `linegate log export` writes them all"
        )
    return number


def add_record(parser: argparse.ArgumentParser) -> None:
    """Add the record's file, and what may stand behind every command."""
    parser.add_argument(
        "record",
        metavar="RECORD",
        nargs="?",
        type=Path,
        default=Path(DEFAULT_RECORD),
        help=f"SQLite file with one row a part (default: {DEFAULT_RECORD})",
    )
    for option in ("--debug", "--log-json"):
        parser.add_argument(
            option, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


def add_span(parser: argparse.ArgumentParser, since: str, until: str) -> None:
    """Add the options of a span of time.

    Args:
        parser: to add to.
        since: what holds without the one.
        until: what holds without the other.
    """
    parser.add_argument(
        "--since",
        type=moment,
        metavar="TIME",
        help="from this time on: ISO 8601, without a zone this machine's, or an age such as 2h or "
        f"3d (default: {since})",
    )
    parser.add_argument(
        "--until", type=moment, metavar="TIME", help=f"before this time (default: {until})"
    )


def add_query(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which rows are wanted."""
    add_span(parser, "the oldest row", "the newest row")
    group = parser.add_argument_group("which rows; each may be given several times for several")
    for name, choices in (("verdict", Verdict), ("reason", Reason)):
        group.add_argument(
            f"--{name}",
            type=str,
            action="append",
            default=[],
            choices=[one.value for one in choices],
        )
    for name in ("camera", "region", "label", "uuid", "run"):
        group.add_argument(f"--{name}", action="append", default=[], metavar=name.upper())
    group.add_argument(
        "--bundle",
        action="append",
        default=[],
        metavar="BUNDLE",
        help="name, 'NAME VERSION', or 6 digits or more of its SHA-256's beginning",
    )


def query_of(options: argparse.Namespace) -> Query:
    """Return which rows are wanted."""
    return Query(
        since=_stored(options.since),
        until=_stored(options.until),
        verdict=tuple(Verdict(one) for one in options.verdict),
        reason=tuple(Reason(one) for one in options.reason),
        camera=tuple(options.camera),
        region=tuple(options.region),
        label=tuple(options.label),
        uuid=tuple(options.uuid),
        run=tuple(options.run),
        bundle=tuple(options.bundle),
    )


def _stored(when: dt.datetime | None) -> str | None:
    """Return a time as rows have it."""
    if when is None:
        return None
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
