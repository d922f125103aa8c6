"""``linegate data``: look at photographs and divide them, before a training."""

import argparse
import sys
from pathlib import Path

from linegate_bundle.command import Command
from linegate_training.commands.photographs import (
    DATA_HELP,
    configure_cache,
    configure_corrupt,
    configure_split,
    split_options,
)

_DESCRIPTION = """\
Look at photographs before a training, and divide them.

  linegate data check photographs --out page.html   what is there, and what is wrong with it
  linegate data split photographs --out split.csv   the split that a training would use
"""
_CHECK = """\
Count and look at all photographs: files that cannot be decoded, the same picture twice
(identical, turned, mirrored, rescaled, re-saved, also in two parts of a split or under two
labels), bursts of one part, class balance, sizes, images that are much darker, brighter or
more blurred than others of their class.

Findings are no errors (exit code 0), unless --strict makes the serious kinds so: corrupt
files, one picture under two labels, one picture in two parts of the split.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="what is there, and what is wrong with it",
        description=_CHECK,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _configure_check(check)
    check.set_defaults(action=_check)
    split = actions.add_parser(
        "split",
        help="divide photographs into train, validation, calibration and test",
        description="Write the split that a training with the same options would use.",
    )
    _configure_split_action(split)
    split.set_defaults(action=_split)


def _configure_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help=DATA_HELP)
    parser.add_argument(
        "--split",
        type=Path,
        metavar="FILE",
        help="the split.csv of a run: is a picture in two of its parts?",
    )
    parser.add_argument(
        "--out", type=Path, metavar="PAGE", help="write an HTML page with contact sheets"
    )
    parser.add_argument("--json", action="store_true", help="print all that was found as JSON")
    parser.add_argument(
        "--strict", action="store_true", help="end with exit code 8 if something serious is found"
    )
    configure_cache(parser)


def _configure_split_action(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help=DATA_HELP)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="split.csv to write"
    )
    configure_corrupt(parser)
    configure_cache(parser)
    configure_split(parser.add_argument_group("split"))
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the split (default: %(default)s)"
    )


def _check(arguments: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 - these keep --help fast

    from linegate_bundle.atomic import write_atomic  # noqa: PLC0415
    from linegate_bundle.errors import DataError  # noqa: PLC0415
    from linegate_training.data.check import check_data  # noqa: PLC0415
    from linegate_training.data.page import render  # noqa: PLC0415

    report = check_data(arguments.data, split=arguments.split, cache=arguments.cache)
    if arguments.out is not None:
        write_atomic(arguments.out, render(report))
    if arguments.json:
        text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
    else:
        classes = ", ".join(f"{figures.label} {figures.images}" for figures in report.classes)
        lines = [f"{report.images} images in {report.source}: {classes}"]
        lines += [f"{finding.severity}: {finding.message}" for finding in report.findings]
        lines += [] if report.findings else ["nothing was found"]
        lines += [] if arguments.out is None else [f"wrote {arguments.out}"]
        text = "".join(f"{line}\n" for line in lines)
    sys.stdout.write(text)
    if arguments.strict and report.serious:
        raise DataError("; ".join(finding.message for finding in report.serious))
    return 0


def _split(arguments: argparse.Namespace) -> int:
    from linegate_bundle.atomic import write_atomic  # noqa: PLC0415 - these keep --help fast
    from linegate_bundle.run_folder import encode_split  # noqa: PLC0415
    from linegate_training.data.prepare import split_only  # noqa: PLC0415
    from linegate_training.options import CorruptImages  # noqa: PLC0415

    corrupt = CorruptImages.SKIP if arguments.skip_corrupt else CorruptImages.REFUSE
    rows = split_only(arguments.data, split_options(arguments), corrupt, arguments.cache)
    write_atomic(arguments.out, encode_split(list(rows)))
    sys.stdout.write(f"wrote {arguments.out}\n")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    code: int = arguments.action(arguments)
    return code


COMMAND = Command(
    name="data",
    help="check photographs and divide them, before a training",
    description=_DESCRIPTION,
    configure=_configure,
    run=_run,
)
