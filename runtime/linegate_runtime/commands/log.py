"""``linegate log``: what is on record, and whether it is as it was written."""

import argparse
import sys
from pathlib import Path

import msgspec

from linegate_bundle.atomic import atomic_file
from linegate_bundle.command import Command
from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime.commands.log_options import (
    add_query,
    add_record,
    add_span,
    query_of,
    shown_limit,
)
from linegate_runtime.commands.log_text import checked_text, rows_head, rows_line, stats_text
from linegate_runtime.part_row import Recorded
from linegate_runtime.record import Access, Record
from linegate_runtime.record_check import Noted, check
from linegate_runtime.record_export import Format, export, json_line
from linegate_runtime.record_query import follow, newest
from linegate_runtime.record_stats import By, statistics
from linegate_runtime.signals import listen_to_signals

_STANDARD_OUTPUT = "-"

_VERIFY = """\
Compute the hash of each row anew, from the oldest to the newest, and compare the sums that
statistics are made from. Exit code 0: all is well. 7: the record is broken; the first break is
named.

What the chain of hashes proves: no row was changed, removed, put in or moved by somebody who did
not compute all later hashes anew. It cannot prove more by itself: who can write the file can
rewrite all of it, with hashes that fit. So note the head that is printed, NUMBER:HASH, where
that person cannot write, and give it later with --expect: it proves the row and all before it,
but none after it. Outputs are told the hash with each verdict too, so a receiver that keeps it is
such a place. Class maps, pictures and the record's own name are not chained.
"""


def _add_verify(parser: argparse.ArgumentParser) -> None:
    add_record(parser)
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        type=_noted,
        metavar="NUMBER:HASH",
        help="a row that was noted earlier must still be there with this hash; may be repeated",
    )
    parser.add_argument(
        "--quick", action="store_true", help="leave out the sums, a quarter of the time"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _noted(text: str) -> Noted:
    try:
        return Noted.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _verify(options: argparse.Namespace) -> int:
    with Record(options.record, Access.READ) as record:
        checked = check(record, options.expect, with_sums=not options.quick)
    if options.json:
        document = {"file": str(options.record), **msgspec.structs.asdict(checked)}
        sys.stdout.write(_json(document | {"head": str(checked.head)}))
    else:
        sys.stdout.write(checked_text(options.record, checked))
    return OutputError.exit_code if checked.problems else 0


def _add_show(parser: argparse.ArgumentParser) -> None:
    add_record(parser)
    add_query(parser)
    parser.add_argument(
        "--limit",
        type=shown_limit,
        default=50,
        metavar="N",
        help="so many of the newest (default: 50)",
    )
    parser.add_argument(
        "--follow", action="store_true", help="go on with new rows as they are recorded"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a row")


def _show(options: argparse.Namespace) -> int:
    query = query_of(options)
    with Record(options.record, Access.READ) as record:
        chain = record.chain
        rows = newest(record, query, options.limit)
    if not options.json:
        sys.stdout.write(rows_head())
    if not options.follow:
        _write_rows(rows, options)
        return 0
    # What came in between is given by following.
    _write_rows([one for one in rows if one.number <= chain.last_number], options)
    with listen_to_signals() as asked:
        for some in follow(options.record, query, chain, asked.is_stopped):
            _write_rows(some, options)
    return 0


def _write_rows(rows: list[Recorded], options: argparse.Namespace) -> None:
    for one in rows:
        sys.stdout.write(json_line(one).decode() if options.json else rows_line(one))
    sys.stdout.flush()


def _add_export(parser: argparse.ArgumentParser) -> None:
    add_record(parser)
    add_query(parser)
    parser.add_argument(
        "--format", type=Format, required=True, choices=list(Format), help="csv, jsonl or parquet"
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="written as a whole or not at all; - is the standard output, for csv and jsonl",
    )


def _export(options: argparse.Namespace) -> int:
    query = query_of(options)
    with Record(options.record, Access.READ) as record:
        if options.out == _STANDARD_OUTPUT:
            if options.format is Format.PARQUET:
                raise ConfigError("--out: expected a file for parquet, got the standard output")
            export(record, query, options.format, sys.stdout.buffer)
            return 0
        out = Path(options.out)
        _check_out(out, options.record)
        with atomic_file(out) as file:
            rows = export(record, query, options.format, file)
    sys.stdout.write(f"{out}: {rows} rows\n")
    return 0


def _check_out(out: Path, record: Path) -> None:
    """Refuse a file that cannot be written, or would take the record's place."""
    if not out.parent.is_dir():
        raise OutputError(f"{out}: expected an existing folder {out.parent}; make it first")
    if out.is_dir():
        raise OutputError(f"{out}: expected a file to write, got a folder")
    own = record.resolve()
    if out.resolve() in {own.with_name(own.name + ending) for ending in ("", "-wal", "-shm")}:
        raise ConfigError(f"--out: expected another file than the record and its log, got {out}")


def _add_stats(parser: argparse.ArgumentParser) -> None:
    add_record(parser)
    add_span(parser, "24 hours before the end", "the newest row")
    parser.add_argument(
        "--by", type=By, choices=list(By), help="a line for each of these; hours and days are UTC's"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _stats(options: argparse.Namespace) -> int:
    with Record(options.record, Access.READ) as record:
        stats = statistics(record, options.since, options.until, options.by)
    if options.json:
        document = {"file": str(options.record), **msgspec.structs.asdict(stats)}
        sys.stdout.write(_json(document))
    else:
        sys.stdout.write(stats_text(options.record, stats))
    return 0


def _json(document: object) -> str:
    return msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"


_SUBCOMMANDS = (
    ("verify", _add_verify, _verify, "check that no row was changed", _VERIFY),
    (
        "show",
        _add_show,
        _show,
        "show rows, the newest last",
        "Show rows, the newest last. Times are UTC. Ctrl-C ends --follow.",
    ),
    (
        "export",
        _add_export,
        _export,
        "write rows to a file for other programs",
        (
            "Write rows as CSV, JSON lines or Parquet, in the record's order; those of a span in\n"
            "the order of their times. Parquet needs `pip install 'linegate[parquet]'`."
        ),
    ),
    (
        "stats",
        _add_stats,
        _stats,
        "verdicts, rates and times of a span",
        (
            "Show verdicts, rates with 95 % intervals (Wilson) and durations of a span in whole\n"
            "minutes, from sums that are kept by the minute."
        ),
    ),
)


def _configure(parser: argparse.ArgumentParser) -> None:
    subparsers = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)
    for name, add, run, help_, description in _SUBCOMMANDS:
        subparser = subparsers.add_parser(
            name,
            help=help_,
            description=description.replace("%", "%%"),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add(subparser)
        subparser.set_defaults(run_log=run)


def _run(options: argparse.Namespace) -> int:
    code: int = options.run_log(options)
    return code


COMMAND = Command(
    name="log",
    help="verify, show, export and count what is on record",
    description=(
        "Read a record while a line may write to it, and never change it. Exit code 7: the record\n"
        "is missing, damaged, or not as it was written."
    ),
    configure=_configure,
    run=_run,
)
